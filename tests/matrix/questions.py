"""What to ask of a search parameter, drawn from the values that resources hold, and near misses."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from server.fhir.definitions import SearchParameter
from tests.matrix.naive import PREFIXES, Value, atoms, fold
from tests.matrix.values import BASE_URL, UCUM

NEAR_MISS = "no-such-value"
MOMENTS = ("2018-05-06T05:08:09Z", "2016-02-28")
NUMBERS = ("7", "5.40", "1e2")
WEIGHTS = ("70.5|{u}|kg", "155.4|{u}|[lb_av]", "70500|{u}|g", "0.0705|{u}|t", "5||kg", "37|{u}|Cel")


@dataclass(frozen=True, slots=True)
class Asked:
    """``code[:modifier]=raw``."""

    modifier: str | None
    raw: str


def questions(parameter: SearchParameter, found: Sequence[Value]) -> list[Asked]:
    """Return the questions: every prefix, every modifier, several values of each."""
    asked = [Asked("missing", "true"), Asked("missing", "false")]
    asked += _ASKED[parameter.type](parameter, found)
    return list(dict.fromkeys(asked))


def sampled(asked: Sequence[Asked], every: int, turn: int) -> list[Asked]:
    """Return one of ``every`` questions, but at least one of each prefix and modifier.

    ``turn`` says with which to begin, so that types that share a parameter share its questions.
    """
    groups: dict[tuple[str | None, str], list[Asked]] = {}
    for one in asked:
        prefix = one.raw[:2] if one.raw[:2] in PREFIXES else ""
        groups.setdefault((one.modifier, prefix), []).append(one)
    return [
        one for group in groups.values() for one in group[turn % min(every, len(group)) :: every]
    ]


def part(parameter: SearchParameter, found: Sequence[Value]) -> list[str]:
    """Return values of a part of a composite that one element has, the plainest first."""
    ordered = parameter.type in ("date", "number", "quantity")
    asked = [one.raw for one in questions(parameter, found) if one.modifier is None]
    plain = [raw for raw in asked if "," not in raw and (not ordered or raw[:2] not in PREFIXES)]
    return [*plain[:3], *([f"{prefix}{plain[0]}" for prefix in PREFIXES] if ordered else [])]


def escaped(text: str) -> str:
    r"""Return the text as one value.

    >>> escaped("a,b|c")
    'a\\,b\\|c'
    """
    for character in "\\,|$":
        text = text.replace(character, f"\\{character}")
    return text


def spread(items: Iterable[Any], count: int) -> list[Any]:
    """Return ``count`` of the distinct items at most, from the first to the last.

    >>> spread("ebdac", 3)
    ['a', 'c', 'e']
    """
    ordered = sorted(set(items), key=repr)
    if len(ordered) <= count:
        return ordered
    return [ordered[i * (len(ordered) - 1) // (count - 1)] for i in range(count)]


def _token(_: SearchParameter, found: Sequence[Value]) -> Iterator[Asked]:
    held = [atom for value in found for atom in atoms("token", value)]
    codes: list[tuple[str | None, str]] = spread([a[:2] for a in held if a[1]], 4)
    plain = [escaped(code) for _, code in codes]
    for system, code in codes:
        full = f"{escaped(system or '')}|{escaped(code)}"
        yield from (Asked(None, full), Asked(None, escaped(code)), Asked("not", full))
        yield Asked(None, escaped(code.swapcase()))
    yield from (Asked(None, f"{escaped(s)}|") for s in spread([a[0] for a in held if a[0]], 2))
    yield from (Asked(m, ",".join([*plain[:2], NEAR_MISS])) for m in (None, "not"))
    yield from (Asked(None, f"|{code}") for code in plain[:1])
    yield Asked("not", NEAR_MISS)
    for text in spread([text for a in held for text in a[2] if text], 3):
        yield from (Asked("text", escaped(part)) for part in (text[:4].upper(), text, text[2:]))
    for (system, code), value in spread([(t, a[1]) for a in held for t in a[3] if t[0]], 2):
        if value:
            wanted = f"{escaped(system)}|{escaped(code)}|{escaped(value)}"
            yield from (Asked("of-type", wanted), Asked("of-type", f"{wanted}x"))


def _string(_: SearchParameter, found: Sequence[Value]) -> Iterator[Asked]:
    texts = [a[0] for value in found for a in atoms("string", value) if fold(a[0][:3])]
    for text in spread(texts, 4):
        whole, start = escaped(text[:200]), text[:5].upper()
        yield from (Asked(None, whole), Asked(None, escaped(start)))
        yield from (Asked("exact", escaped(text)), Asked("exact", escaped(text.swapcase())))
        middle = text[2:6] if fold(text[2:6]) else text[:4]
        yield from (Asked(modifier, escaped(middle)) for modifier in ("contains", None))
    yield Asked(None, f"{NEAR_MISS},{escaped(texts[0][:4])}")


def _date(_: SearchParameter, found: Sequence[Value]) -> Iterator[Asked]:
    texts: list[str] = []
    for value in found:
        match value.data if atoms("date", value) else {}:
            case str(text):
                texts.append(text)
            case {"event": events}:
                texts += events
            case {"repeat": {"boundsPeriod": period}} | period:
                texts += [period[end] for end in ("start", "end") if end in period]
    chosen = [*spread(texts, 3), texts[0][:4]]
    yield from (Asked(None, text) for text in (*chosen, ",".join(chosen[:2])))
    yield from (Asked(None, prefix + text) for text in (*chosen, *MOMENTS) for prefix in PREFIXES)


def _number(_: SearchParameter, found: Sequence[Value]) -> Iterator[Asked]:
    texts = [*spread(_amounts(found), 3), *NUMBERS]
    yield from (Asked(None, text) for text in (*texts, ",".join(texts[:2])))
    yield from (Asked(None, prefix + text) for text in texts for prefix in PREFIXES)


def _quantity(_: SearchParameter, found: Sequence[Value]) -> Iterator[Asked]:
    units = [a[2:] for value in found for a in atoms("quantity", value)]
    forms = [f"|{escaped(s)}|{escaped(c)}" for s, c, _ in spread(units, 3) if s and c]
    forms += [f"||{escaped(text)}" for _, *texts in spread(units, 3) for text in texts if text]
    texts = [*spread(_amounts(found), 3), "100"]
    yield from (Asked(None, text) for text in (*texts, ",".join(texts[:2])))
    asked = [text + form for form in ("", *spread(forms, 2)) for text in texts]
    asked += [weight.format(u=UCUM) for weight in WEIGHTS]
    yield from (Asked(None, prefix + text) for text in asked for prefix in PREFIXES)
    yield from (Asked(None, text) for text in asked)


def _amounts(found: Sequence[Value]) -> list[str]:
    texts: list[str] = []
    for value in found:
        match value.data:
            case {"low": _} | {"high": _}:
                texts += [str(end["value"]) for end in value.data.values() if "value" in end]
            case {"value": amount}:
                texts.append(str(amount))
            case {}:
                pass
            case amount:
                texts.append(str(amount))
    return texts


def _reference(parameter: SearchParameter, found: Sequence[Value]) -> Iterator[Asked]:
    held = [a for value in found for a in atoms("reference", value)]
    for type_, id_ in spread([a[:2] for a in held if a[1]], 3):
        local = f"{type_}/{id_}"
        yield from (Asked(None, text) for text in (local, id_, f"{BASE_URL}/{local}"))
        if type_ in parameter.target:
            yield from (Asked(type_, id_), Asked(type_, local))
        yield from (Asked(None, f"{local}/_history/{v}") for v in ("2", "3"))
        yield Asked(None, f"{local},{id_}x,http://h.test/{NEAR_MISS}")
    addresses = [a[3] for a in held if a[3] and a[1] is None and ":" in a[3]]
    for address in spread(addresses, 3):
        yield from (Asked(None, address), Asked(None, address.partition("|")[0]))
        yield Asked(None, address.replace("|", escaped("|")))
        yield Asked(None, f"{address}x")
    for identifier in spread([_Told(a[4]) for a in held if a[4]], 3):
        yield from (Asked("identifier", text) for text in identifier.asked())


class _Told(dict[str, Any]):
    """An identifier that can be in a set."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(repr(self))

    def asked(self) -> list[str]:
        system, value = self.get("system", ""), self.get("value", "")
        texts = [escaped(value), f"{escaped(system)}|{escaped(value)}"] if value else []
        return [*texts, f"{escaped(system)}|"] if system else texts


def _uri(_: SearchParameter, found: Sequence[Value]) -> Iterator[Asked]:
    texts = spread([text for value in found for a in atoms("uri", value) for text in a], 4)
    for text in texts:
        yield from (Asked(None, escaped(text)), Asked(None, escaped(text[:-1])))
        yield from (Asked(None, escaped(text.swapcase())), Asked("below", escaped(text)))
        yield Asked("below", escaped(text.rpartition("/")[0] or text))
        yield from (Asked("above", escaped(text + more)) for more in ("", "/more", "more"))
    yield Asked(None, ",".join([escaped(texts[0]), NEAR_MISS]))


_ASKED: dict[str, Callable[[SearchParameter, Sequence[Value]], Iterator[Asked]]] = {
    "token": _token,
    "string": _string,
    "date": _date,
    "number": _number,
    "quantity": _quantity,
    "reference": _reference,
    "uri": _uri,
}
