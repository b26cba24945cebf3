"""Page cursors: sealed text that says where a page walk goes on.

A cursor holds sort values, and those are names and dates of people, so it is encrypted as well as
signed: AES-SIV (RFC 5297), which needs no nonce and is equal for equal arguments.  The context,
which is not in the cursor, binds it to its caller and to its query.  Nothing is stored: a walk
survives a restart, and costs no write.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from server.fhir.errors import InvalidSearch


def seal(key: bytes, state: Any, context: str) -> str:
    """Return the cursor of a JSON value, infinite numbers included; equal for equal arguments."""
    plain = json.dumps(state, separators=(",", ":")).encode()
    return urlsafe_b64encode(_cipher(key).encrypt(plain, _bound(context))).decode().rstrip("=")


def unseal(key: bytes, cursor: str, context: str) -> Any:
    """Return the value of a cursor that ``seal`` made with the same key and context.

    Raises:
        InvalidSearch: it was changed, or belongs to another search or another caller.
    """
    try:
        sealed = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        plain = _cipher(key).decrypt(sealed, _bound(context))
    except (UnicodeEncodeError, NotBase64, InvalidTag):
        raise InvalidSearch(
            "this page link was changed, or belongs to another search or another caller",
            expression=("_cursor",),
        ) from None
    return json.loads(plain)


@lru_cache(maxsize=8)
def _cipher(key: bytes) -> AESSIV:
    """AES-256-SIV takes 64 bytes; they serve cursors only, whatever else ``key`` is used for."""
    return AESSIV(blake2b(b"page cursor", key=key[:64], digest_size=64).digest())


def _bound(context: str) -> list[bytes]:
    return [context.encode("utf-8", "surrogatepass")]
