"""Token introspection: what a token is good for.  RFC 7662; SMART token-introspection.html."""

from typing import Any

from server.access import scopes
from server.auth.oauth import id_token
from server.auth.oauth.grants import context_of
from server.auth.oauth.ledger import Ledger
from server.auth.oauth.terms import SECOND, Terms
from server.auth.records import AccessToken, Grant

INACTIVE: dict[str, Any] = {"active": False}  # RFC 7662, 2.2: nothing more


class Introspection:
    """Answers about tokens."""

    def __init__(self, ledger: Ledger, terms: Terms) -> None:
        self._ledger, self._terms = ledger, terms

    async def answer(self, token: str, *, only_of: str | None) -> dict[str, Any]:
        """Return what is said of a token.

        ``only_of``: the client that asks about its own tokens; those of others are inactive to it.
        """
        found = await self._ledger.find(token)
        if found is None:
            return INACTIVE
        grant, kept, expires = found
        user = await self._ledger.user(grant.user) if grant.user is not None else None
        if only_of not in (None, grant.client) or (grant.user is not None and user is None):
            return INACTIVE
        if await self._ledger.client(grant.client) is None:
            return INACTIVE
        scope = kept.scope if isinstance(kept, AccessToken) else grant.scope
        made: dict[str, Any] = {
            "active": True,
            "scope": scope,
            "client_id": grant.client,
            "exp": expires // SECOND,
            "iat": (kept.issued if isinstance(kept, AccessToken) else grant.used) // SECOND,
            "aud": self._terms.base_url,
            **self._context(grant),
        }
        if isinstance(kept, AccessToken):
            made |= {"token_type": "Bearer"}
        if user is not None and "openid" in scopes.parse(grant.scope):
            made |= {"iss": self._terms.issuer, "sub": user.name}
            person = id_token.fhir_user(self._terms, user)
            if person is not None and "fhirUser" in scopes.parse(grant.scope):
                made["fhirUser"] = person
        return made

    def _context(self, grant: Grant) -> dict[str, Any]:
        user = grant.user is not None
        return context_of(grant.context, grant.patient, self._terms, user=user)


def may_introspect(scope: str) -> bool:
    """Tell whether a token with this scope may ask about tokens of any client.

    SMART token-introspection.html#authorization-to-perform-token-introspection.
    """
    return scopes.INTROSPECT in scopes.parse(scope)
