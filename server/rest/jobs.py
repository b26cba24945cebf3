"""Requests that are answered later, kept in the store with their answers.  R4 async.html.

What is promised: a request that was accepted is run; when the server ends before it could answer,
one that changes nothing is run again at the next start, and one that writes never is, because
nobody can tell whether it was committed: its caller is told that it was interrupted.

A job is up to four records of one key: ``job`` (small: what was asked and by whom),
``job-request`` (the body), ``job-result`` (the answer, deflated) and, while it runs in one of
several processes that share the store, ``job-running`` (which of them: another goes on for it).
Tokens are not kept: the rights are, as they were, so a request goes on when its token is revoked
meanwhile, but nobody can fetch the answer.
"""

import asyncio
import json
import logging
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from server.access.context import AccessContext
from server.fhir.dates import SECOND
from server.fhir.errors import Interrupted, NotFound, StoreUnavailable, Throttled
from server.interactions.services import Services
from server.rest import kept_access, request_log
from server.rest.answer import Pairs
from server.rest.body import Limits
from server.rest.kept_access import timeless
from server.store.port import CommitConflict, Record, RecordWrite
from server.store.turn import is_present, presence

log = logging.getLogger("tellonce")

KIND, REQUEST, RESULT, RUNNING = "job", "job-request", "job-result", "job-running"
MAX_ATTEMPTS = 3  # starts of one job; a request that ends the server must not do so for ever
LOOK_EVERY_S = 3.0  # whether another process has ended without its jobs
RETRIES_S = (1, 2, 4, 8, 16)  # waits until an answer that the store did not take is given up

# Runs a request, given its body; returns the answer as it is shown to the caller.  It deals with
# every failure of the request itself.
Run = Callable[["Job", bytes], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Job:
    """One request.  ``repeatable``: it changes nothing; ``at``, ``expires_at``: microseconds."""

    id: str
    access: AccessContext
    method: str
    route: str
    path: tuple[str, ...]
    pairs: Pairs
    headers: tuple[tuple[str, str], ...]
    request_id: str
    repeatable: bool
    at: int
    expires_at: int
    attempt: int = 1
    done: bool = False

    @property
    def owner(self) -> str:
        """Text that is equal for the jobs of one caller."""
        return self.access.identity

    def visible_to(self, access: AccessContext) -> bool:
        """Tell whether a caller is the one who asked, with all the rights used then.

        The identity has the grant in it: who lost it has no token to ask with, and a new grant
        does not open what the old one asked for.
        """
        mine = self.access
        return (
            access.identity == self.owner
            and timeless(mine.permits) <= timeless(access.permits)
            and timeless(mine.beyond) <= timeless(access.beyond)  # told of what is withheld
        )

    def record(self, *, if_rev: int) -> RecordWrite:
        """Return the write that keeps the job."""
        value = json.dumps(_plain(self), separators=(",", ":")).encode()
        return RecordWrite(KIND, self.id, value, self.owner, if_rev, self.expires_at)


class Jobs:
    """The jobs of one server.  ``start`` once, ``stop`` before the store closes."""

    def __init__(self, services: Services, limits: Limits, run: Run) -> None:
        self._store = services.store
        self._process = services.owner
        self._presence = presence(services.store, services.owner, services.now)
        self._looking: asyncio.Task[None] | None = None
        self._now = services.now
        self._new_id = services.new_id
        self._limits = limits
        self._run = run
        self._owners: dict[str, str] = {}  # of the jobs that run or are being accepted
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping = False

    @contextmanager
    def place(self, owner: str) -> Iterator[str]:
        """Hold a place for a new job and give its id; an exception gives the place back.

        Raises:
            Throttled: too many run, of this caller or in all.
        """
        if self._stopping:
            raise StoreUnavailable("the server is stopping", retry_after_s=5)
        limits = self._limits
        mine = sum(held == owner for held in self._owners.values())
        if mine >= limits.jobs_per_caller or len(self._owners) >= limits.jobs:
            raise Throttled(
                f"{mine} asynchronous requests of this caller and {len(self._owners)} in all are "
                f"running; the limits are {limits.jobs_per_caller} and {limits.jobs}",
                retry_after_s=5,
            )
        id_ = self._new_id()
        self._owners[id_] = owner
        try:
            yield id_
        except BaseException:
            self._owners.pop(id_, None)
            raise

    async def begin(self, job: Job, body: bytes) -> None:
        """Keep the job, then run it; when this returns it will not be forgotten.

        Raises:
            Throttled: the caller has too many answers here that nobody fetched or removed.
        """
        kept = (await self._store.count_records(KIND)).get(job.owner, 0)
        if kept >= self._limits.jobs_kept:
            raise Throttled(
                f"the answers of {kept} asynchronous requests are kept for this caller, the limit "
                f"is {self._limits.jobs_kept}: DELETE those that you have read",
                retry_after_s=60,
            )
        request = RecordWrite(REQUEST, job.id, body, if_rev=0, expires_at=job.expires_at)
        records = [job.record(if_rev=0), request, *self._runs_here(job.id)]
        await self._store.commit([], records=records)
        self._spawn(job, body, rev=1)

    async def find(self, access: AccessContext, id_: str) -> Job:
        """Return a job of the caller.

        Raises:
            NotFound: there is none, it is somebody else's, or it has expired.
            Interrupted: it was running when the server ended.
        """
        running = await self._runs(id_)  # asked first: it may end while its record is read
        record = await self._store.get_record(KIND, id_)
        job = _job(json.loads(record.value)) if record is not None else None
        if job is None or not job.visible_to(access):
            raise NotFound("no asynchronous request of this caller has this address")
        if not job.done and not running:
            advice = "send it again" if job.repeatable else "see what it did before you repeat it"
            raise Interrupted(f"the server ended while this request was carried out; {advice}")
        return job

    async def result(self, job: Job) -> bytes:
        """Return the answer of a job that is done."""
        record = await self._store.get_record(RESULT, job.id)
        if record is None:
            raise NotFound("no asynchronous request of this caller has this address")
        return await asyncio.to_thread(zlib.decompress, record.value)

    async def remove(self, access: AccessContext, id_: str) -> None:
        """Forget a job and its answer; stop it if it runs.  What it wrote stays written.

        Raises:
            NotFound: as :meth:`find`.
        """
        with suppress(Interrupted):
            await self.find(access, id_)
        gone = [RecordWrite(kind, id_, None) for kind in (KIND, REQUEST, RESULT, RUNNING)]
        await self._store.commit([], records=gone)
        if task := self._tasks.get(id_):
            task.cancel()

    async def start(self) -> None:
        """Run again what was running when the server ended, if that changes nothing.

        Of several processes each looks for what others left, from now on.
        """
        if self._process is not None:
            await self._presence.mine()
            self._looking = asyncio.create_task(self._look())
            return
        after = ""
        while page := await self._store.find_records(KIND, after=after):
            after = page[-1].key
            for record in page:
                await self._again(record)

    async def stop(self, grace_s: float) -> None:
        """Accept nothing more, and wait for what runs; what does not end in time is cut off."""
        self._stopping = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        if running := list(self._tasks.values()):
            await asyncio.wait(running, timeout=grace_s)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._presence.give_back()

    async def _again(self, record: Record, *more: RecordWrite) -> bool:
        """Run a job once more, if that changes nothing; ``more`` is in the commit that says so."""
        job = _job(json.loads(record.value))
        if job.done or not job.repeatable or job.attempt >= MAX_ATTEMPTS:
            return False
        request = await self._store.get_record(REQUEST, job.id)
        again = replace(job, attempt=job.attempt + 1)
        await self._store.commit([], records=[again.record(if_rev=record.rev), *more])
        self._owners[job.id] = job.owner
        self._spawn(again, request.value if request is not None else b"", record.rev + 1)
        return True

    def _runs_here(self, id_: str, *, if_rev: int = 0) -> list[RecordWrite]:
        if self._process is None:
            return []
        return [RecordWrite(RUNNING, id_, self._process.encode(), if_rev=if_rev)]

    async def _runs(self, id_: str) -> bool:
        """Tell whether a job runs, here or in another process."""
        if id_ in self._owners or self._process is None:
            return id_ in self._owners
        return await self._store.get_record(RUNNING, id_) is not None

    async def _look(self) -> None:
        """Say that this process is there, and take over from those that are not."""
        while True:
            try:
                await self._presence.mine()
                await self._take_over()
            except (StoreUnavailable, CommitConflict) as error:  # a conflict: another was first
                log.warning("asynchronous requests wait: %s", type(error).__name__)
            except Exception as error:  # a bug must be seen, not end this unheard
                log.error("asynchronous requests wait: %s", type(error).__name__)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _take_over(self) -> None:
        after, there, found = "", {self._process: True}, set[str]()
        while page := await self._store.find_records(RUNNING, after=after):
            after = page[-1].key
            for running in page:
                found.add(running.key)
                name = running.value.decode()
                if name not in there:
                    there[name] = await is_present(self._store, name, self._now())
                abandoned = name == self._process and running.key not in self._owners
                if abandoned or not there[name]:
                    await self._take(running)
        for id_, task in list(self._tasks.items()):
            if id_ not in found and await self._store.get_record(KIND, id_) is None:
                task.cancel()  # it was removed by way of another process

    async def _take(self, running: Record) -> None:
        """Go on with a job whose process is gone; of one that writes its caller is told."""
        record = await self._store.get_record(KIND, running.key)
        mine = self._runs_here(running.key, if_rev=running.rev)
        if record is None or not await self._again(record, *mine):
            gone = RecordWrite(RUNNING, running.key, None, if_rev=running.rev)
            await self._store.commit([], records=[gone])

    def _spawn(self, job: Job, body: bytes, rev: int) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            self._owners.pop(job.id, None)
            self._tasks.pop(job.id, None)
            if not task.cancelled() and (error := task.exception()) is not None:
                request_log.failed(error, job.request_id, "asynchronous request")

        task = asyncio.create_task(self._complete(job, body, rev))
        self._tasks[job.id] = task
        task.add_done_callback(ended)

    async def _complete(self, job: Job, body: bytes, rev: int) -> None:
        answer = await asyncio.to_thread(zlib.compress, await self._run(job, body), 1)
        expires_at = self._now() + self._limits.job_kept_s * SECOND
        records = [
            replace(job, done=True, expires_at=expires_at).record(if_rev=rev),
            RecordWrite(REQUEST, job.id, None),
            RecordWrite(RUNNING, job.id, None),
            RecordWrite(RESULT, job.id, answer, expires_at=expires_at),
        ]
        for wait_s in (*RETRIES_S, None):
            try:
                await self._store.commit([], records=records)
            except CommitConflict:
                pass  # it was removed meanwhile: nobody wants the answer
            except StoreUnavailable as error:
                if wait_s is None:
                    log.error("request %s: its answer was not kept: %s", job.request_id, error)
                    return
                await asyncio.sleep(wait_s)
                continue
            return


def _plain(job: Job) -> dict[str, Any]:
    made = {name: getattr(job, name) for name in Job.__slots__ if name != "access"}
    return {**made, "access": kept_access.plain(job.access)}


def _job(plain: dict[str, Any]) -> Job:
    plain["access"] = kept_access.made_anew(plain["access"])
    plain["path"] = tuple(plain["path"])
    for name in ("pairs", "headers"):
        plain[name] = tuple((one, other) for one, other in plain[name])
    return Job(**plain)
