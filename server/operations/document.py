"""``Composition/[id]/$document``.  R4 composition-operation-document.html."""

from server.continuity import citations
from server.continuity.citations import Cited
from server.continuity.story.document import Assembled, assemble
from server.fhir import json as fhir_json
from server.fhir.references import split_reference
from server.interactions import write
from server.interactions.read import looked_up
from server.interactions.services import Services
from server.operations.registry import Call, Operation, Param
from server.store.port import Version


async def run(call: Call) -> bytes | Version:
    """Return the document; with ``persist`` it is stored first, under the caller's rights."""
    services, access = call.services, call.access
    composition = await looked_up(services, access, "Composition", call.id or "")
    made = await assemble(services, access, composition)
    stored: Version | None = None
    if call.args.get("persist"):
        stored = (await write.create(services, access, "Bundle", made.bundle)).version
    await _tell_of(call, made, stored)
    return stored or fhir_json.dumps(made.bundle)


async def _tell_of(call: Call, made: Assembled, stored: Version | None) -> None:
    services, access = call.services, call.access
    if (patient := _patient(services, made)) is not None:
        cited = Cited(
            "document",
            patient,
            frozenset(f"{v.type}/{v.id}/_history/{v.number}" for v in made.versions),
            services.now(),
            access.principal,
            access.person,
            f"Bundle/{stored.id}" if stored is not None else f"Composition/{call.id}",
        )
        await citations.remember(services, access, cited)
    if services.audit is not None:
        address = f"Composition/{call.id}/$document"
        services.audit.shown(access, "operation", made.versions, address)


def _patient(services: Services, made: Assembled) -> str | None:
    subject = made.bundle["entry"][0]["resource"].get("subject") or {}
    named = split_reference(str(subject.get("reference", "")), services.base_url)
    return f"Patient/{named.id}" if named.type == "Patient" and named.id else None


OPERATION = Operation(
    code="document",
    definition="http://hl7.org/fhir/OperationDefinition/Composition-document",
    documentation="Returns the document Bundle of a Composition: itself first, then everything it "
    "refers to, a reference to a version as that version. What is not known, or not open to the "
    "caller, is told in an OperationOutcome at the end.",
    levels=("instance",),
    types=("Composition",),
    scopes="`Composition.r`, and `.r` of what it refers to; `Bundle.c` with `persist`.",
    params=(
        Param("persist", "boolean", "Store the document as well; it takes the right to do so."),
    ),
    run=run,
)
