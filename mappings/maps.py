"""Load the maps once, then plan messages with them.

``load_maps([site_folder]).plan(parse(data), feed)`` is the whole adapter: pure and deterministic.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mappings.engine import CompiledMap, plan
from mappings.feed import Feed
from mappings.load import Loaded, load
from mappings.parse import Message
from mappings.plan import Plan
from mappings.tables import Table
from mappings.unmapped import Reasons


class MapError(ValueError):
    """Maps that cannot be used; ``problems`` lists every fault as ``file:line: sentence``."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Maps:
    """The compiled maps.  ``version`` is the hash of every file that was read."""

    def __init__(self, loaded: Loaded) -> None:
        self.version = loaded.version
        self._loaded = loaded
        own = {event: one for (feed, event), one in loaded.maps.items() if not feed}
        self.reasons = Reasons(own)

    @property
    def feeds(self) -> tuple[str, ...]:
        """The names of the feeds that the site described, sorted."""
        return tuple(sorted(self._loaded.feeds))

    @property
    def tables(self) -> Mapping[str, Table]:
        """The code tables by name."""
        return self._loaded.tables

    @property
    def message_types(self) -> tuple[str, ...]:
        """The message types that have a map for every feed, sorted."""
        return tuple(sorted(event for feed, event in self._loaded.maps if not feed))

    def feed(self, name: str) -> Feed:
        """Return the settings of feed ``name``; one that nobody described has the defaults."""
        return self._loaded.feeds.get(name) or Feed(name)

    def supported(self, message_type: str) -> bool:
        """Whether a map exists for a message type such as ``ADT^A01``, for any feed."""
        return any(event == message_type for _, event in self._loaded.maps)

    def reads(self, message_type: str, feed: str = "") -> Mapping[str, frozenset[int]]:
        """Return the fields, by segment, that the map of a message type reads."""
        found = self._map(message_type, feed)
        return found.reads if found is not None else {}

    def name(self, message_type: str, feed: str = "") -> str:
        """Return the name of the map for a message type, ``base/ADT``; ``""``: there is none."""
        found = self._map(message_type, feed)
        return found.name if found is not None else ""

    def _map(self, message_type: str, feed: str) -> CompiledMap | None:
        maps = self._loaded.maps
        return maps.get((feed, message_type)) or maps.get(("", message_type))

    def plan(self, message: Message, feed: Feed) -> Plan:
        """Return what the message asks of the record; never raises for what a message holds."""
        found = self._map(message.type, feed.name)
        if found is None:
            return self._refused(message, feed, "unsupported-message", "there is no map for it")
        try:
            return plan(found, message, feed, self._loaded.tables, self.version, self.reasons.why)
        except Exception as bug:  # a fault of ours costs one message, not the feed
            return self._refused(
                message, feed, "map-error", f"the map failed: {type(bug).__name__}"
            )

    def _refused(self, message: Message, feed: Feed, reason: str, problem: str) -> Plan:
        return Plan(
            message_type=message.type,
            resources=(),
            lane=f"feed:{feed.name}",
            map_version=self.version,
            quarantine="map-error" if reason == "map-error" else "unsupported-message",
            problem=f"{message.type or 'a message without a type'}: {problem}",
        )


def load_maps(dirs: Sequence[Path] = ()) -> Maps:
    """Read the packaged maps, then those of ``dirs``, later folders over earlier ones.

    Raises:
        MapError: with every fault of every file.
    """
    problems: list[str] = []
    loaded = load(dirs, problems)
    if problems:
        raise MapError(problems)
    return Maps(loaded)
