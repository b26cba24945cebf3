"""Provenance of what a message wrote: R4 provenance.html; HL7 v2-to-FHIR 1.0.0, "Provenance".

``target`` are exactly the versions written, ``entity`` the raw message in the inbox, ``agent`` the
feed on behalf of the sending facility, ``policy`` the version of the maps.
"""

from collections.abc import Sequence
from typing import Any

from server.feeds.inbox import Entry
from server.fhir.dates import instant_text

FEED_SYSTEM = "urn:tellonce:feed"
MODE_SYSTEM = "urn:tellonce:feed-mode"
MESSAGE_SYSTEM = "urn:ietf:rfc:3986"
MAPS = "urn:tellonce:maps:"
_PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_EVENT = "http://terminology.hl7.org/CodeSystem/v2-0003"


def message_name(id_: str) -> str:
    """Return by what name a raw message is told of."""
    return f"urn:uuid:{id_}"


def provenance(
    id_: str, entry: Entry, targets: Sequence[str], *, recorded: int, map_version: str
) -> dict[str, Any]:
    """Return the Provenance of the versions ``targets`` (``Patient/x/_history/2``)."""
    agent: dict[str, Any] = {
        "type": {"coding": [{"system": _PARTICIPANT, "code": "assembler"}]},
        "who": {
            "type": "Device",
            "identifier": {"system": FEED_SYSTEM, "value": entry.feed},
            "display": f"HL7v2 feed {entry.feed}",
        },
    }
    if sender := " ".join(entry.sender.replace("|", " ").split()):
        agent["onBehalfOf"] = {"type": "Organization", "display": sender}
    made: dict[str, Any] = {
        "resourceType": "Provenance",
        "id": id_,
        "target": [{"reference": target} for target in targets],
        "recorded": instant_text(recorded),
    }
    if entry.mode != "live":  # outside live nothing goes out because of it
        made["meta"] = {"tag": [{"system": MODE_SYSTEM, "code": entry.mode}]}
    if map_version:
        made["policy"] = [f"{MAPS}{map_version}"]
    if entry.type:
        event = entry.type.partition("^")[2]
        coding = {"coding": [{"system": _EVENT, "code": event}]} if event else {}
        made["activity"] = {**coding, "text": entry.type}
    made["agent"] = [agent]
    made["entity"] = [
        {
            "role": "source",
            "what": {
                "identifier": {"system": MESSAGE_SYSTEM, "value": message_name(entry.id)},
                "display": f"HL7v2 message {entry.type}".strip(),
            },
        }
    ]
    return made
