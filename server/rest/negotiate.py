"""Which format goes out and which came in; JSON only for now.  R4 http.html#mime-type."""

import re
from functools import lru_cache

from server.fhir.errors import InvalidRequest, NotAcceptable, UnsupportedMediaType

JSON_PATCH = "application/json-patch+json"

_JSON = frozenset(("application/fhir+json", "application/json", "text/json", "json"))
_ANY = frozenset(("*/*", "application/*"))
_ELSE = {
    "application/fhir+xml": "XML", "application/xml": "XML", "text/xml": "XML", "xml": "XML",
    "application/fhir+turtle": "Turtle", "text/turtle": "Turtle", "ttl": "Turtle",
}  # fmt: skip
_R4 = ("4.0", "4.0.1")


@lru_cache(maxsize=512)
def check_accept(accept: bytes | None, format_: str | None) -> bool:
    """Tell whether FHIR JSON is asked for by name (not ``*/*``); ``_format`` beats ``Accept``.

    Raises:
        NotAcceptable: no format asked for is one that this server writes.
    """
    if format_ is not None:
        # A plus sign in a query string that nobody escaped arrives as a space.
        return _named(format_.replace(" ", "+").lower(), "_format")
    if accept is None:
        return False
    wanted = sorted(_accepted(accept.decode("latin-1").lower()), reverse=True)
    types = [type_ for quality, _, type_ in wanted if quality > 0]
    for type_ in types:
        if type_ in _ANY:
            return False
        if type_ in _JSON and type_ != "json":
            return True
    raise NotAcceptable(
        f"this server writes application/fhir+json; {_what(types)} was asked for",
        expression=("Accept",),
    )


def media_type(content_type: bytes | None) -> str:
    """Return the media type of a body, lower case and without parameters; ``""`` if not stated.

    Raises:
        UnsupportedMediaType: another character set than UTF-8, or another version of FHIR.
    """
    return _media_type(content_type) if content_type else ""


def demand_json(content_type: bytes | None) -> None:
    """Raise ``UnsupportedMediaType`` unless a body is FHIR JSON; not stated is taken as that."""
    type_ = media_type(content_type)
    if type_ and type_ not in _JSON:
        raise UnsupportedMediaType(
            f"this server reads application/fhir+json; the body is {_what([type_])}",
            expression=("Content-Type",),
        )


def is_json(type_: str) -> bool:
    """Tell whether a media type is one of those of FHIR JSON."""
    return type_ in _JSON


def is_fhir(type_: str) -> bool:
    """Tell whether a media type is FHIR's own, for Binary, where others are content."""
    return type_ in ("application/fhir+json", "application/fhir+xml", "application/fhir+turtle")


def pretty(text: str) -> bool:
    """Read ``_pretty``."""
    if text not in ("true", "false"):
        raise InvalidRequest("_pretty is true or false", expression=("_pretty",))
    return text == "true"


@lru_cache(maxsize=512)
def _media_type(content_type: bytes) -> str:
    type_, _, parameters = content_type.decode("latin-1").partition(";")
    for parameter in parameters.split(";"):
        name, _, value = (part.strip().strip('"').lower() for part in parameter.partition("="))
        if name == "charset" and value not in ("utf-8", "utf8", "us-ascii"):
            raise UnsupportedMediaType("FHIR is UTF-8", expression=("Content-Type",))
        if name == "fhirversion" and value not in _R4:
            raise UnsupportedMediaType("this server is FHIR 4.0", expression=("Content-Type",))
    return type_.strip().lower()


def _named(format_: str, where: str) -> bool:
    if format_.partition(";")[0].strip() in _JSON:
        return True
    raise NotAcceptable(
        f"this server writes application/fhir+json (json); {_what([format_])} was asked for",
        expression=(where,),
    )


def _accepted(accept: str) -> list[tuple[float, int, str]]:
    """Return (quality, how specific, type) of each range; versions other than R4 are dropped."""
    found = []
    for part in accept.split(","):
        type_, *parameters = (text.strip() for text in part.split(";"))
        quality = 1.0
        usable = bool(type_)
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q" and re.fullmatch(r"[01](\.\d{0,3})?", value.strip()):
                quality = float(value)
            if name.strip() == "fhirversion" and value.strip() not in _R4:
                usable = False
        if usable:
            found.append((quality, 0 if "*" in type_ else 1, type_))
    return found


def _what(types: list[str]) -> str:
    names = [_ELSE.get(type_, "another format") for type_ in types]
    return names[0] if names else "another format"
