"""The keys of a client that signs: a JSON Web Key Set of public keys.

RFC 7517; SMART client-confidential-asymmetric.html#registering-a-client-communicating-public-keys.
"""

import warnings
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, RSAKey

from server.auth.unfit import Unfit
from server.fhir import json as fhir_json
from server.fhir.errors import InvalidJson

MOST_KEYS = 50
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192  # larger ones only cost the time to check by them
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")


def read_keys(text: bytes) -> dict[str, Any]:
    """Return the key set that ``text`` holds, checked; raise Unfit."""
    try:
        return check_keys(fhir_json.loads(text))
    except InvalidJson as error:
        raise Unfit(f"the key set is not JSON: {error.diagnostics}") from error


def check_keys(jwks: Any) -> dict[str, Any]:
    """Return ``jwks`` when a client can sign by it with RS384 or ES384.

    Raises:
        Unfit: it is no key set, holds a private or symmetric key, one without ``kid`` or a repeated
            one, or none that can be used.
    """
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(keys, list) or not 0 < len(keys) <= MOST_KEYS:
        raise Unfit(f'a key set is {{"keys": [...]}} with 1 to {MOST_KEYS} keys')
    try:
        fhir_json.dumps(keys)
    except TypeError as error:  # of orjson: half a surrogate pair, an integer beyond 64 bits
        raise Unfit("the key set holds a text or a number that cannot be kept") from error
    for key in keys:
        _check_public(key)
    ids = [key["kid"] for key in keys]
    if len(set(ids)) != len(ids):
        raise Unfit("two keys of the set have the same kid")
    if not any(algorithm_of(key) for key in _read(keys)):
        raise Unfit("no key of the set signs RS384 (RSA, 2048 bits or more) or ES384 (P-384)")
    return {"keys": keys}


def algorithm_of(key: Key) -> str | None:
    """Return the algorithm that a client signs with by this key; ``None``: none that is taken."""
    said = key.as_dict()
    if said.get("use", "sig") != "sig" or "verify" not in said.get("key_ops", ["verify"]):
        return None
    made = None
    if isinstance(key, RSAKey) and MIN_RSA_BITS <= key.public_key.key_size <= MAX_RSA_BITS:
        made = "RS384"
    elif isinstance(key, ECKey) and key.curve_name == "P-384":
        made = "ES384"
    return made if said.get("alg", made) == made else None


def _check_public(key: Any) -> None:
    if not isinstance(key, dict):
        raise Unfit("a key of the set is not an object")
    kid = key.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= 256:
        raise Unfit("every key has a kid, by which a signature names it")
    if key.get("kty") == "oct" or any(member in key for member in _PRIVATE):
        raise Unfit(f"key {kid} holds a secret: send public keys only, and make new ones now")


def _read(keys: list[dict[str, Any]]) -> list[Key]:
    found: list[Key] = []
    for key in keys:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # weak keys are left out below, not warned of
                found += KeySet.import_key_set({"keys": [key]}).keys
        except (JoseError, ValueError, TypeError, AttributeError) as error:
            # joserfc hands on what cryptography and its own look-ups raise for broken members.
            if key.get("kty") in ("RSA", "EC"):
                raise Unfit(f"key {key['kid']} cannot be read: {error}") from error
    return found
