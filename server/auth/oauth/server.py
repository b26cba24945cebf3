"""The parts of the authorization server, put together."""

from collections.abc import Callable, Iterable
from typing import Any

from fastapi import APIRouter

from server.audit.port import Audit
from server.auth.oauth.authorize import Authorize, Pending
from server.auth.oauth.ledger import Ledger
from server.auth.oauth.terms import Terms
from server.auth.records import User
from server.store.port import Store


class AuthorizationServer:
    """``now`` gives microseconds; ``audit`` is told of every token issued, refused, revoked.

    ``router`` holds the endpoints (``/auth/...``, ``/.well-known/openid-configuration``).
    """

    def __init__(
        self, store: Store, now: Callable[[], int], terms: Terms, *, audit: Audit | None = None
    ) -> None:
        self.ledger = Ledger(store, terms, now, audit)
        self._authorize = Authorize(self.ledger, terms, now)
        self.router = APIRouter()

    async def begin(self, params: Iterable[tuple[str, str]]) -> Pending:
        """See :meth:`server.auth.oauth.authorize.Authorize.begin`."""
        return await self._authorize.begin(params)

    async def pending(self, id_: str) -> Pending:
        """See :meth:`server.auth.oauth.authorize.Authorize.pending`."""
        return await self._authorize.pending(id_)

    async def conclude(
        self,
        pending: Pending,
        *,
        user: User,
        scopes_granted: str,
        patient: str | None,
        context: dict[str, Any],
        session: str,
        auth_time: int,
    ) -> str:
        """See :meth:`server.auth.oauth.authorize.Authorize.conclude`."""
        return await self._authorize.conclude(
            pending,
            user=user,
            scopes_granted=scopes_granted,
            patient=patient,
            context=context,
            session=session,
            auth_time=auth_time,
        )

    async def deny(self, pending: Pending, error: str, description: str) -> str:
        """See :meth:`server.auth.oauth.authorize.Authorize.deny`."""
        return await self._authorize.deny(pending, error, description)

    async def revoke(self, grant: str) -> bool:
        """End a grant and all its tokens, in this process at once; tell whether there was one."""
        return await self.ledger.end(grant)
