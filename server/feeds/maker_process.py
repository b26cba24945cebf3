"""A process beside the server that plans messages, and makes what they come to (:mod:`.makers`).

The server starts it; it reads from the server and answers until its standard input ends, as that
does when the server ends, however it does.  It reads the record, and writes nothing.
"""

import asyncio
import gc
import os
import pickle
import select
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mappings.feed import Feed
from mappings.maps import MapError, load_maps
from server.access.policy import Policy as AccessPolicy
from server.feeds import makers, wire
from server.feeds.work import plan_message
from server.interactions import search_parameters
from server.interactions.services import Policy, Searchable, Services
from server.search.catalog import Catalog
from server.store.sqlite import SqliteStore
from server.uuid7 import new_id

READY = b"ready"
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
        await _answer(services, planning, asked, answers)
    finally:
        await store.close()


class Planning:
    """Plans messages by the maps of the site as they were when a plan was last asked for."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        self._folders = folders
        self._maps = load_maps(folders)
        self._none_of = ""  # the last version that was asked for and is not there

    def answer(self, body: bytes) -> bytes:
        """Return the packed plan, or that there is none by the maps that the server has."""
        version, feed, message = pickle.loads(body)  # noqa: S301 - from who started us
        if not self._has(version):
            return wire.FAILED
        return wire.pack_planned(*plan_message(self._maps, message, self._maps.feed(feed)))

    def _has(self, version: str) -> bool:
        """Tell whether the maps are of a version; they are read anew when it is another one."""
        if self._maps.version == version:
            return True
        if self._none_of != version:
            self._none_of = version
            try:
                self._maps = load_maps(self._folders)
            except (MapError, OSError):  # the server has told why
                return False
        return self._maps.version == version


class Questions:
    """What the server asks, plans first: who sent a message waits for its plan with the next."""

    def __init__(self, pipe: int) -> None:
        self._pipe, self._frames = pipe, wire.Frames()
        self._of_kind: dict[bytes, deque[bytes]] = {wire.TO_PLAN: deque(), wire.TO_MAKE: deque()}

    def next(self) -> tuple[bytes, bytes, bytes] | None:
        """Return kind, number and body of the next; waits for it; ``None`` at the end."""
        while True:
            waiting = next((some for some in self._of_kind.values() if some), None)
            if waiting is None or select.select((self._pipe,), (), (), 0)[0]:
                if not self._more():
                    return None
                continue
            frame = waiting.popleft()
            begun = 1 + wire.NUMBER_BYTES
            return frame[:1], frame[1:begun], frame[begun:]

    def _more(self) -> bool:
        got = os.read(self._pipe, _AHEAD_BYTES)
        for frame in self._frames.add(got):
            self._of_kind[frame[:1]].append(frame)
        return bool(got)


async def _answer(
    services: Services, planning: Planning, asked: Questions, answers: BinaryIO
) -> None:
    """Read, do and answer, one after the other: to wait for the server keeps nobody waiting."""
    feeds: dict[bytes, Feed] = {}
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
        if kind == wire.TO_PLAN:
            answer = number + planning.answer(body)  # which no message can make fail
        else:
            answer = number + await makers.answer(services, body, feeds)


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
