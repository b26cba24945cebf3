"""The authorization endpoint, without its pages.  RFC 6749 4.1.1; SMART app-launch.html#request-4.

``begin`` validates a request and keeps it; the pages ask who the user is and what they allow;
``conclude`` or ``deny`` make the address that the browser is sent to.  authlib's own validation is
not used here: it redirects before it looks at the client, and its messages repeat what was sent.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from secrets import token_urlsafe
from typing import Any
from urllib.parse import urlencode

from server.auth.oauth.asked import redirect_uri_of, single, validate
from server.auth.oauth.granted import fit_context, granted_scopes, refresh_kind
from server.auth.oauth.ledger import Ledger
from server.auth.oauth.pending import PageError, Pending, Redirected, Refused
from server.auth.oauth.terms import PENDING_S, SECOND, Terms
from server.auth.records import Client, Launch, User, key_of
from server.search.catalog import Catalog
from server.store.port import RecordWrite

__all__ = ["Authorize", "PageError", "Pending", "Redirected", "fit_context"]


class Authorize:
    """Begins and ends authorizations.

    ``now`` gives microseconds, ``catalog`` the search parameters in force.
    """

    def __init__(
        self,
        ledger: Ledger,
        terms: Terms,
        now: Callable[[], int],
        catalog: Callable[[], Catalog],
    ) -> None:
        self._ledger, self._terms = ledger, terms
        self._now, self._catalog = now, catalog

    async def begin(self, params: Iterable[tuple[str, str]]) -> Pending:
        """Return the request, kept for ten minutes.

        Raises:
            PageError: the client or its redirect address is not known.
            Redirected: anything else is wrong with it.
        """
        sent: dict[str, list[str]] = {}
        for name, value in params:
            if value:  # RFC 6749, 3.1: without a value is as if omitted
                sent.setdefault(name, []).append(value)
        client = await self._client(sent.get("client_id", []))
        redirect_uri = redirect_uri_of(client, sent.get("redirect_uri", []))
        try:
            asked = single(sent)
            pending = validate(client, redirect_uri, asked, self._terms.base_url, self._catalog())
            if "launch" in asked:
                pending = await self._launched(pending, asked["launch"])
        except Refused as refused:
            await self._ledger.refused("grant", client.id, refused.description)
            state = sent.get("state", [])
            url = self._answer(
                redirect_uri,
                state[0] if len(state) == 1 else None,
                error=refused.error,
                error_description=refused.description,
            )
            raise Redirected(url) from refused
        return await self._keep(pending)

    async def pending(self, id_: str) -> Pending:
        """Return a request that was begun.

        Raises:
            PageError: there is none: it was answered, or is older than ten minutes.
        """
        record = await self._ledger.store.get_record(Pending.KIND, key_of(id_))
        if record is None:
            raise _over()
        return replace(Pending.unpack(record.value), id=id_)

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
        """Return where the browser goes, with a code; or with ``access_denied`` if nothing is left.

        ``scopes_granted``: what the user left ticked.  ``session``: the key of their session.
        ``auth_time``: when they logged in (microseconds).

        Raises:
            PageError: the request was answered already, or the client is gone.
        """
        client = await self._take(pending)
        fit = fit_context({**pending.context, **context}, patient)
        granted = granted_scopes(pending, user, scopes_granted, patient, fit)
        if not granted.of:
            return await self._denied(pending, "access_denied", "nothing was allowed")
        code = await self._ledger.grant(
            client,
            user,
            scope=granted.text,
            patient=patient,
            context=fit,
            refresh=refresh_kind(granted),
            session=session,
            auth_time=auth_time,
            redirect_uri=pending.redirect_uri,
            challenge=pending.challenge,
            nonce=pending.nonce,
        )
        return self._answer(pending.redirect_uri, pending.state, code=code)

    async def deny(self, pending: Pending, error: str, description: str) -> str:
        """Return where the browser goes with an error.

        ``error`` is of RFC 6749 4.1.2.1 (``access_denied``) or OpenID Connect Core 3.1.2.6
        (``login_required``, ``interaction_required``, ``consent_required`` ...).

        Raises:
            PageError: the request was answered already, or the client is gone.
        """
        await self._take(pending)
        return await self._denied(pending, error, description)

    async def _client(self, ids: list[str]) -> Client:
        client = await self._ledger.client(ids[0]) if len(ids) == 1 else None
        if client is None:
            raise PageError("Unknown app", "No app of this name (client_id) is registered here.")
        return client

    async def _launched(self, pending: Pending, handle: str) -> Pending:
        """Take the launch that the handle stands for: once, by the client that it is for."""
        record = await self._ledger.store.take_record(Launch.KIND, key_of(handle))
        launch = Launch.unpack(record.value) if record is not None else None
        if launch is None or launch.client not in (None, pending.client):
            raise Refused("invalid_request", "the launch is unknown, was used, or has expired")
        return replace(
            pending,
            launched=True,
            user=launch.user,
            patient=launch.patient,
            context=launch.context,
        )

    async def _keep(self, pending: Pending) -> Pending:
        id_ = token_urlsafe(32)
        expires = self._now() + PENDING_S * SECOND
        record = RecordWrite(
            Pending.KIND, key_of(id_), pending.pack(), pending.client, 0, expires_at=expires
        )
        await self._ledger.store.commit([], records=[record])
        return replace(pending, id=id_)

    async def _take(self, pending: Pending) -> Client:
        if await self._ledger.store.take_record(Pending.KIND, key_of(pending.id)) is None:
            raise _over()
        client = await self._client([pending.client])
        redirect_uri_of(client, [pending.redirect_uri])  # it may have been changed meanwhile
        return client

    async def _denied(self, pending: Pending, error: str, description: str) -> str:
        await self._ledger.refused("grant", pending.client, f"{error}: {description}")
        return self._answer(
            pending.redirect_uri, pending.state, error=error, error_description=description
        )

    def _answer(self, redirect_uri: str, state: str | None, **params: str) -> str:
        """Return the address of an answer.

        Without ``iss`` (RFC 9207): to SMART apps that parameter is a FHIR address to launch at
        (app-launch.html#launch-app-ehr-launch).  docs/decisions/0008.
        """
        if state is not None:
            params["state"] = state
        return f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{urlencode(params)}"


def _over() -> PageError:
    return PageError(
        "This page has expired", "The request was answered already, or is too old. Start again."
    )
