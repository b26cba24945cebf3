"""Conditional headers and ``Prefer``.  R4 http.html#concurrency, #cread, #ops; RFC 7240."""

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Literal
from urllib.parse import parse_qsl

from server.fhir.dates import SECOND, http_date
from server.fhir.errors import InvalidRequest
from server.store.port import Version

_ETAG = re.compile(rb'(?:W/)?"([0-9]{1,15})"')
_UNSAFE = re.compile(r"[^A-Za-z0-9._\-]")

Return = Literal["minimal", "representation", "OperationOutcome"]


@dataclass(frozen=True, slots=True)
class Prefer:
    """What the client would like.

    ``returns`` is ``None`` when it says nothing of it.
    """

    returns: Return | None = None
    strict: bool = False
    respond_async: bool = False


@lru_cache(maxsize=256)
def prefer(value: bytes | None) -> Prefer:
    """Read the header; what it does not know it ignores, as RFC 7240 demands.

    >>> prefer(b"return=minimal; x=1, handling=strict")
    Prefer(returns='minimal', strict=True, respond_async=False)
    """
    returns: Return | None = None
    strict = respond_async = False
    for part in re.split(r"[,;]", (value or b"").decode("latin-1")):
        name, _, wanted = (text.strip().strip('"') for text in part.partition("="))
        match name.lower(), wanted:
            case "return", ("minimal" | "representation" | "OperationOutcome") as known:
                returns = returns or known
            case "handling", "strict":
                strict = True
            case "respond-async", _:
                respond_async = True
    return Prefer(returns, strict, respond_async)


def if_match(headers: dict[bytes, bytes]) -> int | None:
    """Return the version that ``If-Match`` demands, if it is there.

    >>> if_match({b"if-match": b'W/"3"'})
    3
    """
    value = headers.get(b"if-match")
    if value is None:
        return None
    found = _ETAG.fullmatch(value.strip())
    if found is None:
        raise InvalidRequest('If-Match is not of the form W/"3"', expression=("If-Match",))
    return int(found[1])


def must_be_new(headers: dict[bytes, bytes]) -> bool:
    """Tell whether ``If-None-Match: *`` asks to create and never to replace (RFC 9110 13.1.2)."""
    value = headers.get(b"if-none-match")
    if value is None:
        return False
    if value.strip() != b"*":
        raise InvalidRequest("a write knows If-None-Match: * only", expression=("If-None-Match",))
    return True


def if_none_exist(headers: dict[bytes, bytes]) -> tuple[tuple[str, str], ...] | None:
    """Return the parameters of a conditional create; a whole address is taken as well."""
    value = headers.get(b"if-none-exist")
    if value is None:
        return None
    text = value.decode("latin-1").strip()
    return tuple(parse_qsl(text.rpartition("?")[2], keep_blank_values=True))


def validators(version: Version) -> list[tuple[bytes, bytes]]:
    """Return ``ETag`` and ``Last-Modified`` of a version."""
    return [
        (b"etag", b'W/"%d"' % version.number),
        (b"last-modified", _http_date(version.at // SECOND)),
    ]


def not_modified(headers: dict[bytes, bytes], version: Version) -> bool:
    """Tell whether the client has this version already (RFC 9110 13.2.2: the ETag decides)."""
    known = headers.get(b"if-none-match")
    if known is not None:
        return known.strip() == b"*" or version.number in _numbers(known)
    since = headers.get(b"if-modified-since")
    return since is not None and _is_since(since, version)


def request_id(value: bytes | None) -> str | None:
    """Return the client's ``X-Request-Id`` if it can be logged: short, and of harmless letters."""
    if value is None or not 0 < len(value) <= 64:
        return None
    text = value.decode("latin-1")
    return None if _UNSAFE.search(text) else text


def _numbers(etags: bytes) -> set[int]:
    return {int(found) for found in _ETAG.findall(etags)}


def _is_since(since: bytes, version: Version) -> bool:
    try:
        second = int(parsedate_to_datetime(since.decode("latin-1")).timestamp())
    except (ValueError, OverflowError):
        return False  # RFC 9110 13.1.3: an invalid date is ignored
    return version.at // SECOND <= second


@lru_cache(maxsize=4096)
def _http_date(second: int) -> bytes:
    return http_date(second * SECOND).encode()
