"""A drop folder: files of messages instead of a socket.

A file is whole when it has not changed for some seconds; hidden files and ``.tmp``, ``.part`` and
``.filepart`` are left alone, so that a sender may write under such a name and rename.  It is
claimed by moving it to ``working``, read as a stream, and then moved to ``done`` beside
``NAME.ack`` with its acknowledgements; to ``failed`` when something in it was not kept.

A file that the server was at work with when it ended is read anew at the next start, as is one
that was written to while it was read: its messages were received before, and are not applied twice.
One that cannot be read keeps none of the others waiting.  Links are not followed.
"""

import asyncio
import errno
import logging
import os
import stat
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from server.feeds import ack
from server.feeds.batches import Line, Part, Reply, Splitter
from server.feeds.failure import where
from server.feeds.framing import TooLarge
from server.feeds.mllp import Answer
from server.feeds.receiver import SenderEnd, settled
from server.feeds.wiring import Peer, Wire
from server.fhir.errors import FhirError
from server.store.port import CommitConflict
from server.store.turn import Turn

if TYPE_CHECKING:
    from server.feeds.service import FeedService

log = logging.getLogger(__name__)

WORKING, DONE, FAILED = "working", "done", "failed"
CHUNK_BYTES = 1024 * 1024
UNANSWERED = 256  # messages of a file that may wait for their answers
_UNFINISHED_NAMES = (".tmp", ".part", ".filepart")
_TURN_S = 60.0  # of one process, while a file of any size is read
_CLAIM = "~~"  # between a file's name and the id of who claimed it
_MOST_NAME = 200  # bytes of a file's name that are kept; a name has 255, with id and ``.ack``
_ASIDE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # no link, no waiting pipe


class DropFolder:
    """One feed's folder.  :meth:`run` watches it until cancelled."""

    def __init__(self, service: "FeedService", feed: str, wire: Wire) -> None:
        assert wire.folder is not None
        self._service, self._feed, self._wire = service, feed, wire
        self._folder = wire.folder
        services = service.services
        name = f"folder/{feed}"
        self._turn = Turn(services.store, name, services.owner, services.now, ttl_s=_TURN_S)
        self._seen: dict[str, tuple[tuple[int, int], float]] = {}
        self._mine: list[Path] | None = None  # claimed and not put away; before the first look: all
        self._told: set[str] = set()  # names of files that could not be taken, each logged once

    async def run(self) -> None:
        """Take every file that is dropped, one after the other."""
        while True:
            if not await self._is_ours():
                await asyncio.sleep(self._wire.poll_s)
                continue
            try:
                await asyncio.to_thread(self._prepare)
                for file in await asyncio.to_thread(self._claimed):
                    if await self._tried(file):
                        self._mine = [one for one in self._mine or [] if one != file]
            except OSError as error:  # a network folder that is away comes back
                log.warning("the folder of feed %s: %s", self._feed, error.strerror)
            await asyncio.sleep(self._wire.poll_s)

    async def _is_ours(self) -> bool:
        """Tell whether this process reads the folder, and no other that has it mounted as well."""
        try:
            ours = await self._turn.mine()
        except FhirError:
            return False
        if not ours:
            self._mine = None  # whose turn it was may end, and leave us what it claimed
        return ours

    async def _tried(self, file: Path) -> bool:
        """Take a claimed file; tell whether it is done with: taken, or gone."""
        try:
            await self.take(file)
        except FileNotFoundError:
            log.warning("feed %s: a claimed file is gone", self._feed)
        except OSError as error:
            self._tell(file.name, error.strerror)
            return False
        except Exception as error:  # a bug that one file meets must not end the others
            self._tell(file.name, where(error))
            return False
        return True

    def _tell(self, name: str, why: str | None) -> None:
        """Log once that a file cannot be taken; its name may be a patient's."""
        if name not in self._told:
            self._told.add(name)
            log.warning("feed %s: a file cannot be taken: %s", self._feed, why)

    async def take(self, file: Path) -> None:
        """Read a claimed file, keep and apply its messages, and put it away with its answers."""
        ends = SenderEnd(self._service, self._feed, Peer(), fixed=True)
        name = file.name.rpartition(_CLAIM)[0] or file.name
        while True:
            reading = _Reading(file, ends, self._wire, self._turn.mine)
            if await reading.read():
                break
            log.warning("feed %s: a file was written to while it was read", self._feed)
            await asyncio.sleep(self._wire.settle_s)
        target = DONE if reading.kept else FAILED
        await asyncio.to_thread(self._put_away, file, name, target)
        log.info("feed %s: a file of %d messages is %s", self._feed, reading.messages, target)

    def _prepare(self) -> None:
        for name in (WORKING, DONE, FAILED):
            (self._folder / name).mkdir(parents=True, exist_ok=True)

    def _claimed(self) -> list[Path]:
        """Return what is left of an earlier run, then the whole files, claimed, oldest first."""
        if self._mine is None:
            left = (self._folder / WORKING).iterdir()
            self._mine = sorted(path for path in left if path.suffix != ".ack")
        for _, name in sorted(self._whole()):
            if (claimed := self._claim(name)) is not None:
                self._mine.append(claimed)
        return list(self._mine)

    def _whole(self) -> list[tuple[int, str]]:
        now, found, seen = time.monotonic(), [], {}
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if not entry.is_file(follow_symlinks=False) or entry.name.startswith("."):
                    continue
                if entry.name.lower().endswith(_UNFINISHED_NAMES):
                    continue
                stat = entry.stat(follow_symlinks=False)
                state = (stat.st_size, stat.st_mtime_ns)
                known = self._seen.get(entry.name)
                since = known[1] if known is not None and known[0] == state else now
                seen[entry.name] = (state, since)
                if now - since >= self._wire.settle_s:
                    found.append((stat.st_mtime_ns, entry.name))
        self._seen = seen
        return found

    def _claim(self, name: str) -> Path | None:
        """Move a file away from others that watch the folder; ``None``: one of them was first."""
        kept = os.fsdecode(os.fsencode(name)[:_MOST_NAME])
        mine = self._folder / WORKING / f"{kept}{_CLAIM}{self._service.services.new_id()}"
        try:
            (self._folder / name).rename(mine)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._tell(name, error.strerror)
            return None
        return mine

    def _put_away(self, file: Path, name: str, target: str) -> None:
        """Move the file behind its answers: a file that is there has its answers there."""
        folder = self._folder / target
        final, number = folder / name, 1
        while final.exists():
            number += 1
            final = folder / f"{name}.{number}"
        answers = file.with_name(f"{file.name}.ack")
        answers.replace(final.with_name(f"{final.name}.ack"))
        file.rename(final)


@dataclass(slots=True)
class _Reading:
    """One file on its way.  ``kept``: whether everything in it was."""

    file: Path
    end: SenderEnd
    wire: Wire
    renew: Callable[[], Awaitable[bool]]
    kept: bool = True
    messages: int = 0
    _waiting: deque[Line | Sequence[Answer]] = field(default_factory=deque)

    async def read(self) -> bool:
        """Keep what is in the file and write its answers; tell whether it stayed as it was.

        Raises:
            OSError: it cannot be read, or is no file.
        """
        reply, splitter = self.end.reply(), Splitter()
        answers = self.file.with_name(f"{self.file.name}.ack")
        source = await asyncio.to_thread(_opened, self.file, "rb")
        target = await asyncio.to_thread(_opened, answers, "wb")
        known = _state(source)
        try:
            more = True
            while more:
                data = await asyncio.to_thread(source.read, CHUNK_BYTES)
                if not data and (now := _state(source)) != known:  # not before it is whole again
                    known = now
                    await asyncio.sleep(self.wire.settle_s)
                    continue
                more = bool(data)
                for part in splitter.feed(data) if more else splitter.finish():
                    await self._take(part)
                    if len(self._waiting) > UNANSWERED:
                        await self._write(target, reply, UNANSWERED // 2)
            if not self.messages:
                self._waiting.append([self.end.refuse(b"", ack.NO_HEADER)])
                self.kept = False
            await self._write(target, reply, 0)
            await asyncio.to_thread(target.write, reply.end())
            await asyncio.to_thread(_flush, target)
            return _state(source) == known
        finally:
            source.close()
            target.close()

    async def _take(self, part: Part) -> None:
        if isinstance(part, Line):
            self._waiting.append(part)
            return
        self.messages += 1
        if isinstance(part, TooLarge):
            self.kept = False
            self._waiting.append([self.end.refuse(part.head, ack.TOO_LARGE)])
            return
        self._waiting.append(await self._stored(part))

    async def _stored(self, message: bytes) -> Sequence[Answer]:
        """Keep the message, however long the store is away."""
        while True:
            try:
                await self.renew()
                return await self.end.message(message, insist=True)
            except (FhirError, CommitConflict) as error:
                log.warning("a file of feed %s waits: %s", self.end.feed, type(error).__name__)
                await asyncio.sleep(self.wire.poll_s)

    async def _write(self, target: BinaryIO, reply: Reply, left: int) -> None:
        """Write the answers in their order, until so many wait."""
        made = b""
        while len(self._waiting) > left:
            part = self._waiting.popleft()
            if isinstance(part, Line):
                made += reply.line(part)
                continue
            for answer in part:
                message = await settled(answer)
                if message is None:
                    continue
                self.kept = self.kept and ack.code_of(message) not in ("AR", "CR")
                if self.wire.batch != "errors" or not ack.is_positive(message):
                    made += reply.answer(message)
        await asyncio.to_thread(target.write, made)


def _opened(file: Path, mode: Literal["rb", "wb"]) -> BinaryIO:
    """Open a regular file, and nothing that was put in its place.

    Raises:
        OSError: it is a link, a pipe, a folder, or not to be opened.
    """
    flags = os.O_RDONLY if mode == "rb" else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    opened = os.open(file, flags | _ASIDE, 0o666)
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return os.fdopen(opened, mode)


def _state(source: BinaryIO) -> tuple[int, int]:
    found = os.fstat(source.fileno())
    return found.st_size, found.st_mtime_ns


def _flush(target: BinaryIO) -> None:
    target.flush()
    os.fsync(target.fileno())
