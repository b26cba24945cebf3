"""What a rule sees while a message is mapped: where it stands, and the run."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import count
from typing import Any

from mappings.dates import moment
from mappings.feed import NAMESPACE, Feed, urn
from mappings.memory import Memory
from mappings.parse import NULL, Message, Segment
from mappings.plan import ExplainRow, Explanation, Unmapped
from mappings.repetition import Repetition
from mappings.structure import Group, groups
from mappings.tables import Table, Target

# R4 datatypes.html#string: no characters below 32 but tab, line feed and carriage return.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\ufffe\uffff]")
_HL7_TABLE = re.compile(r"HL7\s?0*(\d{1,4})")
Fields = dict[int, list[Repetition]]
_NOTHING: list[Repetition] = []  # shared; nobody adds to what ``repetitions`` returns
# a note or a participant of somebody else must never be found by looking up
_OWN_GROUP_ONLY = frozenset({"NTE", "PRT", "ROL"})

_NO_CODES: Mapping[str, str] = {}


def _body(message: Message) -> str:
    """Return what follows the delimiters in MSH-2, as one line."""
    head = message.segments[0]
    at = head.start + 4 + len(head.raw(2))
    return message.text[at:].rstrip("\x1c\x00\r\n").replace("\r", "").replace("\n", "")


_numbers = count(1)
_MOST_FIELDS, _MOST_NAMES = 256, 64  # of a shape that is remembered; others would fill the memory


@lru_cache(maxsize=65536)
def _number(_shape: tuple[str, int, int] | frozenset[str]) -> int:
    """Return a number for a shape that no other has; it is the key of many look-ups."""
    return next(_numbers)


class Scope:
    """Where a rule stands: its segment, its group, and inside ``each`` a repetition.

    ``shape`` is a number: equal ones have the same fields of their segment, and the same segments
    in the message.  ``fields`` are the repetitions of the segment's fields that were read already.
    """

    __slots__ = ("fields", "group", "repetition", "run", "segment", "shape")

    def __init__(
        self,
        run: "Run",
        segment: Segment | None,
        group: Group,
        repetition: Repetition | None = None,
    ) -> None:
        self.run = run
        self.segment = segment
        self.group = group
        self.repetition = repetition
        self.shape, self.fields = run.about(segment)

    def repetitions(self, segment: str, field_: int) -> list[Repetition]:
        """Return the repetitions of a field of the nearest segment of that name."""
        found = self.segment
        if found is not None and found.name == segment:
            known = self.fields.get(field_)
            return known if known is not None else self.run.repetitions(found, field_, self.fields)
        run = self.run
        if segment not in run.segments:
            return _NOTHING
        found = run.nearest(self.group, segment)
        if found is None:
            return _NOTHING
        fields = run.about(found)[1]
        known = fields.get(field_)
        return known if known is not None else run.repetitions(found, field_, fields)

    def find(self, name: str) -> Segment | None:
        """Return the scope's own segment if it has that name, else the nearest one."""
        if self.segment is not None and self.segment.name == name:
            return self.segment
        return self.run.nearest(self.group, name)

    def each_segment(self, name: str) -> "list[Scope]":
        """Return a scope for each segment of that name in the nearest group that has any."""
        return [
            Scope(self.run, segment, group_) for segment, group_ in self.run.every(self.group, name)
        ]

    def at(self, repetition: Repetition) -> "Scope":
        """Return this scope with ``repetition`` as the value that relative paths speak of."""
        return Scope(self.run, self.segment, self.group, repetition)


class Instance:
    """A resource that a rule makes from a segment (or, made inside another, from a value).

    ``tokens``: by which identifiers one made from a value is found again.
    """

    __slots__ = ("label", "scope", "tokens", "type", "values")

    def __init__(self, type_: str, label: str, scope: Scope | None) -> None:
        self.type = type_
        self.label = label
        self.scope = scope
        self.tokens: list[str] = []
        self.values: dict[str, Any] = {}

    def made_from(self, segment: str) -> bool:
        """Whether it was made from a segment of that name."""
        return self.scope is not None and (
            self.scope.segment is not None and self.scope.segment.name == segment
        )


class Run:
    """The mapping of one message: what it reads, and what it has to say besides resources."""

    def __init__(
        self,
        message: Message,
        feed: Feed,
        tables: Mapping[str, Table],
        memory: Memory | None = None,
    ) -> None:
        self.message = message
        self.feed = feed
        self.tables = tables
        self.event = message.event
        every = groups(message)
        self.root = every[0]
        self.component_separator = message.delimiters[1]
        self.repetition_separator = message.delimiters[2]
        self.sub_separator = message.delimiters[4]
        self.escape = message.delimiters[3]
        body = _body(message)
        self.plain = self.needs_nothing(body)  # most messages
        # nothing to delete either, and no line end inside a field, of which a diagnostic tells
        self.simple = self.plain and NULL not in body and not message.diagnostics
        self.facility = message.text_of(message.segments[0], 4)
        # what is not plain may stand for something else in another character set
        self.known = memory.of(message, feed, self.facility) if memory and self.plain else None
        self.rows: list[tuple[str, str, str, str]] = []  # as in ``ExplainRow``
        self.note = self.rows.append
        self.unmapped: list[Unmapped] = []
        self.warnings: list[str] = [str(found) for found in message.diagnostics]
        self.labels: dict[str, Instance] = {}
        self.nulls: set[str] = set()  # top-level elements whose source was deleted with ""
        self._counts: dict[str, int] = {}  # resources by type
        self._of_segment: dict[tuple[str, int], list[Instance]] = {}
        self._of_group: dict[tuple[str, int], list[Instance]] = {}
        self._made_from: dict[str, list[Instance]] = {}  # by type, those made from segments
        self._kin: set[tuple[str, str]] = set()
        self.made: dict[tuple[str, ...], Instance] = {}
        self.dropped: set[str] = set()  # labels of resources that will not be in the plan
        self.numbers: dict[Any, int] = {}  # how often each identity occurred
        self.precedence: dict[int, int | None] = {}  # times that hold for the whole message
        self._own_codes = feed.tables
        self._authorities: dict[tuple[str, str, str, str], str] = {}
        self._moments: dict[str, int | None] = {}
        self.segments: dict[str, list[tuple[Segment, Group]]] = {}
        for inner in every:
            for segment in inner.segments:
                self.segments.setdefault(segment.name, []).append((segment, inner))
        few = len(self.segments) <= _MOST_NAMES
        self._number = _number(frozenset(self.segments)) if few else 0
        self._about: dict[str, tuple[int, Fields]] = {}  # by the label of the segment
        self._sent: dict[str, int] = {}
        self._nearest: dict[tuple[int, str], Segment | None] = {}

    def end(self) -> None:
        """Let go of all that points back here, so that a message's objects end with it: garbage
        in cycles waits for the collector, which took a fifth of the mapping's time.
        """
        self.root.end()
        for _, fields in self._about.values():
            fields.clear()
        for known in (self.labels, self._of_segment, self._of_group):
            known.clear()
        self._made_from.clear()
        self.made.clear()

    # -- reading ------------------------------------------------------------------------------

    def needs_nothing(self, raw: str) -> bool:
        """Whether there is nothing to unescape, no sub-component and no control character."""
        return raw.isprintable() and not (self.escape in raw or self.sub_separator in raw)

    def clean(self, raw: str) -> str:
        """Return raw text as FHIR takes it: unescaped, no control characters, no blank ends."""
        if self.escape in raw:
            raw = self.message.plain(raw)
        raw = raw.strip()
        if not raw.isprintable():
            raw = _CONTROL.sub("", raw.replace("\r\n", "\n").replace("\r", "\n")).strip()
        return raw

    def about(self, segment: Segment | None) -> "tuple[int, Fields]":
        """Return the shape of a scope with that segment, and what was read of its fields."""
        found = self._about.get("" if segment is None else segment.label)
        if found is not None:
            return found
        if segment is None:
            made = self._about[""] = (self._shape("", 0), {})
        elif len(segment.fields) <= _MOST_FIELDS:
            made = self._about[segment.label] = (self._shape(segment.name, segment.sent), {})
        else:
            made = self._about[segment.label] = (next(_numbers), {})
        return made

    def sent(self, name: str) -> int:
        """Return the fields, as bits, that any segment of that name holds; 0: there is none."""
        found = self._sent.get(name)
        if found is None:
            found = 0
            for segment, _ in self.segments.get(name, ()):
                found |= segment.sent
            self._sent[name] = found
        return found

    def _shape(self, name: str, sent: int) -> int:
        if not self._number:  # it has too many kinds of segments
            return next(_numbers)
        return _number((name, sent, self._number))

    def repetitions(self, segment: Segment, field_: int, known: Fields) -> list[Repetition]:
        """Return the repetitions of a field that were sent, and put them into ``known``."""
        fields = segment.fields
        raw = fields[field_] if field_ < len(fields) else ""
        if not raw:
            known[field_] = _NOTHING
            return _NOTHING
        path = f"{segment.label}-{field_}"
        separator, between = self.component_separator, self.repetition_separator
        if between not in raw or (segment.name == "MSH" and field_ <= 2):
            known[field_] = found = [Repetition(self, raw, path, separator)]
            return found
        known[field_] = found = [
            Repetition(self, one, f"{path}[{n}]", separator)
            for n, one in enumerate(raw.split(between), start=1)
            if one
        ]
        return found

    def moment(self, text: str) -> int | None:
        """Return a timestamp in microseconds UTC, ``None`` when it is none."""
        if text not in self._moments:
            self._moments[text] = moment(text, self.feed.timezone)
        return self._moments[text]

    def nearest(self, here: Group, name: str) -> Segment | None:
        """Return the first segment called ``name`` in the smallest group around ``here``."""
        key = (id(here), name)
        if key not in self._nearest:
            every = self.every(here, name)
            self._nearest[key] = every[0][0] if every else None
        return self._nearest[key]

    def every(self, here: Group, name: str) -> list[tuple[Segment, Group]]:
        """Return all segments called ``name`` in the smallest group around ``here`` with any."""
        known = self.segments.get(name, [])
        if name in _OWN_GROUP_ONLY:
            return [(segment, group_) for segment, group_ in known if group_ is here]
        if not known or (len(known) == 1 and known[0][1] is self.root):
            return known
        for level in here.around():
            found = [
                (segment, inner)
                for inner in level
                for segment in inner.segments
                if segment.name == name
            ]
            if found:
                return found
        return []

    # -- saying what happened -----------------------------------------------------------------

    def row(self, target: str, source: str, how: str, value: str = "") -> None:
        """Note where a value came from."""
        self.note((target, source, how, value))

    @property
    def explain(self) -> Sequence[ExplainRow]:
        """What was noted."""
        return Explanation(self.rows)

    def invalid(self, target: str, source: str, what: str, value: str) -> None:
        """Note a value that is not what its type says; it is left out."""
        self.note((target, source, f"INVALID {what}", value))
        where = source or target
        self.warnings.append(f"{where} is not a valid {what}: left out")

    def no_row(self, table: str, code: str, target: str, source: str) -> None:
        """Note a code without a row in its table."""
        self.note((target, source, f"UNMAPPED {table} {code!r}", code))
        self.unmapped.append(Unmapped(table, code, source))

    # -- codes --------------------------------------------------------------------------------

    def lookup(self, table: str, code: str) -> Target | None:
        """Return what ``code`` becomes: the feed's own rows first."""
        known = self.tables[table]
        if self._own_codes and (own := self._own_codes.get(table, _NO_CODES).get(code)):
            return Target(own, known.system)
        return known.get(code)

    def code(self, table: str, code: str, target: str, source: str) -> str | None:
        """Return the code for an element with a required binding, noting how."""
        if not code:
            return None
        found = self.lookup(table, code)
        if found is None:
            self.no_row(table, code, target, source)
            return None
        self.note((target, source, f"table {table}", found.code))
        return found.code

    def code_system(self, name: str, oid: str, target: str, source: str) -> str:
        """Return the URL of a coding system by its name (CWE.3) or OID; ``""`` without either."""
        known = self.feed.code_systems
        for text in (name, oid):
            if text and (own := known.get(text)):
                return own
            if text and (found := self.tables["CodingSystem"].get(text)):
                return found.code
        if hl7 := _HL7_TABLE.fullmatch(name):
            return f"http://terminology.hl7.org/CodeSystem/v2-{hl7[1]:0>4}"
        if oid and oid.replace(".", "").isdigit():
            return f"urn:oid:{oid}"
        if not name:
            return ""
        if name.replace(".", "").isdigit() and "." in name:
            return f"urn:oid:{name}"
        if name != "L" and not name.startswith("99"):
            self.no_row("CodingSystem", name, f"{target}.system", source)
        return f"{NAMESPACE}:codes:{urn(self.feed.name)}:{urn(name)}"

    def authority(self, namespace: str, universal: str, kind: str, role: str = "") -> str:
        """Return the identifier system of an assigning authority; see ``Feed.system``."""
        key = (namespace, universal, kind, role)
        found = self._authorities.get(key)
        if found is None:
            known = self.known
            found = None if known is None else known.authorities.get(key)
            if found is None:
                found = self._authority(namespace, universal, kind, role)
                if known is not None:
                    known.keep_authority(key, found)
            self._authorities[key] = found
        return found

    def _authority(self, namespace: str, universal: str, kind: str, role: str) -> str:
        if namespace not in self.feed.authorities and universal not in self.feed.authorities:
            for name in (namespace, universal):
                if name and (found := self.tables["AssigningAuthority"].get(name)):
                    return found.code
        return self.feed.system(namespace, universal, kind, role=role, facility=self.facility)

    # -- resources ----------------------------------------------------------------------------

    def add(self, type_: str, scope: Scope | None) -> Instance:
        """Return a new resource of the plan with a label of its own."""
        number = self._counts[type_] = self._counts.get(type_, 0) + 1
        label = f"{type_}[{number}]" if number > 1 else type_
        made = self.labels[label] = Instance(type_, label, scope)
        if scope is not None and (segment := scope.segment) is not None:
            self._of_segment.setdefault((type_, id(segment)), []).append(made)
            self._of_group.setdefault((type_, id(scope.group)), []).append(made)
            self._kin.add((type_, segment.name))
            self._made_from.setdefault(type_, []).append(made)
        return made

    def at_root(self, instance: Instance) -> bool:
        """Whether it was made from a segment that belongs to the message itself, to no group."""
        return instance.scope is not None and instance.scope.group is self.root

    def meant(self, type_: str, scope: Scope, segment: str = "") -> Instance | None:
        """Return the resource that a reference means.

        That of the same segment, else of the nearest group.  Among resources made from segments of
        the scope's own kind only that of the very segment counts.  ``segment``: only those made
        from segments of that name.
        """
        every = self._made_from.get(type_)
        if every is None:
            return None
        own = scope.segment
        for one in self._of_segment.get((type_, id(own)), ()):
            if not segment or one.made_from(segment):
                return one
        if own is not None and (type_, own.name) in self._kin and segment in ("", own.name):
            return None
        if len(every) == 1 and not segment and self.at_root(every[0]):
            return every[0]  # what is around leads to the root in the end
        for level in scope.group.around():
            for group_ in level:
                for one in self._of_group.get((type_, id(group_)), ()):
                    if not segment or one.made_from(segment):
                        return one
        return None

    def make(self, type_: str, values: dict[str, Any], source: str) -> dict[str, str]:
        """Return a reference to a resource made from one value, the same one for the same ids.

        ``values["identifier"]`` must hold at least one identifier with a system.
        """
        found_by = tokens(values["identifier"])
        key = (type_, *sorted(found_by))
        made = self.made.get(key)
        if made is None:
            made = self.add(type_, None)
            made.values, made.tokens = values, found_by
            self.made[key] = made
            self.row(made.label, source, "made")
        return {"reference": f"plan:{made.label}"}


def tokens(identifiers: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return ``system|value`` of the identifiers that have both, without repeats."""
    made: dict[str, None] = {}
    for one in identifiers:
        system, value = one.get("system"), one.get("value")
        if system and value:
            made[f"{system}|{value}"] = None
    return list(made)
