"""private_key_jwt: a client proves itself by a signed assertion.  RFC 7523 3.

SMART client-confidential-asymmetric.html#signature-verification.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key

from server.fhir import json as fhir_json
from server.fhir.errors import InvalidJson

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ("RS384", "ES384")
MAX_LIFE_S = 300
LEEWAY_S = 10  # of the clients' clocks
MAX_JTI = 256  # characters


class InvalidAssertion(Exception):
    """The assertion proves nothing; the text says why, and repeats nothing that was sent."""


@dataclass(frozen=True, slots=True)
class Header:
    """What names the key of an assertion; nothing of it is proven yet."""

    client_id: str
    alg: str
    kid: str
    jku: str | None


def read(assertion: str) -> Header:
    """Return who an assertion says it is from, and by which key; raise InvalidAssertion."""
    try:
        parts = jws.extract_compact(assertion.encode("ascii"))
        header, payload = parts.headers(), parts.payload
        said = _claims(payload)
    except (JoseError, InvalidJson, ValueError, RecursionError) as error:
        raise InvalidAssertion("the assertion is not a signed JWT") from error
    alg, kid, jku, subject = header.get("alg"), header.get("kid"), header.get("jku"), said["sub"]
    if alg not in ALGORITHMS:
        raise InvalidAssertion("the assertion is not signed with RS384 or ES384")
    if not isinstance(kid, str) or not kid:
        raise InvalidAssertion("the assertion names no key (kid)")
    if jku is not None and not isinstance(jku, str):
        raise InvalidAssertion("the jku of the assertion is not a text")
    if str(header.get("typ", "JWT")).upper() != "JWT":
        raise InvalidAssertion("the typ of the assertion is not JWT")
    return Header(subject, alg, kid, jku)


def _claims(payload: bytes) -> Mapping[str, Any]:
    """Return the claims of a payload, of which ``sub`` is a text; raise ValueError, InvalidJson.

    Read strictly: half a surrogate pair is no text that could be looked up, or be a ``jti``.
    """
    said = fhir_json.loads(payload)
    if not isinstance(said, dict) or not isinstance(said.get("sub"), str):
        raise ValueError("no subject")
    return said


def verify(
    assertion: str, header: Header, key: Key, *, audience: str, now_s: float
) -> tuple[str, int]:
    """Return the ``jti`` and ``exp`` (seconds) of an assertion that is signed and in force.

    Raises:
        InvalidAssertion: its signature or one of its claims is not right.
    """
    try:
        said = jwt.decode(assertion, key, algorithms=[header.alg]).claims
    except (JoseError, ValueError, RecursionError) as error:
        raise InvalidAssertion("the signature of the assertion is not right") from error
    if said.get("iss") != said.get("sub") or said.get("sub") != header.client_id:
        raise InvalidAssertion("iss and sub of the assertion must both be the client_id")
    audiences = said.get("aud")
    if audience not in (audiences if isinstance(audiences, list) else [audiences]):
        raise InvalidAssertion("aud of the assertion is not this token endpoint")
    return _jti(said), _in_force(said, now_s)


def _in_force(said: Mapping[str, Any], now_s: float) -> int:
    exp = _time(said, "exp")
    if exp is None or exp <= now_s - LEEWAY_S:
        raise InvalidAssertion("the assertion has expired, or says no exp")
    if exp > now_s + MAX_LIFE_S + LEEWAY_S:
        raise InvalidAssertion("the assertion lives for more than five minutes")
    for name in ("nbf", "iat"):
        start = _time(said, name)
        if start is not None and start > now_s + LEEWAY_S:
            raise InvalidAssertion(f"{name} of the assertion is in the future")
    return int(exp)


def _time(said: Mapping[str, Any], name: str) -> float | None:
    value = said.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidAssertion(f"{name} of the assertion is not a number")
    if not abs(value) < 1e12:  # also: not NaN
        raise InvalidAssertion(f"{name} of the assertion is not a time")
    return value


def _jti(said: Mapping[str, Any]) -> str:
    jti = said.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI:
        raise InvalidAssertion("the assertion has no jti, or one that is too long")
    return jti
