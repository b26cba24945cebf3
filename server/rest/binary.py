"""Binary as what it holds, in and out.  R4 binary.html.

What was uploaded may be a page with scripts, so a browser gets it as a download in a sandbox, under
its stated type and no guessed one.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from typing import Any

from server.fhir import json as fhir_json
from server.rest.answer import Answer, Header

_SAFE_TYPE = re.compile(
    r"[A-Za-z0-9!#$&^_.+\-]{1,127}/[A-Za-z0-9!#$&^_.+\-]{1,127}(?:; ?[ -~]{1,200})?"
)

SANDBOX: tuple[Header, ...] = (
    (b"content-disposition", b"attachment"),
    (b"content-security-policy", b"sandbox; default-src 'none'"),
)


def raw(body: bytes, validators: list[Header]) -> Answer:
    """Return the content of a stored Binary."""
    resource = fhir_json.loads(body)
    type_ = resource.get("contentType", "")
    if not _SAFE_TYPE.fullmatch(type_):
        type_ = "application/octet-stream"
    try:
        content = b64decode(resource.get("data", ""))
    except NotBase64:
        content = b""
    return Answer(200, content, [(b"content-type", type_.encode()), *SANDBOX, *validators])


def wrapped(content: bytes, content_type: str, security_context: bytes | None) -> dict[str, Any]:
    """Return the Binary that holds the content; ``X-Security-Context`` names whose it is."""
    made: dict[str, Any] = {"resourceType": "Binary", "contentType": content_type}
    if security_context is not None:
        made["securityContext"] = {"reference": security_context.decode("latin-1").strip()}
    if content:
        made["data"] = b64encode(content).decode("ascii")
    return made
