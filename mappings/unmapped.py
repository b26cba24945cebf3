"""Why a field that was sent is read by no rule: ``unmapped.yaml``, or the maps that do read it."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from mappings.engine import CompiledMap
from mappings.language import Entries, read

_FILE = Path(__file__).with_name("unmapped.yaml")
_MOST_NAMED = 4  # message codes


class Reasons:
    """The reasons for one set of maps; ``maps`` are those of the package, by message type."""

    def __init__(self, maps: Mapping[str, CompiledMap]) -> None:
        self._fields, self._segments = _written()
        self._elsewhere: dict[tuple[str, int], set[str]] = {}
        for event, one in maps.items():
            code = event.partition("^")[0]
            for segment, numbers in one.reads.items():
                for number in numbers:
                    self._elsewhere.setdefault((segment, number), set()).add(code)
        self._known: dict[tuple[str, str, int], str] = {}

    def why(self, code: str, segment: str, field: int = 0) -> str:
        """Return the reason in messages of ``code`` (``ADT``), ``""`` when there is none.

        ``field`` 0 speaks of the whole segment.
        """
        key = (code, segment, field)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._why(code, segment, field)
        return found

    def written(self) -> Iterator[tuple[str, str]]:
        """Yield (segment or field, reason) as the file has them."""
        yield from self._segments.items()
        yield from self._fields.items()

    def _why(self, code: str, segment: str, field: int) -> str:
        whole = self._segments.get(f"{code}/{segment}") or self._segments.get(segment, "")
        said = self._fields.get(f"{segment}-{field}", "") or whole
        if said:
            return said
        others = self._of(segment, field) - {code}
        if len(others) > _MOST_NAMED:
            return "other messages read it, this map does not"
        return f"read in {', '.join(sorted(others))} only" if others else ""

    def _of(self, segment: str, field: int) -> set[str]:
        if field:
            return self._elsewhere.get((segment, field), set())
        found = [codes for (name, _), codes in self._elsewhere.items() if name == segment]
        return set().union(*found)


@cache
def _written() -> tuple[Mapping[str, str], Mapping[str, str]]:
    node = read(_FILE, "unmapped.yaml")
    assert isinstance(node, Entries)
    return _texts(node, "fields"), _texts(node, "segments")


def _texts(node: Entries, key: str) -> Mapping[str, str]:
    entries = node[key]
    assert isinstance(entries, Entries)
    return {name: str(value) for name, value in entries.items()}
