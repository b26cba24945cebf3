"""Records and forms made to have something wrong be known; everything is dated, and signed."""

from typing import Any

from tests.continuity.known.house import Record
from tests.continuity.known.record import DOCTOR, FORM, PATIENT, R4, item, provenance

HERE = "2026-01-02T02:00:00Z"  # in the visit
VISIT: dict[str, Any] = {
    "resourceType": "Encounter", "id": "e", "status": "in-progress", "subject": PATIENT,
    "class": {"code": "AMB"}, "period": {"start": "2026-01-02T01:00:00Z"},
}  # fmt: skip
ASSERTED = [provenance("v-p", "Patient/p/_history/1", HERE)]

Resource = dict[str, Any]


def patient(**more: Any) -> list[Resource]:
    """Return a Patient, and who said all of it just now."""
    return [{"resourceType": "Patient", "id": "p", **more}, *ASSERTED]


def beside(resource: Resource) -> list[Resource]:
    """Return a resource that is neither dated nor signed itself, and who said all of it."""
    local = f"{resource['resourceType']}/{resource['id']}"
    return [resource, provenance(f"v-{resource['id']}", f"{local}/_history/1", HERE)]


def element(path: str, kind: str = "string", **more: Any) -> Resource:
    """Return an item that asks for an element."""
    type_ = path.partition(".")[0]
    return item("x", kind, definition=f"{R4}{type_}#{path}", **more)


def medicine(code: Resource, **more: Any) -> Resource:
    return {
        "resourceType": "MedicationStatement", "id": "m", "status": "active", "subject": PATIENT,
        "dateAsserted": HERE, "informationSource": DOCTOR, "medicationCodeableConcept": code,
        **more,
    }  # fmt: skip


async def known(record: Record, asked: Resource | list[Resource], *given: Resource
                ) -> tuple[str, ...]:  # fmt: skip
    """Return state, rule and answers of the item ``x``, in a visit."""
    items = asked if isinstance(asked, list) else [asked]
    form = {"resourceType": "Questionnaire", "id": "f", "url": FORM, "status": "active"}
    if not any(one["resourceType"] == "Patient" for one in given):
        given = (*patient(), *given)
    await record.put(VISIT, *given)
    return (await record.table({**form, "item": items}, encounter="e"))["x"]
