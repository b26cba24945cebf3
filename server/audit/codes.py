"""The codes of AuditEvents: IHE BALP, R4 auditevent.html, DICOM PS3.16 (DCM).

A row for everything that is told of.  To add something that is told, add a row here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

Coding = dict[str, str]

SERVER = "tellonce"  # as which the server stands in what it writes
LOGIN = "urn:tellonce:principal"

DCM = "http://dicom.nema.org/resources/ontology/DCM"
REST_TYPE = "http://terminology.hl7.org/CodeSystem/audit-event-type"
INTERACTION = "http://hl7.org/fhir/restful-interaction"
AUTHORIZATION = "https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType"
REQUEST_ID = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
ROLE_TYPE = "http://terminology.hl7.org/CodeSystem/extra-security-role-type"
ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
OBJECT_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
LIFECYCLE = "http://terminology.hl7.org/CodeSystem/dicom-audit-lifecycle"
PURPOSE = "http://terminology.hl7.org/CodeSystem/v3-ActReason"


@dataclass(frozen=True, slots=True)
class Kind:
    """What an AuditEvent of one interaction says.

    ``client``, ``server`` and ``user`` are the types of the agents: (system, code).
    """

    type: tuple[str, str]
    subtype: tuple[str, str]
    client: tuple[str, str]
    server: tuple[str, str]
    user: tuple[str, str]


_SOURCE, _DESTINATION = (DCM, "110153"), (DCM, "110152")
_READER, _AUTHOR = (PARTICIPATION, "IRCP"), (PARTICIPATION, "AUT")
_HUMAN, _APPLICATION = (ROLE_TYPE, "humanuser"), (DCM, "110150")
_AUTH_SERVER = (ROLE_TYPE, "authserver")
_KEEPER = ("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "custodian")


def _rest(code: str, user: tuple[str, str], *, out: bool = False) -> Kind:
    """Return the kind of a REST interaction; ``out``: what is asked for flows to the client."""
    ends = (_DESTINATION, _SOURCE) if out else (_SOURCE, _DESTINATION)
    return Kind((REST_TYPE, "rest"), (INTERACTION, code), *ends, user)


def _security(type_: str, subtype: tuple[str, str]) -> Kind:
    return Kind((DCM, type_), subtype, _APPLICATION, _AUTH_SERVER, _HUMAN)


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "read": _rest("read", _READER, out=True),
        "vread": _rest("vread", _READER, out=True),
        "history-instance": _rest("history-instance", _READER, out=True),
        "history-type": _rest("history-type", _READER),
        "history-system": _rest("history-system", _READER),
        "search-type": _rest("search-type", _READER),
        "search-system": _rest("search-system", _READER),
        "create": _rest("create", _AUTHOR),
        "update": _rest("update", _AUTHOR),
        "patch": _rest("patch", _AUTHOR),
        "delete": Kind(
            (REST_TYPE, "rest"), (INTERACTION, "delete"), _APPLICATION, _KEEPER, _AUTHOR
        ),
        "batch": _rest("batch", _AUTHOR),
        "transaction": _rest("transaction", _AUTHOR),
        "operation": _rest("operation", _READER),
        "login": _security("110114", (DCM, "110122")),
        "logout": _security("110114", (DCM, "110123")),
        "token": _security("110114", (DCM, "110126")),
        "refused": _security("110113", (DCM, "110126")),
        "grant": _security("110113", (AUTHORIZATION, "AuthZ-Role")),
        "revoke": _security("110113", (DCM, "110137")),
        "administer": _security("110113", (DCM, "110136")),
        "message": Kind(
            (DCM, "110107"), (INTERACTION, "transaction"), _SOURCE, _DESTINATION, _AUTHOR
        ),
    }
)

LIFECYCLES: Mapping[str, str] = MappingProxyType(
    {"POST": "1", "PUT": "3", "PATCH": "3", "DELETE": "14"}
)
"""What became of one of many resources: origination, amendment, logical deletion."""


def coding(pair: tuple[str, str]) -> Coding:
    """Return the Coding of a (system, code)."""
    return {"system": pair[0], "code": pair[1]}


def concept(pair: tuple[str, str]) -> dict[str, Any]:
    """Return the CodeableConcept of a (system, code)."""
    return {"coding": [coding(pair)]}
