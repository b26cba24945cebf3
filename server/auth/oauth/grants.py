"""The grants of the token endpoint, on authlib's: what SMART asks for beyond them.

They run in a worker thread; ``anyio.from_thread`` reaches the store, which lives on the loop.
"""

import hmac
import logging
from typing import Any

import anyio.from_thread
from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidScopeError, grants
from authlib.oauth2.rfc6749.models import AuthorizationCodeMixin, TokenMixin
from authlib.oauth2.rfc7636 import CodeChallenge, create_s256_code_challenge
from authlib.oidc.core.grants.code import OpenIDToken

from server.access import scopes
from server.access.conditions import grantable
from server.auth.keys import Keys
from server.auth.oauth import id_token
from server.auth.oauth.client_auth import METHODS, Registered
from server.auth.oauth.ledger import Issued, Ledger, Redeemable, Reused
from server.auth.oauth.terms import Terms
from server.auth.records import User

# authlib logs whole tokens at DEBUG; no log of ours may hold one.
logging.getLogger("authlib").setLevel(logging.WARNING)

call = anyio.from_thread.run


class FoundCode(AuthorizationCodeMixin):  # type: ignore[misc] # authlib has no types
    """A code as authlib asks for it."""

    code_challenge_method = "S256"

    def __init__(self, found: Redeemable) -> None:
        assert found.code is not None
        self.found = found
        self.code_challenge = found.code.challenge
        self.redirect_uri = found.code.redirect_uri

    def get_redirect_uri(self) -> str:
        """Return the address that the code was sent to."""
        return self.redirect_uri

    def get_scope(self) -> str:
        """Return what was granted."""
        return self.found.grant.scope


class FoundRefresh(TokenMixin):  # type: ignore[misc] # authlib has no types
    """A refresh token as authlib asks for it."""

    def __init__(self, found: Redeemable) -> None:
        self.found = found

    def check_client(self, client: Registered) -> bool:
        """Tell whether it was given to this client (app-launch.html#refresh-access-token)."""
        return self.found.grant.client == client.kept.id

    def get_scope(self) -> str:
        """Return what was granted."""
        return self.found.grant.scope


class Pkce(CodeChallenge):  # type: ignore[misc] # authlib has no types
    """S256 always.  RFC 7636; SMART app-launch.html#considerations-for-pkce-support."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)
    CODE_CHALLENGE_METHODS = {  # noqa: RUF012 - authlib's own shape
        "S256": lambda verifier, challenge: hmac.compare_digest(
            create_s256_code_challenge(verifier), challenge
        )
    }


class _Smart:
    """What all grants share: tokens come from the ledger, in the commit that spends a code."""

    TOKEN_ENDPOINT_AUTH_METHODS = METHODS
    request: Any
    server: Any

    @property
    def _ledger(self) -> Ledger:
        ledger: Ledger = self.server.ledger
        return ledger

    def save_token(self, token: dict[str, Any]) -> None:
        """Do nothing: the ledger has it already."""

    def _user(self, found: Redeemable) -> User | None:
        name = found.grant.user
        return call(self._ledger.user, name) if name is not None else None

    def _issue(self, found: Redeemable, scope: str) -> dict[str, Any]:
        try:
            issued = call(self._ledger.issue, found, scope)
        except Reused as error:
            raise InvalidGrantError(str(error)) from error
        self.request.credential = issued
        return answer(issued, self.server.terms)


class CodeGrant(_Smart, grants.AuthorizationCodeGrant):  # type: ignore[misc] # authlib has no types
    """``authorization_code``: a minute, once, by its client.  RFC 6749 4.1.3."""

    def query_authorization_code(self, code: str, client: Registered) -> FoundCode | None:
        """Return a code of this client; a second use ends all that came of the first."""
        try:
            found = call(self._ledger.find_code, code)
        except Reused as error:
            raise InvalidGrantError(str(error)) from error
        return FoundCode(found) if found is not None and _of(found, client) else None

    def authenticate_user(self, authorization_code: FoundCode) -> User | None:
        """Return the user, if they may still act."""
        return self._user(authorization_code.found)

    def generate_token(self, *, scope: str, **_: Any) -> dict[str, Any]:
        """Spend the code; return what follows from it."""
        return self._issue(self.request.authorization_code.found, scope)

    def delete_authorization_code(self, authorization_code: FoundCode) -> None:
        """Do nothing: it stays, spent, so that a second use is seen."""


class RefreshGrant(_Smart, grants.RefreshTokenGrant):  # type: ignore[misc] # authlib has no types
    """``refresh_token``: rotated at every use.  RFC 6749 6; RFC 9700 4.14.2."""

    def authenticate_refresh_token(self, refresh_token: str) -> FoundRefresh | None:
        """Return a refresh token whose user may still act; a second use ends the family."""
        try:
            found = call(self._ledger.find_refresh, refresh_token)
        except Reused as error:
            raise InvalidGrantError(str(error)) from error
        if found is None or self._user(found) is None:
            return None
        return FoundRefresh(found)

    def authenticate_user(self, refresh_token: FoundRefresh) -> User | None:
        """Return the user, if they may still act."""
        return self._user(refresh_token.found)

    def _validate_token_scope(self, token: FoundRefresh) -> None:
        self._scope(token)

    def issue_token(self, user: User, refresh_token: FoundRefresh) -> dict[str, Any]:
        """Spend the refresh token; return what follows from it."""
        return self._issue(refresh_token.found, self._scope(refresh_token))

    def revoke_old_credential(self, refresh_token: FoundRefresh) -> None:
        """Do nothing: it stays, spent, so that a second use is seen."""

    def _scope(self, token: FoundRefresh) -> str:
        """Return what the new token is for: the same as before, or less if less is asked for."""
        wanted = scopes.parse(self.request.payload.scope or "")
        try:
            narrowed = scopes.narrowed(scopes.parse(token.get_scope()), wanted)
        except scopes.BeyondGrant as error:
            raise InvalidScopeError from error
        return narrowed.text


class BackendGrant(_Smart, grants.ClientCredentialsGrant):  # type: ignore[misc] # as above
    """``client_credentials``: for clients that sign, within what was agreed before.

    SMART backend-services.html#scopes, #evaluate-requested-access.
    """

    TOKEN_ENDPOINT_AUTH_METHODS = ["private_key_jwt"]  # noqa: RUF012 - authlib's own shape

    def validate_requested_scope(self) -> None:
        """Refuse what is not for systems, or not pre-authorized."""
        asked = scopes.parse(self.request.payload.scope or "")
        allowed = scopes.parse(self.request.client.kept.scope)
        for_systems = asked.levels <= {"system"} and all(
            one == scopes.INTROSPECT or one.startswith("admin/") for one in asked.others
        )
        kept, _ = grantable(asked, self.server.catalog(), self.server.terms.base_url)
        whole = bool(asked.of) and not asked.dropped and kept == asked
        if not whole or not for_systems or not allowed.covers(asked):
            raise InvalidScopeError("a scope is not for this backend service, or is missing")

    def generate_token(self, *, scope: str, **_: Any) -> dict[str, Any]:
        """Return a token that lives for five minutes at most."""
        text = scopes.parse(scope).text
        issued = call(self._ledger.issue_backend, self.request.client.kept, text)
        return answer(issued, self.server.terms)


class IdToken(OpenIDToken):  # type: ignore[misc] # authlib has no types
    """Puts an id_token beside an access token that was granted ``openid``."""

    def __init__(self, keys: Keys, terms: Terms) -> None:
        self._keys, self._terms = keys, terms

    def encode_id_token(self, token: dict[str, Any], request: Any) -> str:
        """Return the signed id_token."""
        issued: Issued = request.credential
        said = id_token.claims(
            self._terms,
            request.user,
            issued.grant,
            nonce=request.authorization_code.found.code.nonce,
            access_token=issued.access,
            now=issued.grant.used,
        )
        return id_token.sign(said, call(self._keys.signing))


def answer(issued: Issued, terms: Terms) -> dict[str, Any]:
    """Return the members of a token response.  SMART app-launch.html#response-5."""
    grant = issued.grant
    made: dict[str, Any] = {
        "access_token": issued.access,
        "token_type": "Bearer",
        "expires_in": issued.expires_in,
        "scope": issued.scope,
    }
    if issued.refresh is not None:
        made["refresh_token"] = issued.refresh
    made.update(context_of(grant.context, grant.patient, terms, user=grant.user is not None))
    return made


def context_of(
    context: dict[str, Any], patient: str | None, terms: Terms, *, user: bool
) -> dict[str, Any]:
    """Return the launch context that goes beside a token (#launch-context-arrives-...)."""
    made = dict(context)
    if patient is not None:
        made["patient"] = patient
    if user and terms.style_url is not None:
        made.setdefault("smart_style_url", terms.style_url)
    return made


def _of(found: Redeemable, client: Registered) -> bool:
    return found.code is not None and found.code.client == client.kept.id
