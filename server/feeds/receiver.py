"""One sender: which feed its messages are, whether it may send them, and how batches are answered.

The same for a connection, a request and a file; what keeps and applies them is the service.
"""

import asyncio
import logging
from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING

from server.feeds import ack, demographics
from server.feeds.ack import Fault
from server.feeds.batches import Line, Reply, Splitter
from server.feeds.framing import TooLarge
from server.feeds.header import Header, read_header, split_messages
from server.feeds.mllp import Answer
from server.feeds.wiring import Batch, Peer

if TYPE_CHECKING:
    from server.feeds.service import FeedService

log = logging.getLogger(__name__)


class SenderEnd:
    """What :class:`server.feeds.mllp.Receiver` asks for, for the peer of one connection.

    ``feed``: of whoever neither a certificate nor MSH-3/4 names.  ``fixed``: nothing names another,
    and whoever made this has checked that the messages may come from there.
    """

    def __init__(
        self, service: "FeedService", feed: str, peer: Peer, *, fixed: bool = False
    ) -> None:
        self.peer = peer
        self._service, self._default = service, feed
        self._named = feed if fixed else service.wiring.certified(peer)
        self._fixed = fixed

    @property
    def feed(self) -> str:
        """The feed that this connection counts for."""
        return self._named or self._default

    async def receive(self, body: bytes, *, insist: bool = False) -> Sequence[Answer]:
        """See :class:`server.feeds.mllp.Receiver`.

        ``insist``: raise StoreUnavailable instead of answering that something could not be kept.
        """
        if body.lstrip(b"\r\n\t \xef\xbb\xbf")[:3] in (b"FHS", b"BHS"):
            return await self._receive_batch(body, insist=insist)
        answers: list[Answer] = []
        for message in split_messages(body):
            answers += await self.message(message, insist=insist)
        return answers

    def refuse(self, head: bytes, fault: Fault) -> bytes:
        """See :class:`server.feeds.mllp.Receiver`."""
        return self._service.refuse(head, fault)

    def feed_of(self, header: Header | None) -> str:
        """Return the feed of a message: by certificate, else by MSH-3/4, else the port's."""
        if self._named is not None or header is None:
            return self.feed
        sender = header.component(3, 1), header.component(4, 1)
        return self._service.wiring.sender(*sender) or self._default

    async def message(self, message: bytes, *, insist: bool = False) -> Sequence[Answer]:
        """Keep and queue one message; return its answers.  ``insist`` as in :meth:`receive`."""
        began = perf_counter()
        header = read_header(message)
        feed = self.feed_of(header)
        if not self._fixed and not self._service.wiring.allows(feed, self.peer):
            log.warning("a message for feed %s came from where it may not come from", feed)
            self._service.counts[feed].refused += 1
            return [self._service.refuse(message[:4096], ack.NOT_ALLOWED)]
        if header is not None and header.message_type in demographics.TYPES:
            return await self._service.query(message, feed, header, address=self.peer.address)
        take = self._service.take if insist else self._service.receive
        answers = await take(message, feed, header)
        return [self._timed(answer, feed, began) for answer in answers]

    def _timed(self, answer: Answer, feed: str, began: float) -> Answer:
        stats = self._service.counts[feed]
        if isinstance(answer, bytes):
            stats.answered(perf_counter() - began)
        else:
            answer.add_done_callback(lambda _: stats.answered(perf_counter() - began))
        return answer

    async def _receive_batch(self, body: bytes, *, insist: bool) -> Sequence[Answer]:
        splitter = Splitter()
        parts = [*splitter.feed(body), *splitter.finish()]
        kept: list[Line | Sequence[Answer]] = []
        mode: Batch = "all"
        for part in parts:
            if isinstance(part, Line):
                kept.append(part)
            elif isinstance(part, TooLarge):
                kept.append([self.refuse(part.head, ack.TOO_LARGE)])
            else:
                mode = self._service.wiring.wire(self.feed_of(read_header(part))).batch
                kept.append(await self.message(part, insist=insist))
        if mode == "each":
            return [one for answers in kept if not isinstance(answers, Line) for one in answers]
        return [asyncio.ensure_future(self._batched(kept, mode))]

    async def _batched(self, parts: Sequence[Line | Sequence[Answer]], mode: Batch) -> bytes | None:
        reply = self.reply()
        made = b""
        for part in parts:
            if isinstance(part, Line):
                made += reply.line(part)
                continue
            for answer in part:
                message = await settled(answer)
                if message is not None and (mode == "all" or not ack.is_positive(message)):
                    made += reply.answer(message)
        return made + reply.end() if mode != "none" else None

    def reply(self) -> Reply:
        """Return a response batch to be filled."""
        return Reply(control_id=self._service.own_id("B"), at=self._service.at())


async def settled(answer: Answer) -> bytes | None:
    """Return an answer when it is there.

    Shielded: an answer that is cancelled ends as none, and would swallow its waiter's cancellation.
    """
    return answer if isinstance(answer, bytes) else await asyncio.shield(answer)
