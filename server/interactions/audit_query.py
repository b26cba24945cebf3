"""What the audit of a search says to whom: a patient's row never names another patient.

The question as it was asked may name anybody (``patient=A,B``, ``name=...``).  It stands word by
word in the row of a patient only when all that it says of persons is that patient; else that row
has the question without its values, and one row more, of no patient, has it whole.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from urllib.parse import parse_qsl, urlencode

from server.access.context import AccessContext

Shown = tuple[str | None, tuple[str, ...], str | None]

_OF_NOBODY = frozenset(
    (
        "_count", "_elements", "_format", "_include", "_include:iterate", "_lastUpdated",
        "_pretty", "_profile", "_revinclude", "_revinclude:iterate", "_security", "_since",
        "_sort", "_summary", "_tag", "_total", "_type", "category", "class", "clinical-status",
        "code", "date", "end", "intent", "max", "start", "status", "type", "verification-status",
    )
)  # fmt: skip
_OF_PATIENT = frozenset(("patient", "subject", "patient:Patient", "subject:Patient"))


def shown_to(
    access: AccessContext, patients: Sequence[tuple[str, tuple[str, ...]]], query: str | None
) -> Iterator[Shown]:
    """Yield (patient, labels, question) of each row; ``patients`` come with what labels they show.

    >>> nobody = AccessContext("user/x", "app", ())
    >>> [row[2] for row in shown_to(nobody, [("Patient/a", ())], "Condition?patient=a&_count=9")]
    ['Condition?patient=a&_count=9']
    >>> list(shown_to(nobody, [("Patient/a", ())], "Condition?patient=a,b"))
    [('Patient/a', (), 'Condition?patient='), (None, (), 'Condition?patient=a,b')]
    """
    if query is None or not patients:
        yield from ((patient, labels, None) for patient, labels in patients)
        if not patients:
            yield None, (), query
        return
    whole = True
    for patient, labels in patients:
        own = _says_only(query, patient)
        whole = whole and own
        yield patient, labels, query if own else _without_values(query)
    if not whole:
        yield None, (), query


@lru_cache(maxsize=1024)
def _says_only(query: str, patient: str) -> bool:
    """Tell whether a question names no person but the patient."""
    path, _, text = query.partition("?")
    parts = path.split("/")
    of_patient = path.startswith("Patient/") and parts[1][:1] not in ("_", "$")
    if of_patient and "/".join(parts[:2]) != patient:
        return False
    own = (patient, patient.partition("/")[2])
    return all(
        name in _OF_NOBODY or (name in _OF_PATIENT and value in own)
        for name, value in parse_qsl(text, keep_blank_values=True)
    )


def _without_values(query: str) -> str:
    """Return the type and the names of the parameters of a question."""
    path, _, text = query.partition("?")
    parts = path.split("/")
    kept = [part for part in parts if part[:1] in ("_", "$") or part[:1].isupper()]
    names = [(name.partition(":")[0], "") for name, _ in parse_qsl(text, keep_blank_values=True)]
    return "/".join(kept) + (f"?{urlencode(names)}" if names else "")
