"""FHIR codes and concepts -> CWE, ID and IS, through a table or not; the other way of ``codes``.

A code without a row in its table stays as it is, with its words, and is noted.
"""

from typing import Any

from mappings.emit_run import Run
from mappings.encode import Repetition
from mappings.encode_dates import V25, put_component

_V27 = (2, 7)


def CWE(run: Run, concept: Any) -> Repetition | None:  # noqa: N802
    """CodeableConcept -> coded with exceptions: two codings (three from v2.7) and the words."""
    return _concept(run, list(concept.get("coding", ())), concept.get("text", ""))


def coding_cwe(run: Run, coding: Any) -> Repetition | None:
    """Coding -> coded with exceptions."""
    return _concept(run, [coding], "")


def translated(run: Run, value: Any, type_: str, table: str) -> Repetition | None:
    """code, Coding, CodeableConcept through a table -> the v2 code first, then other codings.

    A code without a row stays as it is, with its words, and is noted.
    """
    codings, text = _codings(value, type_)
    for number, coding in enumerate(codings):
        found = run.reverse.code(table, coding.get("system", ""), coding.get("code", ""))
        if found is not None:
            known = run.reverse.tables[table]
            first = {"system": known.source, "code": found}
            row = known.get(found)
            shown = coding.get("display", "")
            own_word = type_ == "CodeableConcept" and row is not None and shown == row.display
            if shown and not own_word:  # the receiver's table says it, and it is not the text
                first["display"] = shown
            others = codings[:number] + codings[number + 1 :]
            return _concept(run, [first, *others], text, plain=type_ == "code")
    for coding in codings:
        if coding.get("code"):
            run.note(f"UNMAPPED {table} {coding['code']!r}")
            break
    return _concept(run, codings, text)


def table_code(run: Run, table: str, system: str, code: str) -> str:
    """Return the v2 code for a FHIR code; ``""``, noted, when no row of the table has it."""
    if not code:
        return ""
    found = run.reverse.code(table, system, code)
    if found is None:
        run.note(f"UNMAPPED {table} {code!r}")
    return found or ""


def coded_id(run: Run, value: Any, type_: str, table: str) -> Repetition | None:
    """code, Coding, CodeableConcept through a table -> ID, IS: a code of the table or nothing."""
    codings, _ = _codings(value, type_)
    for coding in codings:
        found = run.reverse.code(table, coding.get("system", ""), coding.get("code", ""))
        if found is not None:
            return [found]
    if codings:
        run.note(f"UNMAPPED {table} {codings[0].get('code', '')!r}")
    return None


def _codings(value: Any, type_: str) -> tuple[list[dict[str, Any]], str]:
    if type_ == "CodeableConcept":
        return list(value.get("coding", ())), value.get("text", "")
    if type_ == "Coding":
        return [value], ""
    return [{"code": str(value)}], ""


def _concept(
    run: Run, codings: list[dict[str, Any]], text: str, *, plain: bool = False
) -> Repetition | None:
    known = [one for one in codings if one.get("code") or one.get("display")]
    if plain and known:
        return [known[0]["code"]]
    if not known:
        return ["", text] if text else None
    most = 3 if run.version >= _V27 else 2
    if len(known) > most:
        run.note(f"{len(known)} codings, of which {most} are sent")
    made: Repetition = []
    for at, coding in zip((1, 4, 10), known[:most], strict=False):
        put_component(made, at, coding.get("code", ""))
        put_component(made, at + 1, coding.get("display", ""))
        put_component(made, at + 2, coding_system(run, coding.get("system", "")))
        if run.version >= V25 and coding.get("version"):
            put_component(made, {1: 7, 4: 8, 10: 13}[at], coding["version"])
    _words(run, made, text, known)
    return made


def _words(run: Run, made: Repetition, text: str, known: list[dict[str, Any]]) -> None:
    """Put the words where the version has a place for them: the name of the code, else CWE.9."""
    made += [""] * (2 - len(made))
    if not text or text == made[1]:
        return
    if not made[1] and len(known) == 1:
        made[1] = text
    elif run.version >= V25:
        put_component(made, 9, text)
    else:
        run.note("the words of a concept have no place beside those of its code before v2.5")


def coding_system(run: Run, url: str) -> str:
    """Return the name of a coding system (CWE.3); one without a name stays, and is noted."""
    if not url:
        return ""
    found = run.reverse.code_system(url)
    if found is None:
        run.note(f"UNMAPPED CodingSystem {url!r}")
    return found if found is not None else url


def concept_words(_run: Run, concept: Any) -> Repetition | None:
    """CodeableConcept -> its words, else its code."""
    if concept.get("text"):
        return [concept["text"]]
    for coding in concept.get("coding", ()):
        if found := coding.get("display") or coding.get("code"):
            return [found]
    return None


def coding_code(_run: Run, coding: Any) -> Repetition | None:
    """Coding -> its code alone."""
    return [coding["code"]] if coding.get("code") else None


def concept_code(_run: Run, concept: Any) -> Repetition | None:
    """CodeableConcept -> the code of its first coding, else its words."""
    for coding in concept.get("coding", ()):
        if coding.get("code"):
            return [coding["code"]]
    return concept_words(_run, concept)
