"""The id_token: who the user is, signed.  OpenID Connect Core 1.0, 2; SMART
scopes-and-launch-context.html#scopes-for-requesting-identity-data.
"""

from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

from server.access import scopes
from server.auth.keys import ALGORITHM
from server.auth.oauth.terms import SECOND, Terms
from server.auth.records import Grant, User

LIFE_S = 3600


def claims(
    terms: Terms, user: User, grant: Grant, *, nonce: str | None, access_token: str, now: int
) -> dict[str, Any]:
    """Return what the token says; ``now`` in microseconds.

    ``fhirUser`` and (SMART 1) ``profile`` are the absolute address of the person's resource.
    """
    issued = now // SECOND
    made: dict[str, Any] = {
        "iss": terms.issuer,
        "sub": user.name,
        "aud": grant.client,
        "iat": issued,
        "exp": issued + LIFE_S,
        "auth_time": grant.auth_time // SECOND,
        "at_hash": _half_hash(access_token),
    }
    if nonce is not None:
        made["nonce"] = nonce
    granted = scopes.parse(grant.scope)
    if (person := fhir_user(terms, user)) is not None:
        made.update({name: person for name in ("fhirUser", "profile") if name in granted})
    return made


def fhir_user(terms: Terms, user: User) -> str | None:
    """Return the absolute address of the resource that stands for the user."""
    return f"{terms.base_url}/{user.fhir_user}" if user.fhir_user is not None else None


def sign(said: dict[str, Any], key: RSAKey) -> str:
    """Return the signed token."""
    header = {"alg": ALGORITHM, "kid": key.kid, "typ": "JWT"}
    return jwt.encode(header, said, key, algorithms=[ALGORITHM])


def _half_hash(token: str) -> str:
    """OpenID Connect Core 3.1.3.6."""
    half = sha256(token.encode()).digest()[:16]
    return urlsafe_b64encode(half).rstrip(b"=").decode()
