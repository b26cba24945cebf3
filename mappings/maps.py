"""Load the maps once, then plan messages with them.

``load_maps([site_folder]).plan(parse(data), feed)`` is the whole adapter: pure and deterministic.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mappings.engine import CompiledMap, plan
from mappings.explain import whole
from mappings.feed import Feed
from mappings.language import Entries, texts
from mappings.load import Loaded, load
from mappings.memory import Memory
from mappings.parse import Message
from mappings.plan import ExplainRow, Plan, QuarantineReason
from mappings.tables import Table
from mappings.unmapped import Reasons


class MapError(ValueError):
    """Maps that cannot be used; ``problems`` lists every fault as ``file:line: sentence``."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What one load gave; replaced as a whole, so that a message is planned by one set of maps."""

    loaded: Loaded
    reasons: Reasons
    memory: Memory


class Maps:
    """The compiled maps.  ``version`` is the hash of every file that was read.

    ``refused``: why the files as they are now are not what is used; empty when they are.
    """

    def __init__(self, loaded: _Loaded) -> None:
        self._now = loaded
        self.refused: tuple[str, ...] = ()

    def adopt(self, other: "Maps") -> None:
        """Be what ``other`` is from now on; a message that is being planned is not disturbed."""
        self._now = other._now
        self.refused = ()

    @property
    def version(self) -> str:
        """The hash of every file that was read."""
        return self._now.loaded.version

    @property
    def reasons(self) -> Reasons:
        """Why fields are not mapped."""
        return self._now.reasons

    @property
    def feeds(self) -> tuple[str, ...]:
        """The names of the feeds that the site described, sorted."""
        return tuple(sorted(self._now.loaded.feeds))

    @property
    def tables(self) -> Mapping[str, Table]:
        """The code tables by name."""
        return self._now.loaded.tables

    @property
    def trees(self) -> Mapping[str, Entries]:
        """The maps by name as written, with what they extend."""
        return self._now.loaded.trees

    def extends(self, name: str) -> tuple[str, ...]:
        """Return the names of the maps that a map extends."""
        node = self._now.loaded.written[name].get("extends")
        return tuple(str(text) for text in texts(node)) if node is not None else ()

    @property
    def maps(self) -> Mapping[tuple[str, str], str]:
        """The name of the map of each (feed, message type); the feed is ``""`` for all."""
        return {key: one.name for key, one in self._now.loaded.maps.items()}

    @property
    def message_types(self) -> tuple[str, ...]:
        """The message types that have a map for every feed, sorted."""
        return tuple(sorted(event for feed, event in self._now.loaded.maps if not feed))

    def feed(self, name: str) -> Feed:
        """Return the settings of feed ``name``; one that nobody described has the defaults."""
        return self._now.loaded.feeds.get(name) or Feed(name)

    def supported(self, message_type: str) -> bool:
        """Whether a map exists for a message type such as ``ADT^A01``, for any feed."""
        return any(event == message_type for _, event in self._now.loaded.maps)

    def reads(self, message_type: str, feed: str = "") -> Mapping[str, frozenset[int]]:
        """Return the fields, by segment, that the map of a message type reads."""
        found = self._map(message_type, feed)
        return found.reads if found is not None else {}

    def name(self, message_type: str, feed: str = "") -> str:
        """Return the name of the map for a message type, ``base/ADT``; ``""``: there is none."""
        found = self._map(message_type, feed)
        return found.name if found is not None else ""

    def _map(self, message_type: str, feed: str) -> CompiledMap | None:
        maps = self._now.loaded.maps
        return maps.get((feed, message_type)) or maps.get(("", message_type))

    def explain(self, plan: Plan, message: Message, feed: str = "") -> Sequence[ExplainRow]:
        """Return all that can be said of a plan that these maps made of the message."""
        found = self._map(message.type, feed)
        if found is None:
            return plan.explain
        return whole(plan, self.trees[found.name], message)

    def plan(self, message: Message, feed: Feed) -> Plan:
        """Return what the message asks of the record; never raises for what a message holds."""
        now = self._now
        maps = now.loaded.maps
        found = maps.get((feed.name, message.type)) or maps.get(("", message.type))
        if found is None:
            return _refused(message, feed, "unsupported-message", "there is no map for it", now)
        try:
            return plan(
                found,
                message,
                feed,
                now.loaded.tables,
                now.loaded.version,
                now.reasons.why,
                now.memory,
            )
        except Exception as bug:  # a fault of ours costs one message, not the feed
            told = f"the map failed: {type(bug).__name__}"
            return _refused(message, feed, "map-error", told, now)


def _refused(
    message: Message, feed: Feed, reason: QuarantineReason, problem: str, now: _Loaded
) -> Plan:
    return Plan(
        message_type=message.type,
        resources=(),
        lane=f"feed:{feed.name}",
        map_version=now.loaded.version,
        quarantine=reason,
        problem=f"{message.type or 'a message without a type'}: {problem}",
    )


def load_maps(dirs: Sequence[Path] = ()) -> Maps:
    """Read the packaged maps, then those of ``dirs``, later folders over earlier ones.

    Raises:
        MapError: with every fault of every file.
    """
    return Maps(_read(tuple(dirs)) if dirs else _packaged())


@cache
def _packaged() -> _Loaded:
    """Return what the package holds, which does not change while the program runs."""
    return _read(())


def _read(dirs: Sequence[Path]) -> _Loaded:
    problems: list[str] = []
    loaded = load(dirs, problems)
    if problems:
        raise MapError(problems)
    own = {event: one for (feed, event), one in loaded.maps.items() if not feed}
    return _Loaded(loaded, Reasons(own), Memory())
