"""``Patient/$summary``: the International Patient Summary.

IPS 1.1.0, OperationDefinition/summary.
"""

from typing import Any

from server.continuity.summary import summary
from server.continuity.summary.document import BUNDLE
from server.fhir import json as fhir_json
from server.fhir.errors import InvalidParameter, MultipleMatches, NotFound, NotSupported
from server.interactions.expand import expand
from server.interactions.question import parsed
from server.operations.param import Param
from server.operations.registry import Call, Operation


async def run(call: Call) -> bytes:
    """Return the document Bundle of one patient."""
    profile = call.args.get("profile")
    if profile is not None and profile.partition("|")[0] != BUNDLE:
        raise NotSupported(f"profile: this server makes {BUNDLE}", expression=("profile",))
    return fhir_json.dumps(await summary(call.services, call.access, await _patient(call)))


async def _patient(call: Call) -> str:
    identifiers = [call.args[name] for name in ("identifier", "identifer") if name in call.args]
    if call.id is not None:
        if identifiers:
            raise InvalidParameter(
                "identifier: the address says whose summary it is", expression=("identifier",)
            )
        return call.id
    if len(identifiers) != 1:
        raise InvalidParameter(
            "$summary without an id needs one identifier", expression=("identifier",)
        )
    return await _identified(call, identifiers[0])


async def _identified(call: Call, identifier: dict[str, Any]) -> str:
    """Return the id of the one patient that the caller may see and that bears the identifier."""
    value = identifier.get("value")
    if not isinstance(value, str) or not value:
        raise InvalidParameter("identifier has no value", expression=("identifier.value",))
    text = _escaped(value)
    if system := identifier.get("system"):
        text = f"{_escaped(str(system))}|{text}"
    services, access = call.services, call.access
    asked = await parsed(services, access, "Patient", [("identifier", text)], strict=True)
    wanted = await expand(services, access, asked)
    page = await services.store.search(
        access, wanted.query, limit=2, deadline_s=services.policy.deadline_s
    )
    if not page.versions:
        raise NotFound("no Patient bears that identifier", expression=("identifier",))
    if len(page.versions) > 1:
        raise MultipleMatches("several Patients bear that identifier")
    return page.versions[0].id


def _escaped(text: str) -> str:
    """Return a text that search reads as it stands.  R4 search.html#escaping."""
    for character in "\\,|$":
        text = text.replace(character, f"\\{character}")
    return text


OPERATION = Operation(
    code="summary",
    definition="http://hl7.org/fhir/uv/ips/OperationDefinition/summary",
    documentation="Returns the International Patient Summary (IPS 1.1.0) as a document: problems, "
    "allergies and medicines always, other sections when there is something to show. What the "
    "record does not say is told as no information, never as none.",
    levels=("instance", "type"),
    types=("Patient",),
    scopes="`Patient.r` (`Patient.rs` with `identifier`), and `.rs` of the types that are to be "
    "summarised, usually `*.rs`.",
    params=(
        Param("identifier", "Identifier", "Whose summary, where the address does not say it."),
        Param("identifer", "Identifier", "The same, as IPS 1.1.0 spells it."),
        Param("profile", "uri", "The profile of the Bundle; there is one."),
    ),
    run=run,
)
