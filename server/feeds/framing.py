"""MLLP frames out of a stream of bytes.  Pure: no socket, no clock.

A frame is ``VT message FS CR`` (HL7 v2 implementation guide, appendix C; MLLP release 1).  Frames
are found by bytes, never by reads: any chunking of the same stream gives the same frames.

What senders get wrong, and what becomes of it:

* bytes outside frames are skipped and counted (``skipped``), an LF or CR between frames is not;
* a VT inside a frame starts it anew; the unfinished one, never acknowledged, is dropped
  (``restarts``);
* ``FS LF`` and ``FS VT`` end a frame as ``FS CR`` does; FS as the last byte that came ends it when
  :meth:`Framer.flush` is called (the listener does so after a short wait); FS before any other
  byte belongs to the message;
* a message above ``max_bytes`` is read to its end without being kept: :class:`TooLarge`.
"""

from dataclasses import dataclass

VT, FS, CR, LF = 0x0B, 0x1C, 0x0D, 0x0A
_VT, _FS = b"\x0b", b"\x1c"

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
HEAD_BYTES = 4096  # of a message that is too large: enough for its MSH segment


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole message, without VT, FS and CR; may be empty."""

    body: bytes


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A message of ``size`` bytes, above the limit; of its bytes only ``head`` is left."""

    head: bytes
    size: int


def frame(message: bytes) -> bytes:
    r"""Return ``message`` framed for sending.

    >>> frame(b"MSH|")
    b'\x0bMSH|\x1c\r'
    """
    return b"\x0b" + message + b"\x1c\r"


class Framer:
    """Reads one connection's bytes; ``feed`` returns what became complete."""

    def __init__(self, max_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self.skipped = 0
        self.restarts = 0
        self._max_bytes = max_bytes
        self._inside = False
        self._ending = False  # the last byte was an FS inside a frame
        self._body = bytearray()
        self._size = 0

    @property
    def inside(self) -> bool:
        """True while a frame has begun and is not complete."""
        return self._inside

    @property
    def ending(self) -> bool:
        """True when the last byte was FS: complete but for its CR."""
        return self._ending

    @property
    def kept_bytes(self) -> int:
        """How much of the frame that is not complete is kept."""
        return len(self._body)

    @property
    def head(self) -> bytes:
        """The first bytes of the frame that is not complete; empty outside frames."""
        return bytes(self._body[:HEAD_BYTES])

    def feed(self, data: bytes) -> list[Frame | TooLarge]:
        """Take the next bytes of the stream; return the frames that they complete, in order."""
        made: list[Frame | TooLarge] = []
        at = 0
        while at < len(data):
            if not self._inside:
                at = self._seek(data, at)
            elif self._ending:
                at = self._after_fs(data, at, made)
            else:
                at = self._read(data, at)
        return made

    def flush(self) -> Frame | TooLarge | None:
        """Return the frame whose FS came but whose CR did not; ``None`` when there is none."""
        return self._finish() if self._ending else None

    def _seek(self, data: bytes, at: int) -> int:
        start = data.find(_VT, at)
        outside = data[at:] if start < 0 else data[at:start]
        self.skipped += len(outside) - outside.count(b"\r") - outside.count(b"\n")
        if start < 0:
            return len(data)
        self._begin()
        return start + 1

    def _read(self, data: bytes, at: int) -> int:
        """Keep bytes up to the next FS; a VT on the way starts the frame anew."""
        end = data.find(_FS, at)
        stop = len(data) if end < 0 else end
        again = data.rfind(_VT, at, stop)
        if again >= 0:
            self.restarts += data.count(_VT, at, stop)
            self._begin()
            at = again + 1
        self._keep(data[at:stop])
        self._ending = end >= 0
        return stop if end < 0 else stop + 1

    def _after_fs(self, data: bytes, at: int, made: list[Frame | TooLarge]) -> int:
        following = data[at]
        if following in (CR, LF, VT):
            made.append(self._finish())
            return at if following == VT else at + 1
        self._ending = False
        self._keep(_FS)
        return at

    def _begin(self) -> None:
        self._inside, self._ending, self._size = True, False, 0
        self._body = bytearray()

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= self._max_bytes:
            self._body += data
        else:
            self._body += data[: max(0, HEAD_BYTES - len(self._body))]
            del self._body[HEAD_BYTES:]

    def _finish(self) -> Frame | TooLarge:
        body, size = bytes(self._body), self._size
        self._inside, self._ending = False, False
        self._body = bytearray()
        return Frame(body) if size <= self._max_bytes else TooLarge(body[:HEAD_BYTES], size)
