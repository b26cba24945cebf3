"""Bytes -> message.  HL7 v2.9 chapter 2.6 and 2.7 (encoding rules), read tolerantly.

The reader keeps what was sent: fields stay raw text until somebody asks for a value, so nothing is
lost by a guess.  What looks wrong is a diagnostic; only bytes without a usable ``MSH`` are refused.

A path names a value: ``PID-3[2].4.1`` is the first sub-component of the fourth component of the
second repetition of PID-3; ``NK1[2]-3`` speaks of the second NK1.  Left out means the first.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mappings.charsets import decode
from mappings.escapes import unescape

NULL = '""'  # "delete what you have" (v2.9 chapter 2.5.3.1), as opposed to an empty field

_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}")
_LINE = re.compile(r"[^\r\n]+")
_PATH = re.compile(
    r"(?P<segment>[A-Z][A-Z0-9]{2})(?:\[(?P<ordinal>\d+)\])?-(?P<field>\d+)"
    r"(?:\[(?P<repeat>\d+)\])?(?:\.(?P<component>\d+))?(?:\.(?P<sub>\d+))?"
)
_TEXT_SEGMENTS = frozenset({"OBX", "NTE"})  # their text may hold line ends that nobody escaped
_BATCH = frozenset({"FHS", "BHS", "BTS", "FTS"})
_SWITCH = re.compile(r"\\[CM][0-9A-Fa-f]{4,6}\\")
_MESSAGE_START = re.compile(rb"(?:(?<=[\r\n\x0b\x1c])|\A|(?<=\xef\xbb\xbf))MSH")
_BATCH_LINE = re.compile(rb"[\r\n\x0b\x1c](?:BTS|FTS|BHS|FHS)[^A-Z0-9][^\r\n]*")
_USUAL = "^~\\&"

# What one message may hold; the frame's 16 MiB alone would let it cost minutes and gigabytes.
MAX_SEGMENTS = 100_000
MAX_REPETITIONS = 100_000  # in all fields together
MAX_VALUES = 2_000_000  # fields, repetitions and components
MAX_DIAGNOSTICS = 100  # told of; the last one says that there were more


class Unparsable(ValueError):
    """The bytes are not one HL7v2 message; ``reason`` says why, without any of their content."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """Something odd in an otherwise readable message.  ``line`` counts from 1."""

    code: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class Path:
    """A field path taken apart; numbers count from 1, ``0`` is "not stated"."""

    segment: str
    ordinal: int
    field: int
    repeat: int = 0
    component: int = 0
    sub: int = 0


class Segment:
    """One segment.  ``fields[n]`` is the raw text of field n, ``fields[0]`` the segment's name.

    ``label`` is the start of its paths: ``PID``, or ``NK1[2]`` when the message has several.
    ``start`` is its offset in ``Message.text``.
    """

    __slots__ = ("_sent", "fields", "label", "line", "name", "start")

    def __init__(self, name: str, fields: list[str], line: int, start: int) -> None:
        self.name = name
        self.fields = fields
        self.line = line
        self.start = start
        self.label = name
        self._sent: int | None = None

    @property
    def sent(self) -> int:
        """The fields that hold anything, as bits: :func:`bit` for each."""
        found = self._sent
        if found is None:
            found = self._sent = int.from_bytes(bytes(map(bool, self.fields)), "little")
        return found

    def raw(self, field: int) -> str:
        """Return field ``field`` as sent; ``""`` when the segment is shorter."""
        return self.fields[field] if field < len(self.fields) else ""

    def __repr__(self) -> str:
        return f"<{self.label} at line {self.line}>"


def bit(field: int) -> int:
    """Return the bit of a field in :attr:`Segment.sent`: the first of a byte."""
    return 1 << 8 * field


NAME = bit(0)  # of every segment that was sent


class Message:
    """A message read from bytes.

    ``delimiters`` are field, component, repetition, escape, subcomponent and, when declared (v2.7),
    truncation.  ``codec`` is the Python name of the character set that was read.
    """

    __slots__ = ("_skipped", "_type", "codec", "delimiters", "diagnostics", "segments", "text")

    def __init__(self, text: str, delimiters: str, codec: str, skipped: int) -> None:
        self.text = text
        self.delimiters = delimiters
        self.codec = codec
        self.segments: tuple[Segment, ...] = ()
        self.diagnostics: tuple[Diagnostic, ...] = ()
        self._skipped = skipped
        self._type: str | None = None

    @property
    def type(self) -> str:
        """``ADT^A01``: MSH-9.1 and MSH-9.2, found elsewhere when the sender left them out.

        The event may be in EVN-1 (v2.1) or in the structure MSH-9.3; an ORU without an event can
        only be R01.  ``""`` when MSH-9 is empty.
        """
        if self._type is None:
            self._type = self._read_type()
        return self._type

    def _read_type(self) -> str:
        raw = self.segments[0].raw(9).partition(self.delimiters[2])[0]
        code, event, structure = (self.value(raw, n) for n in (1, 2, 3))
        if "_" in code and not event:
            code, _, event = code.partition("_")
        if not code:
            code = structure.partition("_")[0]
        if not event:
            event = self.get("EVN-1") or structure.partition("_")[2]
        if not event and code == "ORU":
            event = "R01"
        return f"{code}^{event}" if event else code

    @property
    def event(self) -> str:
        """The trigger event, ``A01`` of ``ADT^A01``; ``""`` when there is none."""
        return self.type.partition("^")[2]

    @property
    def control_id(self) -> str:
        """MSH-10 as received, ``""`` when blank."""
        return self.segments[0].raw(10)

    @property
    def version(self) -> str:
        """MSH-12.1, ``""`` when blank."""
        return self.get("MSH-12")

    def all(self, name: str) -> Iterator[Segment]:
        """Yield the segments called ``name``, in order."""
        return (segment for segment in self.segments if segment.name == name)

    def first(self, name: str) -> Segment | None:
        """Return the first segment called ``name``."""
        return next(self.all(name), None)

    def repeats(self, segment: Segment, field: int) -> list[str]:
        """Return the raw repetitions of a field; empty when nothing was sent."""
        raw = segment.raw(field)
        if not raw:
            return []
        if segment.name == "MSH" and field <= 2:  # the delimiters themselves
            return [raw]
        return raw.split(self.delimiters[2])

    def value(self, raw: str, component: int = 1, sub: int = 1) -> str:
        """Return one sub-component of a raw repetition, unescaped and stripped of blanks."""
        parts = raw.split(self.delimiters[1])
        if component > len(parts):
            return ""
        subs = parts[component - 1].split(self.delimiters[4])
        return self.plain(subs[sub - 1]) if sub <= len(subs) else ""

    def plain(self, raw: str) -> str:
        """Return raw text unescaped, line ends as ``\\n``, without blanks at its ends."""
        if self.delimiters[3] in raw:
            raw = unescape(raw, self.delimiters, self.codec)
        if "\r" in raw:
            raw = raw.replace("\r\n", "\n").replace("\r", "\n")
        return raw.strip()

    def text_of(self, segment: Segment, field: int) -> str:
        """Return what :meth:`get` does for a field of ``segment`` (not MSH-1, MSH-2)."""
        fields = segment.fields
        raw = fields[field] if field < len(fields) else ""
        if not raw:
            return ""
        marks = self.delimiters
        if marks[2] in raw:
            raw = raw.partition(marks[2])[0]
        if marks[1] in raw:
            raw = raw.partition(marks[1])[0]
        if marks[4] in raw:
            raw = raw.partition(marks[4])[0]
        return self.plain(raw) if marks[3] in raw or "\r" in raw else raw.strip()

    def get(self, path: str) -> str:
        """Return the value at ``path``, ``""`` when it was not sent, ``'""'`` when deleted.

        Raises:
            ValueError: ``path`` is not a field path.
        """
        wanted = path_of(path)
        if (segment := self._segment(wanted)) is None:
            return ""
        if wanted.segment == "MSH" and wanted.field <= 2:
            return segment.raw(wanted.field)
        repeats = self.repeats(segment, wanted.field)
        at = (wanted.repeat or 1) - 1
        if at >= len(repeats):
            return ""
        return self.value(repeats[at], wanted.component or 1, wanted.sub or 1)

    def span(self, path: str) -> tuple[int, int] | None:
        """Return the offsets in the received bytes of the field, repetition, ... at ``path``.

        ``None`` when it was not sent.  Exact for character sets without shift states.
        """
        wanted = path_of(path)
        segment = self._segment(wanted)
        if segment is None or wanted.field >= len(segment.fields):
            return None
        field_at = wanted.field - 1 if segment.name == "MSH" else wanted.field
        start = segment.start + sum(len(f) + 1 for f in segment.fields[: wanted.field])
        if segment.name == "MSH":  # MSH-1 is the separator itself: it has no separator before it
            start -= 2 if field_at >= 1 else 1
        raw = segment.fields[wanted.field]
        if segment.name != "MSH" or wanted.field > 2:
            marks = (self.delimiters[2], self.delimiters[1], self.delimiters[4])
            steps = (wanted.repeat, wanted.component, wanted.sub)
            for mark, number in zip(marks, steps, strict=True):
                if number == 0:
                    continue
                parts = raw.split(mark)
                if number > len(parts):
                    return None
                start += sum(len(part) + 1 for part in parts[: number - 1])
                raw = parts[number - 1]
        before = self._skipped + len(self.text[:start].encode(self.codec, "replace"))
        return before, before + len(raw.encode(self.codec, "replace"))

    def _segment(self, wanted: Path) -> Segment | None:
        found = [s for s in self.segments if s.name == wanted.segment]
        at = (wanted.ordinal or 1) - 1
        return found[at] if at < len(found) else None


@lru_cache(maxsize=4096)
def path_of(text: str) -> Path:
    """Take a field path apart.

    >>> path_of("PID-3[2].4.1")
    Path(segment='PID', ordinal=0, field=3, repeat=2, component=4, sub=1)
    """
    found = _PATH.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a field path such as PID-3[1].4.2")
    numbers = {k: int(v or 0) for k, v in found.groupdict().items() if k != "segment"}
    return Path(found["segment"], **numbers)


def parse(data: bytes) -> Message:
    """Read one message.

    Block characters (VT, FS), a byte order mark and blank lines around it do not matter.  CR, LF
    and CRLF end a segment.  A line that is no segment was torn off the segment before it when it
    holds a field separator, or when that segment carries text (OBX, NTE): then it is joined to it.
    Any other is left out.  Both are diagnostics.

    Raises:
        Unparsable: there is no MSH, it is too short to hold the delimiters, there are two, or
            the message is above one of the limits of this module.
    """
    decoded = decode(data)
    text = decoded.text
    found: list[Diagnostic] = []
    if decoded.doubt:
        found.append(Diagnostic("charset", 1, decoded.doubt))
    lines = _lines(text)
    at = next((n for n, (_, _, line) in enumerate(lines) if line.startswith("MSH")), None)
    if at is None:
        raise Unparsable("there is no MSH segment" if data.strip() else "there are no bytes")
    found += [
        Diagnostic("junk", number, "a line before MSH was left out")
        for number, _, line in lines[:at]
        if line[:3] not in _BATCH
    ]
    delimiters = _delimiters(lines[at][2], found)
    _limit(text, len(lines), delimiters)
    message = Message(text, delimiters, decoded.codec, decoded.skipped_bytes)
    message.segments = _segments(text, lines[at:], delimiters, found)
    if delimiters[3] == "\\" and _SWITCH.search(text):
        found.append(Diagnostic("charset-switch", 1, "\\C..\\ or \\M..\\ was left out"))
    if len(found) > MAX_DIAGNOSTICS:
        more = Diagnostic("more", found[MAX_DIAGNOSTICS].line, f"{len(found)} lines look wrong")
        found[MAX_DIAGNOSTICS - 1 :] = [more]
    message.diagnostics = tuple(found)
    return message


def _limit(text: str, lines: int, delimiters: str) -> None:
    repetitions = text.count(delimiters[2])
    values = repetitions + text.count(delimiters[0]) + text.count(delimiters[1])
    for what, number, most in (
        ("lines", lines, MAX_SEGMENTS),
        ("repetitions", repetitions, MAX_REPETITIONS),
        ("values", values, MAX_VALUES),
    ):
        if number > most:
            raise Unparsable(f"it has {number} {what}, more than the limit of {most}")


def split_messages(data: bytes) -> list[bytes]:
    """Split a batch file (FHS, BHS) or messages one after the other, at each line ``MSH``.

    What is not part of a message (FHS, BHS, BTS, FTS) is left out.  One message gives itself, bytes
    without any give nothing.
    """
    starts = [found.start() for found in _MESSAGE_START.finditer(data)]
    if not starts:
        return []
    ends = [*starts[1:], len(data)]
    return [_BATCH_LINE.sub(b"", data[a:b]) for a, b in zip(starts, ends, strict=True)]


def _lines(text: str) -> list[tuple[int, int, str]]:
    """Return (line number, offset, line) of the lines that are not blank."""
    made: list[tuple[int, int, str]] = []
    if text.replace("\r", "").isprintable():  # no LF, no block characters: most messages
        at = 0
        for line in text.split("\r"):
            if line and line[0] != " ":
                made.append((len(made) + 1, at, line))
            elif bare := line.lstrip(" "):
                made.append((len(made) + 1, at + len(line) - len(bare), bare))
            at += len(line) + 1
        return made
    for found in _LINE.finditer(text):
        line = found[0]
        bare = line.lstrip("\x0b\x1c\x00\ufeff \t")
        if bare.strip("\x0b\x1c\x00 \t"):
            start = found.start() + len(line) - len(bare)
            made.append((len(made) + 1, start, bare.rstrip("\x1c\x00")))
    return made


def _delimiters(line: str, found: list[Diagnostic]) -> str:
    field = line[3:4]
    if not field or field.isalnum() or field.isspace():
        raise Unparsable("MSH does not declare a field separator")
    declared = line[4:].split(field, 1)[0]
    if len(declared) < 4:
        found.append(Diagnostic("delimiters", 1, f"MSH-2 declares {len(declared)} of 4 delimiters"))
        declared += _USUAL[len(declared) :]
    if len(set(field + declared[:4])) < 5:
        declared = "".join(dict.fromkeys(declared))  # "^~\\\\&": written by a program that escapes
        if len(declared) < 4 or field in declared:
            raise Unparsable("MSH declares one character for two delimiters")
        found.append(Diagnostic("delimiters", 1, "MSH-2 repeats a delimiter"))
    return field + declared[:5]


def _segments(
    text: str,
    lines: Sequence[tuple[int, int, str]],
    delimiters: str,
    found: list[Diagnostic],
) -> tuple[Segment, ...]:
    field = delimiters[0]
    open_: list[tuple[int, int, int]] = []  # line number, start, end of each segment
    for number, start, line in lines:
        name = line[:3]
        if line[3:4] == field and _SEGMENT.fullmatch(name):
            if name in _BATCH:
                continue
            if name == "MSH" and open_:
                raise Unparsable("there are two MSH segments: this is a batch, split it first")
            open_.append((number, start, start + len(line)))
        elif field in line or text[open_[-1][1] : open_[-1][1] + 3] in _TEXT_SEGMENTS:
            open_[-1] = (open_[-1][0], open_[-1][1], start + len(line))
            found.append(Diagnostic("continuation", number, "a line end inside a field was kept"))
        else:
            found.append(Diagnostic("junk", number, "a line that is no segment was left out"))
    made = [_segment(text[start:end], number, start, field) for number, start, end in open_]
    _label(made)
    return tuple(made)


def _segment(line: str, number: int, start: int, field: str) -> Segment:
    fields = line.split(field)
    if fields[0] == "MSH":
        fields.insert(1, field)
    return Segment(fields[0], fields, number, start)


def _label(segments: list[Segment]) -> None:
    if len({segment.name for segment in segments}) == len(segments):
        return
    counts: dict[str, int] = {}
    for segment in segments:
        counts[segment.name] = counts.get(segment.name, 0) + 1
    seen: dict[str, int] = {}
    for segment in segments:
        if counts[segment.name] > 1:
            seen[segment.name] = seen.get(segment.name, 0) + 1
            segment.label = f"{segment.name}[{seen[segment.name]}]"
