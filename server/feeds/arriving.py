"""Messages between their socket and the inbox, by what their senders call them.

What is stored only with what becomes of it (:meth:`server.feeds.inbox.Inbox.announce`) is known
to nobody else until then: the same message over another connection waits here.
"""

import asyncio


class Arriving:
    """The keys of senders' messages that are on their way."""

    def __init__(self) -> None:
        self._on_the_way: dict[str, asyncio.Future[None]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._on_the_way

    def begin(self, key: str) -> None:
        """Note that a message is on its way, and no other of this key."""
        self._on_the_way[key] = asyncio.get_running_loop().create_future()

    async def begin_alone(self, key: str) -> None:
        """Do that when no other is any more."""
        while (other := self._on_the_way.get(key)) is not None:
            await asyncio.shield(other)
        self.begin(key)

    def end(self, key: str) -> None:
        """Let those go on that wait: the message is in the inbox, or will not be."""
        self._on_the_way.pop(key).set_result(None)
