"""``$validate``: would this be accepted (level L1)?  R4 resource-operation-validate.html."""

from server.fhir import json as fhir_json
from server.fhir.errors import FhirError, InvalidParameter, Issue, NotSupported, outcome
from server.interactions import write
from server.interactions.read import read
from server.operations.registry import Call, Operation, Param
from server.validation import validate

MODES = ("create", "update", "delete", "profile")

_WITHOUT_FAULT = Issue("information", "informational", "no issues were found")


async def run(call: Call) -> bytes:
    """Return an OperationOutcome; issues are the answer, not a failure."""
    mode = call.args.get("mode", "profile")
    if mode not in MODES:
        raise InvalidParameter(f"mode is none of {', '.join(MODES)}", expression=("mode",))
    if "profile" in call.args:
        raise NotSupported(
            "profiles are not checked by this server yet: leave the parameter out to validate "
            "against the base specification",
            expression=("profile",),
        )
    issues = await _of_deletion(call) if mode == "delete" else await _of_resource(call, mode)
    return fhir_json.dumps(outcome(issues or [_WITHOUT_FAULT]))


async def _of_resource(call: Call, mode: str) -> list[Issue]:
    resource = call.args.get("resource")
    if resource is None and call.type is not None and call.id is not None:
        stored = await read(call.services, call.access, call.type, call.id)
        resource = fhir_json.loads(stored.body or b"{}")
    if resource is None:
        raise InvalidParameter("$validate needs the parameter resource", expression=("resource",))
    issues = list(validate(resource))
    type_ = resource["resourceType"]
    if call.type is not None and type_ != call.type:
        told = f"the resource is a {type_}, the address is for {call.type}"
        issues.append(Issue("error", "invalid", told, (type_,)))
    if mode == "update" and call.id is not None and resource.get("id") != call.id:
        told = f"an update of {call.type}/{call.id} needs that id in the resource"
        issues.append(Issue("error", "invalid", told, (f"{type_}.id",)))
    return issues


async def _of_deletion(call: Call) -> list[Issue]:
    if call.type is None or call.id is None:
        raise InvalidParameter("mode=delete works on one resource", expression=("mode",))
    try:
        await read(call.services, call.access, call.type, call.id)
        write.demand_deletable(call.services, call.type)
    except FhirError as error:
        return list(error.issues)
    return []


OPERATION = Operation(
    code="validate",
    definition="http://hl7.org/fhir/OperationDefinition/Resource-validate",
    documentation="Says whether a resource is valid R4 and would be accepted; nothing is stored. "
    "The resource itself may be the body, or the parameter `resource` of a Parameters.",
    levels=("type", "instance"),
    params=(
        Param("resource", "Resource", "What to validate; default: the stored resource."),
        Param("mode", "code", "`create`, `update`, `delete` or `profile` (default)."),
        Param("profile", "canonical", "Refused for now: only the base specification is checked."),
    ),
    run=run,
)
