"""Page cursors: sealed text that says where a page walk goes on.

A cursor holds sort values, and those are names and dates of people, so it is encrypted as well as
signed (encrypt with a synthetic IV: the tag over content and context is also the nonce).  The
context, which is not in the cursor, binds it to its caller and to its query.  Nothing is stored:
a walk survives a restart, and costs no write.  The cipher is BLAKE2b in counter mode.
"""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from hashlib import blake2b
from typing import Any

from server.fhir.errors import InvalidSearch

_TAG = 16  # bytes
_BLOCK = 64  # bytes that BLAKE2b gives at once


def seal(key: bytes, state: Any, context: str) -> str:
    """Return the cursor of a JSON value; equal for equal arguments."""
    plain = json.dumps(state, separators=(",", ":")).encode()
    tag = _tag(key, plain, context)
    return urlsafe_b64encode(tag + _xor(plain, _stream(key, tag, len(plain)))).decode().rstrip("=")


def unseal(key: bytes, cursor: str, context: str) -> Any:
    """Return the value of a cursor that ``seal`` made with the same key and context.

    Raises:
        InvalidSearch: it was changed, or belongs to another search or another caller.
    """
    try:
        sealed = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
    except (UnicodeEncodeError, NotBase64):
        sealed = b""
    tag, hidden = sealed[:_TAG], sealed[_TAG:]
    plain = _xor(hidden, _stream(key, tag, len(hidden)))
    if len(tag) < _TAG or not hmac.compare_digest(tag, _tag(key, plain, context)):
        raise InvalidSearch(
            "this page link was changed, or belongs to another search or another caller",
            expression=("_cursor",),
        )
    return json.loads(plain)


def _tag(key: bytes, plain: bytes, context: str) -> bytes:
    signer = hmac.new(key, digestmod="sha256")
    signer.update(b"cursor\0%d\0" % len(plain))
    signer.update(plain)
    signer.update(context.encode("utf-8", "surrogatepass"))
    return signer.digest()[:_TAG]


def _stream(key: bytes, nonce: bytes, length: int) -> bytes:
    blocks = range(0, length, _BLOCK)
    return b"".join(
        blake2b(nonce + block.to_bytes(8, "big"), key=key[:64], person=b"cursor").digest()
        for block in blocks
    )


def _xor(text: bytes, stream: bytes) -> bytes:
    size = len(text)
    mixed = int.from_bytes(text, "big") ^ int.from_bytes(stream[:size], "big")
    return mixed.to_bytes(size, "big")
