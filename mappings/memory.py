"""What rules gave for codes that come again: a hospital's classes, wards and diagnoses are few.

A rule that looks at nothing but coded fields of its own segment gives the same for the same texts,
in messages of one feed, facility, event and set of delimiters: the value, its explanation, what was
not mapped.  It is kept and given as a copy.  Names, numbers and times, of which every message has
others, are never kept: a rule that looks at one of them runs.
"""

from collections.abc import Callable, Sequence
from itertools import count
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from mappings.constants import maker
from mappings.feed import Feed
from mappings.parse import NULL, Message
from mappings.plan import Unmapped
from mappings.segments import type_of

if TYPE_CHECKING:
    from mappings.source import Scope

Rule = Callable[["Scope", str], Any]
Key = tuple[int, str, str, str | tuple[str, ...]]
Authority = tuple[str, str, str, str]  # namespace, universal id, its type, role: Run.authority

_MOST_KEPT = 8192  # outcomes, of all feeds together: some ten megabytes
_LONGEST = 256  # characters of the texts of one
_COMING_AGAIN = frozenset({"CWE", "ID", "IS", "HD", "XON", "PL", "FC"})
_numbers = count(1)


class Outcome:
    """What a rule gave: a value to copy, and what it said besides."""

    __slots__ = ("copy", "odd", "rows", "unmapped", "value", "warnings")

    def __init__(
        self,
        value: Any,
        rows: tuple[tuple[str, str, str, str], ...],
        unmapped: tuple[Unmapped, ...],
        warnings: tuple[str, ...],
    ) -> None:
        self.value = value
        self.copy = maker(value) if isinstance(value, (dict, list)) else None
        self.rows = rows
        self.unmapped = unmapped
        self.warnings = warnings
        self.odd = bool(unmapped or warnings)


class Known:
    """The outcomes in messages of one kind: one feed, facility, event and set of delimiters."""

    __slots__ = ("_memory", "authorities", "feed", "get", "kept")

    def __init__(self, memory: "Memory", feed: Feed) -> None:
        self._memory = memory
        self.feed = feed
        self.kept: dict[Key, Outcome] = {}
        self.get = self.kept.get
        self.authorities: dict[Authority, str] = {}  # to identifier systems

    def keep(self, key: Key, outcome: Outcome) -> None:
        """Keep an outcome."""
        self._memory.count()
        self.kept[key] = outcome

    def keep_authority(self, authority: Authority, system: str) -> None:
        """Keep the identifier system of an assigning authority, if it is not too long."""
        if sum(map(len, authority)) <= _LONGEST:
            self._memory.count()
            self.authorities[authority] = system


class Memory:
    """The outcomes of the rules of one load of the maps; all are forgotten when there are many."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str, str], Known] = {}
        self._count = 0

    def of(self, message: Message, feed: Feed, facility: str) -> Known | None:
        """Return what is known of messages like this one; ``None``: nothing is to be kept."""
        key = (feed.name, facility, message.type, message.delimiters)
        found = self._known.get(key)
        if found is not None and (found.feed is feed or found.feed == feed):
            return found
        if sum(map(len, key)) > _LONGEST:
            return None
        self.count()
        made = self._known[key] = Known(self, feed)
        return made

    def count(self) -> None:
        """Count one more thing to keep; forget all others first when it is one too many."""
        self._count += 1
        if self._count > _MOST_KEPT:
            self._known.clear()
            self._count = 1


def comes_again(segment: str, fields: Sequence[int]) -> bool:
    """Whether the same texts stand in these fields in one message after the other."""
    return all(type_of(segment, field) in _COMING_AGAIN for field in fields)


def remembering(rule: Rule, fields: Sequence[int]) -> Rule:
    """Return a rule that looks at these fields of its segment alone, with a memory."""
    number = next(_numbers)
    pick: Callable[[list[str]], Any] = itemgetter(*fields) if fields else lambda _fields: ""

    def remembered(scope: "Scope", to: str) -> Any:
        run = scope.run
        known = run.known
        if known is None:
            return rule(scope, to)
        segment = scope.segment
        assert segment is not None
        key = (number, segment.label, to, pick(segment.fields))
        found = known.get(key)
        if found is None:
            return _learnt(rule, scope, to, known, key)
        run.rows += found.rows
        if found.odd:
            run.unmapped += found.unmapped
            run.warnings += found.warnings
        copy = found.copy
        return found.value if copy is None else copy()

    return remembered


def _learnt(rule: Rule, scope: "Scope", to: str, known: Known, key: Key) -> Any:
    """Run the rule and keep what it gives; the rules inside it keep nothing of their own."""
    run = scope.run
    rows, unmapped, warnings = len(run.rows), len(run.unmapped), len(run.warnings)
    run.known = None
    value = rule(scope, to)
    run.known = known
    texts = key[3] if isinstance(key[3], tuple) else (key[3],)
    if sum(map(len, texts)) > _LONGEST or any(NULL in text for text in texts):
        return value  # what "" deletes is noted beside the value
    made = Outcome(
        value,
        tuple(run.rows[rows:]),
        tuple(run.unmapped[unmapped:]),
        tuple(run.warnings[warnings:]),
    )
    known.keep(key, made)
    return value if made.copy is None else made.copy()
