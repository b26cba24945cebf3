"""Load the maps once, then plan messages with them.

``load_maps([site_folder]).plan(parse(data), feed)`` is the whole adapter: pure and deterministic.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mappings.feed import Feed
from mappings.parse import Message
from mappings.plan import Plan


class MapError(ValueError):
    """Maps that cannot be used; ``problems`` lists every fault as ``file:line: sentence``."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Maps:
    """The compiled maps.  ``version`` is the hash of every file that was read."""

    def __init__(self, version: str, feeds: Mapping[str, Feed]) -> None:
        self.version = version
        self._feeds = feeds

    @property
    def feeds(self) -> tuple[str, ...]:
        """The names of the feeds that the site described, sorted."""
        return tuple(sorted(self._feeds))

    def feed(self, name: str) -> Feed:
        """Return the settings of feed ``name``; one that nobody described has the defaults."""
        return self._feeds.get(name) or Feed(name)

    def supported(self, message_type: str) -> bool:
        """Whether a map exists for ``ADT^A01``."""
        return False

    def plan(self, message: Message, feed: Feed) -> Plan:
        """Return what the message asks of the record; never raises for what a message holds."""
        return Plan(
            message.type, (), f"feed:{feed.name}", self.version, quarantine="unsupported-message"
        )


def load_maps(dirs: Sequence[Path] = ()) -> Maps:
    """Read the packaged maps, then those of ``dirs``, later folders over earlier ones.

    Raises:
        MapError: with every fault of every file.
    """
    return Maps("stub", {})
