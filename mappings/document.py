"""The text of a document that comes line by line in OBX -> one Attachment.

Source: HL7 v2-to-FHIR guide 1.0.0, OBX[DocumentReference]; lines belong together, so they are one.
"""

import base64
from typing import Any

from mappings.observation import ATTACHMENTS, MAX_ATTACHMENT_CHARACTERS
from mappings.repetition import Repetition
from mappings.source import Scope


def document_text(scope: Scope, to: str, _values: list[Repetition]) -> dict[str, Any] | None:
    """Return all lines of OBX-5 that are no attachments of their own, as plain text."""
    lines: list[str] = []
    path = ""
    for each in scope.each_segment("OBX"):
        kind = each.repetitions("OBX", 2)
        if kind and kind[0].text().upper() in ATTACHMENTS:
            continue
        for one in each.repetitions("OBX", 5):
            path = path or one.path
            lines.append(one.whole())
    text = "\n".join(lines).strip()
    if not text or len(text) > MAX_ATTACHMENT_CHARACTERS:
        return None
    scope.run.row(f"{to}.data", path, "lines of OBX-5", f"{len(lines)} lines")
    data = base64.b64encode(text.encode()).decode()
    return {"contentType": "text/plain; charset=utf-8", "data": data}
