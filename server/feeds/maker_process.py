"""A process beside the server that plans messages, and makes what they come to (:mod:`.makers`).

The server starts it; it reads from the server and answers until its standard input ends, as that
does when the server ends, however it does.  It reads the record, and writes nothing.
"""

import asyncio
import gc
import logging
import os
import pickle
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mappings.feed import Feed
from mappings.maps import MapError, Maps, load_maps
from mappings.plan import Plan
from server.access.policy import Policy as AccessPolicy
from server.feeds import makers, making, wire, wire_made
from server.feeds.inbox import Entry
from server.feeds.refused import RefusedMessage
from server.feeds.work import plan_message
from server.interactions import search_parameters
from server.interactions.services import Policy, Searchable, Services
from server.search.catalog import Catalog
from server.store.sqlite import SqliteStore
from server.uuid7 import new_id

log = logging.getLogger(__name__)

READY = b"ready"
AGAIN_S = 5.0  # until maps are looked for again that were not there
_AHEAD_BYTES = 1 << 20
_RUN = "from server.feeds.maker_process import main; main()"


@dataclass(frozen=True, slots=True)
class Site:
    """What such a process has to know: where the record is, and what the server goes by."""

    file: Path
    base_url: str
    time_zone: str
    words: bool
    policy: Policy
    access_policy: AccessPolicy | None
    maps: tuple[Path, ...] = ()


def starter(site: Site) -> makers.Start:
    """Return what starts one."""

    async def start() -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-c", _RUN),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_AHEAD_BYTES,
        )
        assert process.stdin is not None
        process.stdin.write(wire.framed(pickle.dumps(site)))
        return process

    return start


def main() -> None:
    """Answer until nothing more is asked."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the server, which ends us
    asked = sys.stdin.fileno()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anything prints must not get between the answers
    hello = _exactly(asked, int.from_bytes(_exactly(asked, wire.HEADER_BYTES), "big"))
    if hello:
        asyncio.run(_serve(pickle.loads(hello), Questions(asked), answers))  # noqa: S301 - of our server


async def _serve(site: Site, asked: "Questions", answers: BinaryIO) -> None:
    catalog = Catalog(zone=site.time_zone)
    store = SqliteStore(
        site.file,
        now=_now,
        index=search_parameters.index(site.base_url, catalog),
        fingerprint=search_parameters.fingerprint(site.base_url, catalog),
        beside=True,
        words=site.words,
    )
    services = Services(
        store,
        site.base_url,
        _now,
        new_id,
        b"",
        site.policy,
        Searchable(catalog),
        access_policy=site.access_policy,
    )
    try:
        planning = Planning(site.maps)
        gc.freeze()
        gc.set_threshold(10_000, 20, 50)
        await _answer(Maker(services, planning), asked, answers)
    finally:
        await store.close()


class Planning:
    """The maps of the site as they were when a plan was last asked for."""

    def __init__(
        self, folders: tuple[Path, ...], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folders, self._clock = folders, clock
        self._maps = load_maps(folders)
        self._none_of = ""  # the last version that was asked for and was not there
        self._again_at = 0.0

    def maps(self, version: str) -> Maps | None:
        """Return the maps of a version, ``None`` when there are none of it now.

        They are read anew when it is another one than before, soon again when they were not there:
        the folder may hold them by then.
        """
        if self._maps.version != version and not self._known_to_lack(version):
            with suppress(MapError, OSError):  # the server has told why
                self._maps = load_maps(self._folders)
        return self._maps if self._maps.version == version else None

    def _known_to_lack(self, version: str) -> bool:
        now = self._clock()
        if self._none_of == version and now < self._again_at:
            return True
        self._none_of, self._again_at = version, now + AGAIN_S
        return False


class Maker:
    """Answers questions."""

    def __init__(self, services: Services, planning: Planning) -> None:
        self._services, self._planning = services, planning
        self._feeds: dict[bytes, Feed] = {}

    async def answer(self, kind: bytes, body: bytes) -> bytes:
        """Return the answer to a question; no message can make this fail."""
        if kind == wire.TO_MAKE:
            return await self._make(body)
        version, feed, message, entry = wire.read_body(body)
        maps = self._planning.maps(version)
        if maps is None:
            return wire_made.FAILED
        plan, refused = plan_message(maps, message, maps.feed(feed))
        ahead = b""
        if plan is not None and refused is None and entry is not None:
            ahead = await self._made(entry, plan, maps.feed(feed))
        return wire.pack_planned(plan, refused, ahead)

    async def _make(self, body: bytes) -> bytes:
        try:
            asked = wire.read_asked(body, self._feeds)
        except Exception as error:  # the server makes it itself, and meets what this met
            log.warning("a message could not be read: %s", type(error).__name__)
            return wire_made.FAILED
        return await self._made(*asked)

    async def _made(self, entry: Entry, plan: Plan, feed: Feed) -> bytes:
        try:
            return wire_made.pack_made(await making.make(self._services, entry, plan, feed))
        except RefusedMessage as refused:
            return wire_made.pack_refused(refused)
        except Exception as error:  # as above
            log.warning("a message could not be made: %s", type(error).__name__)
            return wire_made.FAILED


class Questions:
    """What the server asks, plans first: who sent a message waits for its plan with the next."""

    def __init__(self, pipe: int) -> None:
        self._pipe, self._frames = pipe, wire.Frames()
        self._plans, self._others = deque[bytes](), deque[bytes]()

    def next(self) -> tuple[bytes, bytes, bytes] | None:
        """Return kind, number and body of the next; waits for it; ``None`` at the end."""
        while True:
            waiting = self._plans or self._others
            if not waiting or select.select((self._pipe,), (), (), 0)[0]:
                if not self._more():
                    return None
                continue
            frame = waiting.popleft()
            begun = 1 + wire.NUMBER_BYTES
            return frame[:1], frame[1:begun], frame[begun:]

    def _more(self) -> bool:
        got = os.read(self._pipe, _AHEAD_BYTES)
        for frame in self._frames.add(got):
            (self._plans if frame[:1] == wire.TO_PLAN else self._others).append(frame)
        return bool(got)


async def _answer(maker: Maker, asked: Questions, answers: BinaryIO) -> None:
    """Read, do and answer, one after the other: to wait for the server keeps nobody waiting."""
    answer = READY
    while True:
        try:
            answers.write(wire.framed(answer))
            answers.flush()
        except BrokenPipeError:
            return
        question = asked.next()
        if question is None:
            return
        kind, number, body = question
        answer = number + await maker.answer(kind, body)


def _now() -> int:
    return time.time_ns() // 1000


def _exactly(pipe: int, size: int) -> bytes:
    """Return so many bytes, or none at the end."""
    got = b""
    while len(got) < size:
        more = os.read(pipe, size - len(got))
        if not more:
            return b""
        got += more
    return got
