"""The store as commands have it: what they change of who may come in is told to audit.

Word of it is in the commit of the change itself, so that no command can forget it.
"""

import getpass
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from server.audit.port import Action
from server.auth import feed_token
from server.auth.administrator import ID_LENGTH
from server.auth.administrator import KIND as ADMINISTRATOR_TOKEN
from server.auth.keys import SigningKeys
from server.auth.records import Client, Proxy, User
from server.interactions.audit_later import Word
from server.store.port import RecordWrite, Store, Version, Write
from server.uuid7 import new_id


def _token(write: RecordWrite) -> tuple[str, ...]:
    return (f"token/{write.key[:ID_LENGTH]}",)


_NAMED: Mapping[str, Callable[[RecordWrite], tuple[str, ...]]] = {
    User.KIND: lambda write: (f"user/{write.key}",),
    Client.KIND: lambda write: (f"client/{write.key}",),
    Proxy.KIND: lambda write: tuple(filter(None, (write.key, write.tag))),
    SigningKeys.KIND: lambda write: (f"key/{write.key}",),
    ADMINISTRATOR_TOKEN: _token,
    feed_token.KIND: _token,
}
"""Kinds of records of which audit is told -> the names of what a write is about.

Sessions and grants are not there: they end with a user or a client, of which it is told.
"""


def witnessed(store: Store, now: Callable[[], int]) -> Store:
    """Return the store, telling audit of what the operator changes; ``now``: microseconds."""
    return cast(Store, _Witnessed(store, now))


class _Witnessed:
    """Every other method is the store's own."""

    def __init__(self, store: Store, now: Callable[[], int]) -> None:
        self._store, self._now = store, now

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(
        self, writes: Sequence[Write], *, records: Sequence[RecordWrite] = (), **more: Any
    ) -> list[Version]:
        """See :meth:`server.store.port.Store.commit`."""
        words = [self._word(one).left(new_id()) for one in records if one.kind in _NAMED]
        return await self._store.commit(writes, records=[*records, *words], **more)

    def _word(self, write: RecordWrite) -> Word:
        # A revision that must be there is that of what is changed.
        action: Action = "D" if write.value is None else "U" if write.if_rev else "C"
        return Word(self._now(), action, "administer", operator(), _NAMED[write.kind](write))


def operator() -> str:
    """Return the principal of who works at the command line, by the login of the machine."""
    try:
        return f"operator/{getpass.getuser()}"
    except (OSError, KeyError):  # a container may run as a user without a name
        return "operator/-"
