"""A process beside the server that makes what messages come to (:mod:`.makers`).

The server starts it; it reads from the server and answers until its standard input ends, as that
does when the server ends, however it does.  It reads the record, and writes nothing.
"""

import asyncio
import gc
import os
import pickle
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mappings.feed import Feed
from server.access.policy import Policy as AccessPolicy
from server.feeds import makers, wire
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
    asked = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anything prints must not get between the answers
    hello = _read(asked)
    if hello is not None:
        asyncio.run(_serve(pickle.loads(hello), asked, answers))  # noqa: S301 - of our server


async def _serve(site: Site, asked: BinaryIO, answers: BinaryIO) -> None:
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
        gc.freeze()
        gc.set_threshold(10_000, 20, 50)
        await _answer(services, asked, answers)
    finally:
        await store.close()


async def _answer(services: Services, asked: BinaryIO, answers: BinaryIO) -> None:
    """Read, make and answer, one after the other: to wait for the server keeps nobody waiting."""
    feeds: dict[bytes, Feed] = {}
    answer = READY
    while True:
        try:
            answers.write(wire.framed(answer))
            answers.flush()
        except BrokenPipeError:
            return
        body = _read(asked)
        if body is None:
            return
        answer = await makers.answer(services, body, feeds)


def _now() -> int:
    return time.time_ns() // 1000


def _read(stream: BinaryIO) -> bytes | None:
    """Return the next frame, ``None`` at the end."""
    head = stream.read(wire.HEADER_BYTES)
    size = int.from_bytes(head, "big")
    body = stream.read(size) if len(head) == wire.HEADER_BYTES else b""
    return body if body and len(body) == size else None
