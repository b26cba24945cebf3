"""QBP^Q22, "find candidates", read into what it asks.  HL7 v2.9 chapter 5.3; IHE ITI-21.  Pure.

``QPD|IHE PDQ Query|TAG|@PID.5.1^DOE~@PID.7^1970|||||^^^HOSP`` asks for patients by demographics;
``RCP-2`` limits the answer, ``DSC-1`` goes on where one ended.  A value that ends with ``*`` stands
for all that begin so.
"""

import re
from dataclasses import dataclass
from datetime import tzinfo
from urllib.parse import urlencode

from mappings.dates import fhir_date
from mappings.encode import Field, Segment
from mappings.feed import Feed
from mappings.parse import Message
from mappings.tables import Table
from server.fhir.dates import interval
from server.search.query import AllOf, DateIs, HasKey, Not, Predicate, Query, StringIs
from server.search.string import fold

TYPE = "QBP^Q22"
CANCEL = "QCN^J01"  # "send me no more of it": nothing is kept of a query, so nothing ends
DEFAULT, MOST = 50, 200  # patients in one answer
MOST_CRITERIA = 50  # of one query; there are ten fields to search by

_FIELD = re.compile(r"@?PID\.(\d{1,2})(?:\.(\d))?(?:\.(\d))?", re.ASCII)
_COUNT = re.compile(r"[0-9]{1,9}")
_STRINGS = {
    (5, 1): "family",
    (5, 2): "given",
    (11, 1): "address",
    (11, 3): "address-city",
    (11, 4): "address-state",
    (11, 5): "address-postalcode",
    (11, 6): "address-country",
}
_KNOWN = "PID.3 PID.5.1 PID.5.2 PID.7 PID.8 PID.11.1 PID.11.3 PID.11.4 PID.11.5 PID.11.6"

_NOT_MERGED_AWAY = Not(HasKey(("Patient|active|c|false",)))


class QueryFault(ValueError):
    """The query cannot be answered: a code of table 0357, why, and where (``QPD-3[2]``)."""

    def __init__(self, code: str, text: str, location: tuple[str, ...]) -> None:
        super().__init__(text)
        self.code, self.text, self.location = code, text, location


@dataclass(frozen=True, slots=True)
class Asked:
    """One query.  ``tag`` is QPD-2, ``name`` QPD-1, ``qpd`` the segment, to be said back.

    ``domains``: identifier systems that the answer shall be about, none for all.  ``most``: how
    many patients at once.  ``pointer``: DSC-1, where to go on.  ``said``: the question, for audit.
    """

    name: Field
    tag: str
    qpd: Segment
    query: Query
    domains: tuple[str, ...]
    most: int
    pointer: str
    said: str


def read_query(message: Message, feed: Feed, sexes: Table, zone: tzinfo) -> Asked:
    """Return what the message asks; ``zone`` is that of dates in the record.

    Raises:
        QueryFault: nothing is asked for, or something that cannot be searched by.
    """
    qpd = message.first("QPD")
    if qpd is None:
        raise QueryFault("100", "there is no QPD segment", ("QPD", "1"))
    criteria = _criteria(message)
    wheres = [_predicate(one, criteria, feed, sexes, zone) for one in criteria]
    found = [where for where in wheres if where is not None]
    if not found:
        raise QueryFault("101", "nothing is asked for in QPD-3", ("QPD", "1", "3"))
    return Asked(
        name=field_of(message, "QPD", 1),
        tag=message.get("QPD-2"),
        qpd=echo(message),
        query=Query(("Patient",), AllOf((*found, _NOT_MERGED_AWAY))),
        domains=_domains(message, feed),
        most=_most(message),
        pointer=message.get("DSC-1"),
        said="Patient?" + urlencode([(one.name, one.value) for one in criteria]),
    )


def echo(message: Message) -> Segment:
    """Return the QPD segment, to be written again."""
    qpd = message.first("QPD")
    count = len(qpd.fields) if qpd is not None else 0
    return Segment(
        "QPD", {n: made for n in range(1, count) if (made := field_of(message, "QPD", n))}
    )


def field_of(message: Message, segment: str, number: int) -> Field:
    """Return a field of the first segment of that name, to be written with other delimiters."""
    found = message.first(segment)
    component, sub = message.delimiters[1], message.delimiters[4]
    return [
        [
            [message.plain(inner) for inner in part.split(sub)]
            if sub in part
            else message.plain(part)
            for part in raw.split(component)
        ]
        for raw in (message.repeats(found, number) if found is not None else ())
    ]


@dataclass(frozen=True, slots=True)
class _Criterion:
    at: int
    field: int
    component: int
    sub: int
    value: str

    @property
    def name(self) -> str:
        """``PID.5.1``; the sub-component only where it is not the first."""
        sub = f".{self.sub}" if self.sub > 1 else ""
        return f"PID.{self.field}.{self.component}{sub}"


def _criteria(message: Message) -> list[_Criterion]:
    qpd = message.first("QPD")
    assert qpd is not None
    made: list[_Criterion] = []
    for n, raw in enumerate(message.repeats(qpd, 3), 1):
        name, value = message.value(raw, 1), message.value(raw, 2).strip()
        if not name and not value:
            continue
        found = _FIELD.fullmatch(name)
        if found is None:
            told = f"a field is named as in @PID.5.1; this server searches by {_KNOWN}"
            raise QueryFault("204", told, ("QPD", "1", "3", str(n)))
        made.append(_Criterion(n, int(found[1]), int(found[2] or 1), int(found[3] or 1), value))
        if len(made) > MOST_CRITERIA:
            told = f"a query has at most {MOST_CRITERIA} criteria"
            raise QueryFault("207", told, ("QPD", "1", "3", str(n)))
    return [one for one in made if one.value]


def _predicate(
    one: _Criterion, all_: list[_Criterion], feed: Feed, sexes: Table, zone: tzinfo
) -> Predicate | None:
    place = ("QPD", "1", "3", str(one.at))
    match one.field:
        case 3:
            return _identifier(one, all_, feed)
        case 7:
            return _birth_date(one.value, place, zone)
        case 8:
            known = sexes.get(one.value)
            if known is None:
                raise QueryFault("103", "PID.8 is no administrative sex", place)
            return HasKey((f"Patient|gender|c|{known.code}",))
    param = _STRINGS.get((one.field, one.component))
    if param is None:
        raise QueryFault("204", f"this server searches by {_KNOWN}", place)
    folded = fold(one.value.rstrip("*"))
    if not folded:
        raise QueryFault("102", "a value holds no letter or digit to look for", place)
    return StringIs("Patient", param, "starts" if one.value.endswith("*") else "is", (folded,))


def _identifier(one: _Criterion, all_: list[_Criterion], feed: Feed) -> Predicate | None:
    """Return the number with its authority, which is a field of its own in the query."""
    if one.component != 1:
        if not any(c.field == 3 and c.component == 1 for c in all_):
            place = ("QPD", "1", "3", str(one.at))
            raise QueryFault("101", "an authority is asked for with its number, PID.3.1", place)
        return None  # said together with the number
    parts = {c.sub: c.value for c in all_ if c.field == 3 and c.component == 4}
    if not parts:
        return HasKey((f"Patient|identifier|c|{one.value}",))
    system = feed.system(parts.get(1, ""), parts.get(2, ""), parts.get(3, ""))
    return HasKey((f"Patient|identifier|s|{system}|{one.value}",))


def _birth_date(value: str, place: tuple[str, ...], zone: tzinfo) -> Predicate:
    day = fhir_date(value)
    if day is None:
        raise QueryFault("102", "PID.7 is no date", place)
    lo, hi = interval(day, zone)
    return DateIs("Patient", "birthdate", "eq", lo, hi)


def _domains(message: Message, feed: Feed) -> tuple[str, ...]:
    qpd = message.first("QPD")
    assert qpd is not None
    made = []
    for raw in message.repeats(qpd, 8):
        parts = [message.value(raw, 4, sub) for sub in (1, 2, 3)]
        if any(parts):
            made.append(feed.system(*parts))
    return tuple(made)


def _most(message: Message) -> int:
    stated = message.get("RCP-2.1")
    return min(max(int(stated), 1), MOST) if _COUNT.fullmatch(stated) else DEFAULT
