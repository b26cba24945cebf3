"""The MSH segment, read from raw bytes: what an acknowledgement needs, and nothing else.

Reading it does not depend on the message being parsable, and every value stays the bytes that
came, so that MSA-2 is MSH-10 exactly as received (HL7 v2.5 section 2.9.2).
"""

import re
from dataclasses import dataclass, replace

_LINE_END = re.compile(rb"[\r\n]")
_START = re.compile(
    rb"(?:\A|(?<=[\r\n]))[\xef\xbb\xbf\t \x00]*MSH"
)  # also behind a byte order mark
_HEAD_BYTES = 65536
_SPACE = 0x20
_VERSION = re.compile(r"\d{1,4}(\.\d{1,4}){0,4}")


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of one MSH segment.

    ``separator`` is MSH-1, ``encoding`` MSH-2 (``^~\\&`` where the message states none);
    ``fields[0]`` is MSH-1, so that ``field(10)`` is MSH-10.
    """

    separator: bytes
    encoding: bytes
    fields: tuple[bytes, ...]

    def field(self, number: int) -> bytes:
        """Return MSH-``number`` as received; empty when it is not there."""
        return self.fields[number - 1] if number <= len(self.fields) else b""

    def component(self, number: int, component: int) -> str:
        """Return a component of the first repetition as text; empty when it is not there."""
        first = self.field(number).split(self.encoding[1:2])[0]
        parts = first.split(self.encoding[0:1])
        chosen = parts[component - 1] if component <= len(parts) else b""
        return chosen.decode("ascii", "replace").strip()

    @property
    def control_id(self) -> bytes:
        """MSH-10 as received."""
        return self.field(10)

    @property
    def message_type(self) -> str:
        """``ADT^A04``: message code and trigger event, whatever delimiters the message uses."""
        return "^".join(part for part in (self.component(9, 1), self.component(9, 2)) if part)

    @property
    def version(self) -> tuple[int, ...]:
        """MSH-12 as numbers: ``(2, 5, 1)``; empty when it is not a version."""
        text = self.component(12, 1)
        return tuple(map(int, text.split("."))) if _VERSION.fullmatch(text) else ()

    @property
    def enhanced(self) -> bool:
        """True when MSH-15 or MSH-16 is valued (HL7 v2.5 section 2.9.3)."""
        return bool(self.component(15, 1) or self.component(16, 1))

    def stating(self, accept: bytes, application: bytes) -> "Header":
        """Return the header as if MSH-15 and MSH-16 were these."""
        fields = [*self.fields, *[b""] * (16 - len(self.fields))]
        fields[14:16] = [accept, application]
        return replace(self, fields=tuple(fields))

    @property
    def is_acknowledgement(self) -> bool:
        """True for messages that must never be acknowledged themselves."""
        return self.component(9, 1) in ("ACK", "MCF")


def read_header(message: bytes) -> Header | None:
    r"""Return the MSH segment of ``message``; ``None`` when there is none that can be read.

    Lines before it (batch headers, junk) are passed over.

    >>> read_header(b"MSH|^~\\&|LAB|SITE\rPID|1").field(4)
    b'SITE'
    >>> read_header(b"PID|1") is None
    True
    """
    start = _START.search(message, 0, _HEAD_BYTES)
    if start is None:
        return None
    return read_segment(message[start.end() - 3 :][:_HEAD_BYTES])


def read_segment(text: bytes) -> Header | None:
    """Return the fields of the MSH, FHS or BHS segment that ``text`` begins with."""
    line = _LINE_END.split(text, maxsplit=1)[0]
    separator = line[3:4]
    if separator.isalnum() or not separator or separator[0] <= _SPACE:
        return None
    fields = line[4:].split(separator)
    encoding = _encoding(fields[0])
    return Header(separator, encoding, (separator, *fields))


def _encoding(stated: bytes) -> bytes:
    """Fill what MSH-2 leaves out with the recommended characters."""
    return stated + b"^~\\&"[len(stated) :] if len(stated) < 4 else stated


def split_messages(body: bytes) -> list[bytes]:
    r"""Return the messages in one frame: a batch or a bare concatenation holds several.

    A further message begins where a line begins with the very MSH-1 and MSH-2 of the first one;
    lines of FHS, BHS, BTS and FTS belong to no message, others before the first one to it.  What
    came without a socket may still have MLLP's bytes around each message.

    >>> split_messages(b"MSH|^~\\&|A\rPID|1\rMSH|^~\\&|B\r")
    [b'MSH|^~\\&|A\rPID|1\r', b'MSH|^~\\&|B\r']
    >>> split_messages(b"MSH|^~\\&|A\r\x1c\r\x0bMSH|^~#&|B\r")
    [b'MSH|^~\\&|A\r', b'MSH|^~#&|B\r']
    >>> split_messages(b"junk")
    [b'junk']
    """
    frames = _NEXT_FRAME.split(body) if b"\x0b" in body else [body]
    return [message for text in frames for message in _split(text)]


_NEXT_FRAME = re.compile(rb"\x1c[\r\n]*\x0b|(?<=[\r\n])\x0b(?=MSH)")


def _split(body: bytes) -> list[bytes]:
    if body.count(b"MSH") < 2:
        return [body]
    header = read_header(body)
    if header is None:
        return [body]
    mark = b"MSH" + header.separator + header.field(2) + header.separator
    starts = [m.start() for m in re.finditer(rb"(?:^|(?<=[\r\n]))" + re.escape(mark), body)]
    if len(starts) < 2:
        return [body]
    starts[0], ends = 0, [*starts[1:], len(body)]
    return [_without_trailer(body[a:b]) for a, b in zip(starts, ends, strict=True)]


_TRAILER = re.compile(rb"(?:^|(?<=[\r\n]))(?:BTS|FTS|BHS|FHS)[^\r\n]*[\r\n]*")


def _without_trailer(message: bytes) -> bytes:
    return _TRAILER.sub(b"", message)
