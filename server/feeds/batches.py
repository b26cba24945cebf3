"""Batches: HL7 v2.5 section 2.10.3, ``[FHS] { [BHS] { MSH ... } [BTS] } [FTS]``.

:class:`Splitter` cuts a stream of any length into its parts and keeps no more than one message;
:class:`Reply` makes of the answers the response batch.  Pure: no file, no socket.
"""

import re
from dataclasses import dataclass

from server.feeds.framing import HEAD_BYTES, MAX_MESSAGE_BYTES, TooLarge
from server.feeds.header import Header, read_segment

_EDGE = rb"[\xef\xbb\xbf\t \x00\x0b\x1c]*"  # what stands between messages, MLLP's bytes included
_MARK = re.compile(rb"(?:\A|(?<=[\r\n]))" + _EDGE + rb"(MSH|FHS|BHS|BTS|FTS)")
_BLANK = b"\r\n\t \x00\x0b\x1c\xef\xbb\xbf"
_LINE_END = re.compile(rb"[\r\n]")


@dataclass(frozen=True, slots=True)
class Line:
    """A batch segment: ``name`` is FHS, BHS, BTS or FTS, ``header`` what FHS and BHS hold."""

    name: bytes
    header: Header | None


Part = bytes | Line | TooLarge


class Splitter:
    """Cuts a file or frame into batch segments and messages.

    A message begins where a line begins with the MSH-1 and MSH-2 of the first one of its batch, so
    that a note that quotes another message is not taken for one.  What stands before the first
    message and is no batch segment belongs to it.
    """

    def __init__(self, max_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept = bytearray()  # from the begin of the part that is not complete
        self._scan = 0  # where in it unseen lines begin
        self._begun = False  # a message has begun
        self._mark = b""
        self._head: bytes | None = None  # of a message that is too large
        self._dropped = 0

    def feed(self, data: bytes) -> list[Part]:
        """Take the next bytes; return the parts that they complete, in order."""
        self._kept += data
        made = self._cut(max(self._kept.rfind(b"\r"), self._kept.rfind(b"\n")) + 1)
        self._bound()
        return made

    def finish(self) -> list[Part]:
        """Return the last parts, at the end of the stream."""
        return [*self._cut(len(self._kept)), *self._message(0, len(self._kept))]

    def _cut(self, upto: int) -> list[Part]:
        """Return the parts that are complete before ``upto``, where a line ends."""
        made: list[Part] = []
        begin, at = 0, self._scan
        while (found := _MARK.search(self._kept, at, upto)) is not None:
            name, at = bytes(found[1]), found.end()
            if name != b"MSH":
                made += self._message(begin, found.start())
                begin = self._line_end(at, upto)
                line = bytes(self._kept[found.start(1) : begin])
                made.append(Line(name, read_segment(line) if name in (b"FHS", b"BHS") else None))
                at, self._mark = begin, b""
            elif not self._begun:
                self._begin(found.start(1))
            elif self._kept.startswith(self._mark, found.start(1)):
                made += self._message(begin, found.start())
                begin = found.start()
                self._begun = True
        del self._kept[:begin]
        self._scan = max(upto, at) - begin
        return made

    def _begin(self, start: int) -> None:
        """Note how further messages of this batch begin."""
        self._begun = True
        if not self._mark:
            header = read_segment(bytes(self._kept[start : start + HEAD_BYTES]))
            self._mark = b"MSH"
            if header is not None:
                self._mark += header.separator + header.field(2) + header.separator

    def _message(self, begin: int, end: int) -> list[Part]:
        """Return what stands there as a message, nothing when it is blank."""
        body = bytes(self._kept[begin:end]).strip(_BLANK)
        size = self._dropped + end - begin
        head, self._head, self._dropped, self._begun = self._head, None, 0, False
        if head is not None or len(body) > self._max_bytes:
            return [TooLarge((head or body)[:HEAD_BYTES], size)]
        return [body + b"\r"] if body else []

    def _bound(self) -> None:
        """Let go of the message at hand when it is too large, but for its head."""
        if self._head is None and len(self._kept) <= self._max_bytes:
            return
        if self._head is None:
            self._head = bytes(self._kept[:HEAD_BYTES])
        seen = self._scan - 1  # a line is known by the end of the one before
        if seen < 0:
            seen = len(self._kept) - 1
        self._dropped += seen
        del self._kept[:seen]
        self._scan = max(self._scan - seen, 0)

    def _line_end(self, at: int, upto: int) -> int:
        found = _LINE_END.search(self._kept, at, upto)
        return found.end() if found is not None else upto


class Reply:
    """The response batch, piece by piece, in the order of the parts answered.

    ``control_id`` and ``at`` are MSH-10 and MSH-7 of the answer's own headers.
    """

    def __init__(self, *, control_id: str, at: str) -> None:
        self._own = (control_id.encode(), at.encode())
        self._file = self._batch = False
        self._count = self._batches = 0
        self._separator = b"|"

    def line(self, part: Line) -> bytes:
        """Return what answers a batch segment."""
        if part.name == b"FHS":
            made, self._file = self.end(), True
            return made + self._header(part)
        if part.name == b"BHS":
            made, self._batch = self._end_batch(), True
            return made + self._header(part)
        return self._end_batch() if part.name == b"BTS" else self.end()

    def answer(self, message: bytes) -> bytes:
        """Return an acknowledgement as it stands in the batch."""
        self._count += 1
        return message

    def end(self) -> bytes:
        """Return the trailers of what is open."""
        made = self._end_batch()
        if self._file:
            made += b"FTS%b%d\r" % (self._separator, self._batches)
            self._file, self._batches = False, 0
        return made

    def _end_batch(self) -> bytes:
        if not self._batch:
            return b""
        made = b"BTS%b%d\r" % (self._separator, self._count)
        self._batch, self._count = False, 0
        self._batches += 1
        return made

    def _header(self, part: Line) -> bytes:
        """FHS or BHS with sender and receiver changed places, and what it answers in field 12."""
        control_id, at = self._own
        asked = part.header or Header(b"|", b"^~\\&", (b"|", b"^~\\&"))
        self._separator = asked.separator
        fields = [asked.field(2) or asked.encoding, asked.field(5), asked.field(6)]
        fields += [asked.field(3), asked.field(4), at, b"", b"", b"", control_id, asked.field(11)]
        return asked.separator.join([part.name, *fields]) + b"\r"
