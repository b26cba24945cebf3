"""The authorization endpoint, without its pages.  RFC 6749 4.1.1; SMART app-launch.html#request-4.

``begin`` validates a request and keeps it; the pages ask who the user is and what they allow;
``conclude`` or ``deny`` make the address that the browser is sent to.  authlib's own validation is
not used here: it redirects before it looks at the client, and its messages repeat what was sent.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from secrets import token_urlsafe
from typing import Any, ClassVar
from urllib.parse import urlencode

from server.access import scopes
from server.auth.oauth.ledger import Ledger
from server.auth.oauth.terms import PENDING_S, SECOND, Terms
from server.auth.records import Client, Kept, Launch, User, key_of
from server.store.port import RecordWrite

MAX_PARAMETER = 4096  # characters of one; scopes are bounded by themselves

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # RFC 7636, 4.2: SHA-256 in base64url
_PROMPTS = frozenset(("none", "login", "consent", "select_account"))
_NOT_SUPPORTED = {  # OpenID Connect Core 1.0, 3.1.2.6
    "request": "request_not_supported",
    "request_uri": "request_uri_not_supported",
    "registration": "registration_not_supported",
}


class PageError(Exception):
    """What is told to the person in a page, never to an address: it may be a stranger's."""

    def __init__(self, title: str, text: str, status: int = 400) -> None:
        super().__init__(f"{title}: {text}")
        self.title, self.text, self.status = title, text, status


class Redirected(Exception):
    """The request was refused; the app is told at ``url``.  RFC 6749 4.1.2.1."""

    def __init__(self, url: str) -> None:
        super().__init__("the request was refused")
        self.url = url


class _Refused(Exception):
    """``error`` and ``description`` go to the redirect address of the app."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error, self.description = error, description


@dataclass(frozen=True, slots=True)
class Pending(Kept):
    """A validated request that waits for its user.  Key: SHA-256 of ``id``.  Tag: the client.

    ``scope``: what was asked for and the client may have, never more.  ``prompt``: some of
    ``none``, ``login``, ``consent``, ``select_account``.  ``max_age``: seconds since the login at
    most.  ``launched``: from the EHR; then only ``user`` may go on, and ``patient`` and ``context``
    are those of the launch.
    """

    KIND: ClassVar[str] = "pending"
    client: str
    client_name: str
    redirect_uri: str
    state: str
    scope: str
    challenge: str
    id: str = ""
    nonce: str | None = None
    prompt: tuple[str, ...] = ()
    max_age: int | None = None
    login_hint: str | None = None
    launched: bool = False
    user: str | None = None
    patient: str | None = None
    context: dict[str, Any] = field(default_factory=dict)


class Authorize:
    """Begins and ends authorizations; ``now`` gives microseconds."""

    def __init__(self, ledger: Ledger, terms: Terms, now: Callable[[], int]) -> None:
        self._ledger, self._terms, self._now = ledger, terms, now

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
        redirect_uri = _redirect_uri(client, sent.get("redirect_uri", []))
        try:
            asked = _single(sent)
            pending = self._validate(client, redirect_uri, asked)
            if "launch" in asked:
                pending = await self._launched(pending, asked["launch"])
        except _Refused as refused:
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
        granted = _grantable(pending, user, scopes_granted, patient, fit)
        if not granted.of:
            return await self._denied(pending, "access_denied", "nothing was allowed")
        code = await self._ledger.grant(
            client,
            user,
            scope=granted.text,
            patient=patient,
            context=fit,
            refresh=_refresh(granted),
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

    def _validate(self, client: Client, redirect_uri: str, asked: Mapping[str, str]) -> Pending:
        if any(len(value) > MAX_PARAMETER for name, value in asked.items() if name != "scope"):
            raise _Refused("invalid_request", "a parameter is too long")
        _check_shape(asked)
        if "authorization_code" not in client.grants:
            raise _Refused("unauthorized_client", "this client may not ask for a code")
        if asked.get("aud", "").rstrip("/") != self._terms.base_url:
            raise _Refused("invalid_request", "aud must be the FHIR address of this server")
        return Pending(
            client=client.id,
            client_name=client.name,
            redirect_uri=redirect_uri,
            state=asked["state"],
            scope=_scope(client, asked),
            challenge=_challenge(asked),
            nonce=asked.get("nonce"),
            prompt=_prompt(asked),
            max_age=_max_age(asked),
            login_hint=asked.get("login_hint"),
        )

    async def _launched(self, pending: Pending, handle: str) -> Pending:
        """Take the launch that the handle stands for: once, by the client that it is for."""
        record = await self._ledger.store.take_record(Launch.KIND, key_of(handle))
        launch = Launch.unpack(record.value) if record is not None else None
        if launch is None or launch.client not in (None, pending.client):
            raise _Refused("invalid_request", "the launch is unknown, was used, or has expired")
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
        _redirect_uri(client, [pending.redirect_uri])  # it may have been changed meanwhile
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


def fit_context(context: Mapping[str, Any], patient: str | None) -> dict[str, Any]:
    """Return a launch context that may go beside an access token.

    Of ``fhirContext`` only what SMART allows is kept: each names a resource, roles of others are
    absolute, patients and encounters have a role of their own (#fhircontext-exp).
    """
    fit = {name: value for name, value in context.items() if value is not None}
    fit.pop("patient", None)  # said by Grant.patient, and nowhere else
    if "fhirContext" in fit:
        fit["fhirContext"] = [one for one in fit["fhirContext"] if _allowed(one)]
    if patient is not None:
        fit.setdefault("need_patient_banner", True)
    return fit


def _allowed(one: Mapping[str, Any]) -> bool:
    role = one.get("role", "launch")
    if not isinstance(role, str) or not (role == "launch" or ":" in role):
        return False
    type_ = str(one.get("reference", "")).partition("/")[0] or one.get("type")
    if type_ in ("Patient", "Encounter") and role == "launch":
        return False
    return any(name in one for name in ("reference", "canonical", "identifier"))


def _over() -> PageError:
    return PageError(
        "This page has expired", "The request was answered already, or is too old. Start again."
    )


def _redirect_uri(client: Client, sent: list[str]) -> str:
    if len(sent) != 1 or sent[0] not in client.redirect_uris:  # exact: RFC 9700, 4.1.3
        raise PageError(
            "Unknown address",
            "The address (redirect_uri) to go back to is not registered for this app.",
        )
    return sent[0]


def _single(sent: Mapping[str, list[str]]) -> dict[str, str]:
    for name, values in sent.items():
        if len(values) > 1:  # RFC 6749, 3.1
            known = name if name.isidentifier() and name.isascii() else "a parameter"
            raise _Refused("invalid_request", f"{known} was sent more than once")
    return {name: values[0] for name, values in sent.items()}


def _check_shape(asked: Mapping[str, str]) -> None:
    for name, error in _NOT_SUPPORTED.items():
        if name in asked:
            raise _Refused(error, f"the parameter {name} is not supported")
    if "state" not in asked:  # app-launch.html#request-4: required
        raise _Refused("invalid_request", "state is missing")
    if "response_type" not in asked:
        raise _Refused("invalid_request", "response_type is missing")
    if asked["response_type"] != "code":
        raise _Refused("unsupported_response_type", "response_type must be code")
    if asked.get("response_mode", "query") != "query":
        raise _Refused("invalid_request", "response_mode must be query")


def _challenge(asked: Mapping[str, str]) -> str:
    """RFC 7636 4.3; SMART #considerations-for-pkce-support: S256 always, plain never."""
    if asked.get("code_challenge_method") != "S256":
        raise _Refused("invalid_request", "code_challenge_method must be S256")
    if not _CHALLENGE.fullmatch(asked.get("code_challenge", "")):
        raise _Refused("invalid_request", "code_challenge is missing or not one of S256")
    return asked["code_challenge"]


def _scope(client: Client, asked: Mapping[str, str]) -> str:
    """Return what may be granted.  ``system/`` is for clients without a user."""
    if "scope" not in asked:
        raise _Refused("invalid_scope", "scope is missing")
    allowed = scopes.intersect(scopes.parse(asked["scope"]), scopes.parse(client.scope))
    fit = [one for one in allowed.of if isinstance(one, str) or one.level != "system"]
    if not fit:
        raise _Refused("invalid_scope", "this client may have none of the scopes")
    return scopes.Scopes(tuple(fit)).text


def _prompt(asked: Mapping[str, str]) -> tuple[str, ...]:
    prompts = tuple(asked.get("prompt", "").split())
    if not _PROMPTS.issuperset(prompts) or ("none" in prompts and len(prompts) > 1):
        raise _Refused("invalid_request", "prompt has a value that is not known")
    return prompts


def _max_age(asked: Mapping[str, str]) -> int | None:
    text = asked.get("max_age")
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,9}", text):
        raise _Refused("invalid_request", "max_age is not a number of seconds")
    return int(text)


def _grantable(
    pending: Pending,
    user: User,
    wanted: str,
    patient: str | None,
    context: Mapping[str, Any],
) -> scopes.Scopes:
    """Return what of the user's choice can be granted: nothing that was not asked for."""
    chosen = scopes.intersect(scopes.parse(wanted), scopes.parse(pending.scope))
    never = {"launch"} if not pending.launched else set()
    if user.fhir_user is None:  # #scopes-for-requesting-identity-data
        never |= {"fhirUser", "profile"}
    if patient is None:
        never |= {"launch/patient"}
    if "encounter" not in context:
        never |= {"launch/encounter"}
    if "offline_access" in chosen:  # one of both is granted, and said
        never |= {"online_access"}
    if "admin" not in user.roles:
        never |= {one for one in chosen.others if one.startswith("admin/")}
    return scopes.Scopes(tuple(one for one in chosen.of if not _is_of(one, never, patient)))


def _is_of(one: scopes.Scope | str, never: set[str], patient: str | None) -> bool:
    if isinstance(one, str):
        return one.partition("?")[0] in never  # a role is a hint
    return patient is None and one.level == "patient"


def _refresh(granted: scopes.Scopes) -> Any:
    if "offline_access" in granted:
        return "offline"
    return "online" if "online_access" in granted else None
