"""Who a reader is now: what somebody may see decides whether they are told of a correction."""

from collections.abc import Awaitable, Callable

from server.access.context import AccessContext

Readers = Callable[[str], Awaitable[AccessContext | None]]
"""Returns the rights that a principal (``user/anna``) has now, as a person, whatever app they used
then; ``None`` for who is nobody any more.  Handed in by the composition root."""


async def nobody(_principal: str) -> AccessContext | None:
    """Know no readers: those of a server without users."""
    return None
