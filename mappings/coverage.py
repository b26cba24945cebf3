"""How much of what a message may say is mapped: by field, for each map; and the page about it.

A field counts as mapped when a rule of the map reads it.  The guide's fields are those that the HL7
v2-to-FHIR guide sends somewhere (``guide.yaml``).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mappings.language import Entries, read
from mappings.maps import Maps
from mappings.parse import NULL, Message
from mappings.segments import fields_of, known_segment, type_of
from mappings.structures import STRUCTURES

_GUIDE = Path(__file__).with_name("guide.yaml")
_NAMES = re.compile(r"(?<![A-Z0-9_])[A-Z][A-Z0-9]{2}(?![A-Z0-9_(])")
HEADERS = frozenset({"MSH", "EVN", "SFT", "UAC", "MSA", "ERR", "QAK", "QPD", "DSC", "MFI"})
_HEAD = """# HL7v2: what is mapped, and what is not

Made from `mappings/` by `scripts/gen_docs.py`. A field is mapped when a rule reads it; the guide's
fields are those that the HL7 v2-to-FHIR guide 1.0.0 sends somewhere. Set numbers (type SI) say
nothing and are not counted. Headers stand in the Provenance ([feeds.md](feeds.md)). What is not
mapped is kept all the same, in the message as received; its explanation says why, as does the end
of this page. The language of the maps is explained in [hl7v2.md](hl7v2.md).
"""


@dataclass(frozen=True, slots=True)
class Covered:
    """The fields of one segment in one map."""

    segment: str
    mapped: tuple[int, ...]
    left: tuple[int, ...]
    guide: frozenset[int]

    @property
    def of_guide(self) -> int:
        """How many of the guide's fields are mapped."""
        return len(self.guide & set(self.mapped))


@cache
def guide_fields() -> frozenset[tuple[str, int]]:
    """Return the fields that the guide maps: (segment, number)."""
    node = read(_GUIDE, "guide.yaml")
    assert isinstance(node, Entries)
    return frozenset((name[:3], int(name[4:])) for name in node)


def segments_of(event: str) -> tuple[str, ...]:
    """Return the segments that a message type may hold, headers and Z segments left out, sorted.

    >>> segments_of("MFN^M02")[:3]
    ('AFF', 'CER', 'EDU')
    """
    text = STRUCTURES.get(event) or STRUCTURES.get(event.partition("^")[0], "")
    found = {name for name in _NAMES.findall(text) if known_segment(name)}
    return tuple(sorted(found - HEADERS))


def covered(maps: Maps, event: str, segment: str) -> Covered:
    """Return what the map of a message type reads of a segment."""
    numbers = [n for n in range(1, fields_of(segment) + 1) if type_of(segment, n) != "SI"]
    read_ = maps.reads(event).get(segment, frozenset())
    return Covered(
        segment,
        tuple(n for n in numbers if n in read_),
        tuple(n for n in numbers if n not in read_),
        frozenset(n for name, n in guide_fields() if name == segment),
    )


def valued_guide_fields(maps: Maps, messages: Iterable[Message]) -> tuple[int, int]:
    """Return how many fields that were sent the guide maps, and how many of those are mapped."""
    sent = mapped = 0
    for message in messages:
        reads = maps.reads(message.type)
        for segment, n, raw in _fields(message):
            if raw and raw != NULL and (segment, n) in guide_fields():
                sent += 1
                mapped += n in reads.get(segment, ())
    return sent, mapped


def _fields(message: Message) -> Iterator[tuple[str, int, str]]:
    for segment in message.segments:
        if segment.name not in HEADERS:
            for n, raw in enumerate(segment.fields):
                yield segment.name, n, raw


# -- the page -------------------------------------------------------------------------------------


def coverage_page(maps: Maps) -> str:
    """Return the page docs/hl7v2-coverage.md."""
    by_map: dict[str, list[str]] = {}
    for event in maps.message_types:
        by_map.setdefault(maps.name(event), []).append(event)
    lines = [_HEAD]
    for name, events in by_map.items():
        lines += _of_map(maps, name, events)
    return "\n".join([*lines, *_reasons(maps)])


def _of_map(maps: Maps, name: str, events: list[str]) -> Iterator[str]:
    yield f"## {name}\n"
    yield f"{', '.join(event.replace('^', ' ') for event in events)}\n"
    yield "| segment | fields | of the guide's | not mapped |"
    yield "|---|---|---|---|"
    known = maps.reads(events[0])
    segments = sorted({segment for event in events for segment in segments_of(event)})
    for segment in segments:
        if segment in known:
            one = covered(maps, events[0], segment)
            guide = f"{one.of_guide} of {len(one.guide)}" if one.guide else "-"
            total = len(one.mapped) + len(one.left)
            yield f"| {segment} | {len(one.mapped)} of {total} | {guide} | {_ranges(one.left)} |"
    whole = [segment for segment in segments if segment not in known]
    yield f"\nNot mapped at all: {', '.join(whole)}.\n" if whole else ""


def _ranges(numbers: tuple[int, ...]) -> str:
    """Return numbers shortly.

    >>> _ranges((1, 2, 3, 7))
    '1-3, 7'
    """
    runs: list[list[int]] = []
    for n in numbers:
        if runs and n == runs[-1][-1] + 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _reasons(maps: Maps) -> Iterator[str]:
    yield "## Why\n"
    yield "A field that only other messages' maps read is explained so (`read in ORU only`).\n"
    yield "| segment or field | reason |"
    yield "|---|---|"
    for name, reason in maps.reasons.written():
        yield f"| {name} | {reason} |"
    yield ""
