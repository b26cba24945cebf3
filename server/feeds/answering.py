"""What a sender is answered: acknowledgements as its feed wants them, stamped with id and time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import gmtime, strftime

from server.feeds import ack
from server.feeds.ack import Fault
from server.feeds.header import Header
from server.feeds.inbox import Entry
from server.feeds.mllp import Answer
from server.feeds.wiring import Wiring
from server.feeds.work import Job
from server.fhir.errors import FhirError
from server.interactions.services import Services

_STATING = {"original": (b"", b""), "enhanced": (b"AL", b"AL"), "commit": (b"AL", b"NE")}


class Unanswered(ConnectionError):
    """Nobody can tell what becomes of a message; its sender must not take another answer for it."""


class Answering:
    """Makes the answers of all feeds.  ``ack_timeout_s``: for all feeds, instead of their own.

    ``keep`` stores what came of a feed and is not stored yet.
    """

    def __init__(
        self,
        services: Services,
        wiring: Wiring,
        ack_timeout_s: float | None,
        keep: Callable[[str], Awaitable[None]],
    ) -> None:
        self._services, self._wiring, self._ack_timeout_s = services, wiring, ack_timeout_s
        self._keep = keep
        self._telling: set[asyncio.Task[None]] = set()

    def heard(self, feed: str, header: Header | None) -> Header | None:
        """Return the header as the feed wants it understood."""
        how = self._wiring.wire(feed).acknowledge
        if header is None or how == "message":
            return header
        return header.stating(*_STATING[how])

    def stamp(
        self, header: Header | None, code: ack.Code, entry: Entry | None, fault: Fault | None
    ) -> bytes:
        """Return an acknowledgement with a control id of its own and the time."""
        made_for = entry.id if entry is not None else self._services.new_id()
        control_id = code[0] + made_for.replace("-", "")[-19:]
        return ack.acknowledge(header, code, control_id=control_id, at=self.at(), fault=fault)

    def accepted(self, header: Header | None, entry: Entry | None) -> list[Answer]:
        """Return the accept acknowledgement, if the sender asked for one."""
        if header is not None and ack.wants_accept(header, "CA"):
            return [self.stamp(header, "CA", entry, None)]
        return []

    def application(self, header: Header | None, answer: bytes) -> list[Answer]:
        """Return the application acknowledgement if the sender asked for it."""
        if header is None or not answer:
            return [answer] if answer else []
        code: ack.Code = "AA" if ack.is_positive(answer) else "AE"
        return [answer] if ack.wants_application(header, code) else []

    def finished(self, job: Job) -> asyncio.Future[bytes | None]:
        """Return the answer that comes when the message is finished, or takes too long.

        :class:`Unanswered` when it will not be finished here.  No task waits for it: each step of
        one would stand behind what the messages after it have to do.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes | None] = loop.create_future()
        timer = loop.call_later(self._timeout_s(job.feed.name), self._is_late, job, answer)

        def ended(done: asyncio.Future[bytes]) -> None:
            timer.cancel()
            if not done.cancelled():
                self._give(answer, job, done.result())
            elif not answer.done():
                answer.set_exception(Unanswered())
                answer.exception()  # its connection may be gone, and nobody wait for it

        job.done.add_done_callback(ended)
        return answer

    def not_stored(self, header: Header | None) -> list[Answer]:
        """Return what says that a message was not kept."""
        made: list[Answer] = []
        if header is None or ack.wants_application(header, "AR"):
            made = [self.stamp(header, "AR", None, ack.NO_STORE)]
        if header is not None and ack.wants_accept(header, "CR"):
            made = [self.stamp(header, "CR", None, ack.NO_STORE)]
        return made

    def refuse(self, head: bytes, fault: Fault) -> bytes:
        """Return the negative answer to a message of which only the first bytes are known."""
        return ack.best_effort(head, fault, control_id=self.own_id("R"), at=self.at())

    def own_id(self, letter: str) -> str:
        """Return a control id (MSH-10) of an answer to no message that is kept."""
        return letter + self._services.new_id().replace("-", "")[-19:]

    def at(self) -> str:
        """Return MSH-7 of an answer of this moment."""
        return strftime("%Y%m%d%H%M%S+0000", gmtime(self._services.now() // 1_000_000))

    def _give(self, answer: asyncio.Future[bytes | None], job: Job, made: bytes | None) -> None:
        """Answer with an application acknowledgement, or that the message was not kept."""
        if answer.done():
            return
        try:
            answer.set_result(self._asked_for(job, made) if made is not None else None)
        except Exception as error:  # its connection must hear of a bug, or would wait for ever
            answer.set_exception(error)

    def _asked_for(self, job: Job, made: bytes) -> bytes | None:
        header = job.header
        answers = self.application(header, made) if job.entry.rev else self.not_stored(header)
        return next((one for one in answers if isinstance(one, bytes)), None)

    def _is_late(self, job: Job, answer: asyncio.Future[bytes | None]) -> None:
        task = asyncio.create_task(self._late(job, answer))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _late(self, job: Job, answer: asyncio.Future[bytes | None]) -> None:
        """Answer AE, that the message is stored; AR, and give it up, when it could not be."""
        if not job.entry.rev:
            with suppress(FhirError):
                await self._keep(job.feed.name)
        if not job.done.done():
            job.given_up = not job.entry.rev
            self._give(answer, job, self.stamp(job.header, "AE", job.entry, ack.STILL_RETRYING))

    def _timeout_s(self, feed: str) -> float:
        given = self._ack_timeout_s
        return self._wiring.wire(feed).ack_timeout_s if given is None else given
