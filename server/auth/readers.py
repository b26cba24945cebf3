"""What a person may see now, whatever app they used when they were shown something."""

from collections.abc import Callable

from server.access.context import AccessContext
from server.auth.person import Rights
from server.auth.records import User
from server.store.port import Store

_USER = "user/"


class Readers:
    """See :data:`server.continuity.readers.Readers`.  ``now`` gives microseconds.

    Backend services are nobody who reads.
    """

    def __init__(self, store: Store, rights: Rights, now: Callable[[], int]) -> None:
        self._store, self._rights, self._now = store, rights, now

    async def __call__(self, principal: str) -> AccessContext | None:
        """Return the rights of an active user, by the policy alone; ``None`` for anybody else."""
        if not principal.startswith(_USER):
            return None
        record = await self._store.get_record(User.KIND, principal.removeprefix(_USER))
        if record is None:
            return None
        user = User.unpack(record.value)
        return await self._rights.of_user(user, self._now()) if user.active else None
