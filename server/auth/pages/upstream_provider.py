"""An external OpenID provider, asked who somebody is.

OpenID Connect Core 1.0, 3.1 (code flow) with PKCE (RFC 7636) and the issuer in the answer
(RFC 9207).  What is fetched goes through the one client that looks where addresses lead.
"""

import warnings
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from server.fhir import json as fhir_json
from server.fhir.errors import InvalidJson
from server.safe_client import SafeClient, Unfetched

SECOND = 1_000_000
KEPT_US = 3600 * SECOND
RETRY_US = 60 * SECOND  # a key that is not in the set may be new: look again, but not each time
LEEWAY_S = 60
MAX_BYTES = 256 * 1024
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")


class UpstreamFailed(Exception):
    """The provider cannot be asked, or what it said cannot be trusted; the text says why."""


@dataclass(frozen=True, slots=True)
class Provider:
    """``issuer`` is exactly what the provider calls itself; ``label`` is what the button says.

    ``aud``: the FHIR address of a provider that is a SMART server itself, and asks for it.
    """

    issuer: str
    client_id: str
    client_secret: str | None = None
    scope: str = "openid"
    label: str = "Log in with your organization"
    aud: str | None = None


@dataclass(frozen=True, slots=True)
class Secret:
    """256 random bits in a cookie, and what is derived of them for one login.

    Nothing has to be kept here, and no other browser can finish the login.
    """

    value: str

    @property
    def state(self) -> str:
        """What comes back with the code."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """What the id_token must hold."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """What the code is exchanged with."""
        return self._derived("verifier")

    def _derived(self, what: str) -> str:
        digest = sha256(f"{what} {self.value}".encode()).digest()
        return urlsafe_b64encode(digest).rstrip(b"=").decode()


class Upstream:
    """One provider.  ``now`` gives microseconds.  ``web`` must allow the issuer's origin."""

    def __init__(self, provider: Provider, web: SafeClient, now: Callable[[], int]) -> None:
        self.provider, self._web, self._now = provider, web, now
        self._metadata: tuple[int, Mapping[str, Any]] | None = None
        self._keys: tuple[int, KeySet] | None = None

    async def address(self, redirect_uri: str, secret: Secret) -> str:
        """Return where the browser goes to log in; raise UpstreamFailed."""
        endpoint = _text(await self._discovered(), "authorization_endpoint")
        asked = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": redirect_uri,
            "scope": self.provider.scope,
            "state": secret.state,
            "nonce": secret.nonce,
            "code_challenge": create_s256_code_challenge(secret.verifier),
            "code_challenge_method": "S256",
            **({"aud": self.provider.aud} if self.provider.aud is not None else {}),
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    async def subject(
        self, redirect_uri: str, secret: Secret, code: str, issuer: str | None
    ) -> str:
        """Exchange a code; return who it is (``sub``), validated.

        ``issuer``: the parameter ``iss`` of the answer.

        Raises:
            UpstreamFailed: it cannot be exchanged, or the id_token is not one for this login.
        """
        metadata = await self._discovered()
        promised = metadata.get("authorization_response_iss_parameter_supported") is True
        if issuer != self.provider.issuer and (issuer is not None or promised):
            raise UpstreamFailed("the answer is of another issuer")
        tokens = await self._exchanged(metadata, redirect_uri, secret, code)
        claims = await self._validated(metadata, _text(tokens, "id_token"), secret, tokens)
        return _text(claims, "sub")

    async def _exchanged(
        self, metadata: Mapping[str, Any], redirect_uri: str, secret: Secret, code: str
    ) -> Mapping[str, Any]:
        """OpenID Connect Core 3.1.3; the client proves itself by its secret where it has one."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": secret.verifier,
        }
        headers = {"Accept": "application/json"}
        id_, kept = self.provider.client_id, self.provider.client_secret
        if kept is None:
            form["client_id"] = id_
        else:  # RFC 6749, 2.3.1: both are form-encoded first
            pair = f"{quote(id_, safe='')}:{quote(kept, safe='')}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        endpoint = _text(metadata, "token_endpoint")
        return await self._fetched(endpoint, method="POST", data=form, headers=headers)

    async def _validated(
        self, metadata: Mapping[str, Any], token: str, secret: Secret, tokens: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """OpenID Connect Core 3.1.3.7."""
        try:
            decoded = await self._decoded(metadata, token)
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                options={
                    "iss": {"essential": True, "value": self.provider.issuer},
                    "aud": {"essential": True, "value": self.provider.client_id},
                },
                params={
                    "nonce": secret.nonce,
                    "client_id": self.provider.client_id,
                    "access_token": tokens.get("access_token"),
                },
            )
            claims.validate(now=self._now() // SECOND, leeway=LEEWAY_S)
        except (JoseError, ValueError, TypeError) as error:
            raise UpstreamFailed(f"the id_token is not valid: {type(error).__name__}") from error
        return dict(claims)

    async def _decoded(self, metadata: Mapping[str, Any], token: str) -> jwt.Token:
        try:
            return jwt.decode(token, await self._key_set(metadata), algorithms=list(ALGORITHMS))
        except (JoseError, ValueError):
            if self._keys is None or self._now() - self._keys[0] < RETRY_US:
                raise
        self._keys = None
        return jwt.decode(token, await self._key_set(metadata), algorithms=list(ALGORITHMS))

    async def _key_set(self, metadata: Mapping[str, Any]) -> KeySet:
        if self._keys is None or not 0 <= self._now() - self._keys[0] < KEPT_US:
            found = await self._fetched(_text(metadata, "jwks_uri"))
            self._keys = (self._now(), _key_set(found))
        return self._keys[1]

    async def _discovered(self) -> Mapping[str, Any]:
        """OpenID Connect Discovery 1.0, 4: the document must be of the issuer that was asked."""
        if self._metadata is None or not 0 <= self._now() - self._metadata[0] < KEPT_US:
            issuer = self.provider.issuer
            address = f"{issuer.removesuffix('/')}/.well-known/openid-configuration"
            found = await self._fetched(address)
            if found.get("issuer") != issuer:
                raise UpstreamFailed("the provider calls itself otherwise")
            self._metadata = (self._now(), found)
        return self._metadata[1]

    async def _fetched(self, url: str, **how: Any) -> Mapping[str, Any]:
        try:
            answer = await self._web.fetch(url, max_bytes=MAX_BYTES, **how)
        except Unfetched as error:
            raise UpstreamFailed(str(error)) from error
        if answer.status != 200:
            raise UpstreamFailed(f"the provider answered {answer.status}")
        try:
            found = fhir_json.loads(answer.body)
        except InvalidJson as error:
            raise UpstreamFailed("the provider did not answer with JSON") from error
        if not isinstance(found, dict):
            raise UpstreamFailed("the provider did not answer with an object")
        return found


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value:
        raise UpstreamFailed(f"the provider did not say its {name}")
    return value


def _key_set(found: Mapping[str, Any]) -> KeySet:
    """Return the keys that can be read: one of a kind that is not known must not lock all out."""
    listed, keys = found.get("keys"), []
    for one in listed if isinstance(listed, list) else []:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of keys for other uses than ours
                keys += KeySet.import_key_set({"keys": [one]}).keys
        except (JoseError, ValueError, TypeError, AttributeError, LookupError):
            continue  # joserfc hands on what its own look-ups raise for curves it does not know
    if not keys:
        raise UpstreamFailed("the provider has no key that can be read")
    return KeySet(keys)
