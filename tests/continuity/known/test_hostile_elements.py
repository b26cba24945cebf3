"""Elements of Patient, RelatedPerson and Coverage that were once taken for what they are not."""

from typing import Any

import pytest

from tests.continuity.known.hostile import Resource, beside, element, known, patient
from tests.continuity.known.house import Record
from tests.continuity.known.record import LOINC, PATIENT, R4, concept, item

EMAIL = {"system": "email", "value": "eva@adam.test"}
PHONE = {"system": "phone", "value": "+49 228 123456"}
HOME = {"use": "home", "line": ["Weg 1"], "city": "Bonn"}
WORK = {"use": "work", "line": ["Platz 2"], "city": "Berlin", "postalCode": "10115"}
CITY = element("Patient.address.city")
TELECOM = element("Patient.telecom.value")
V2 = "http://terminology.hl7.org/CodeSystem/v2-0131"


def contact(code: str) -> Resource:
    return {"relationship": [concept(V2, code)], "name": {"family": "Meier"}}


def hidden(path: str, value: str) -> Resource:
    """Return an item that fixes a sibling of the element."""
    return {
        "linkId": path, "type": "string", "definition": f"{R4}Patient#{path}", "readOnly": True,
        "initial": [{"valueString": value}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (TELECOM, {"telecom": [EMAIL]}),
        ({**TELECOM, "text": "How can we reach you?"}, {"telecom": [PHONE]}),
        ({**TELECOM, "text": "Phone"}, {"telecom": [EMAIL]}),
        ({**TELECOM, "text": "E-mail"}, {"telecom": [PHONE]}),
        ({**TELECOM, "text": "Telefon oder E-Mail"}, {"telecom": [EMAIL]}),
        ({**TELECOM, "text": "Phone"}, {"telecom": [{"value": "12345678"}]}),
        ({**TELECOM, "text": "Work phone"}, {"telecom": [{**PHONE, "use": "home"}]}),
        ({**CITY, "text": "Town (billing)"}, {"address": [HOME]}),
        ({**element("Patient.name.family"), "text": "Maiden name"}, {"name": [{"family": "A"}]}),
        ({**element("Patient.contact.telecom.value"), "text": "Phone"},
         {"contact": [{**contact("C"), "telecom": [EMAIL]}]}),
        ({**element("Patient.contact.telecom.value"), "text": "Phone"},
         {"contact": [{**contact("C"), "telecom": [{**PHONE, "use": "old"}]}]}),
        ({**TELECOM, "text": "Phone"}, {"telecom": [{**PHONE, "use": "temp"}]}),
        ({**TELECOM, "text": "Phone"}, {"telecom": [{**PHONE, "use": "old"}]}),
        ({**TELECOM, "text": "Phone"}, {"telecom": [{**PHONE, "period": {"end": "2025-01-01"}}]}),
        ({**TELECOM, "text": "Phone"}, {"telecom": [{**PHONE, "period": {"start": "2027-01-01"}}]}),
        (element("Patient.telecom.value", repeats=True), {"telecom": [EMAIL, PHONE]}),
        (CITY, {"address": [{**HOME, "use": "billing"}]}),
        (CITY, {"address": [{**HOME, "use": "temp"}]}),
        (CITY, {"address": [WORK]}),
        (CITY, {"address": [{**HOME, "type": "postal"}]}),
        (CITY, {"address": [{**HOME, "period": {"start": "2027-01-01"}}]}),
        (element("Patient.address.postalCode"), {"address": [HOME, WORK]}),
        (element("Patient.identifier.value"),
         {"identifier": [{"system": "urn:mrn", "value": "1"}]}),
        (element("Patient.name.given"), {"name": [{"use": "official", "family": "Adam"},
                                                  {"use": "usual", "given": ["Evi"]}]}),
        (element("Patient.name.family"), {"name": [{"use": "temp", "family": "Adam"}]}),
        (element("Patient.contact.name.family"), {"contact": [contact("E")]}),
        (element("Patient.contact.name.family"), {"contact": [{"name": {"family": "Meier"}}]}),
        (element("Patient.communication.language", "open-choice"),
         {"communication": [{"language": concept("urn:ietf:bcp:47", "de"), "preferred": False}]}),
        (element("Patient.maritalStatus", "boolean"),
         {"maritalStatus": concept("http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "D")}),
        (element("Patient.gender", "boolean"), {"gender": "male"}),
        (element("Patient.deceased[x]", "boolean"), {"deceasedDateTime": "2024-01-01"}),
        (element("Patient.multipleBirth[x]", "boolean"), {"multipleBirthInteger": 2}),
        (item("x", "choice", (LOINC, "46098-0")), {"gender": "male"}),
    ],
)  # fmt: skip
async def test_what_may_be_meant_otherwise_is_not_known(
    memory: Record, asked: Resource, given: dict[str, Any]
) -> None:
    assert (await known(memory, asked, *patient(**given)))[0] in ("confirm", "ask")


@pytest.mark.parametrize(
    ("asked", "given", "answer"),
    [
        ({**TELECOM, "text": "Telephone"}, {"telecom": [EMAIL, PHONE]}, "+49 228 123456"),
        ({**TELECOM, "text": "E-Mail-Adresse"}, {"telecom": [EMAIL, PHONE]}, "eva@adam.test"),
        (item("x", "string", (LOINC, "42077-8")), {"telecom": [EMAIL, PHONE]}, "+49 228 123456"),
        (CITY, {"address": [WORK, HOME]}, "Bonn"),
        (CITY, {"address": [{"city": "Bonn"}]}, "Bonn"),
        (element("Patient.contact.name.family"), {"contact": [contact("C")]}, "Meier"),
        (element("Patient.contact.name.family"), {"contact": [contact("E"), contact("N")]},
         "Meier"),
        ({**element("Patient.contact.telecom.value"), "text": "Phone"},
         {"contact": [{**contact("C"), "telecom": [EMAIL, PHONE]}]}, "+49 228 123456"),
        ({**TELECOM, "text": "Phone"}, {"telecom": [PHONE, {**PHONE, "use": "work"}, PHONE]},
         "+49 228 123456"),
    ],
)  # fmt: skip
async def test_what_the_form_says_and_the_record_has_is_known(
    memory: Record, asked: Resource, given: dict[str, Any], answer: str
) -> None:
    assert await known(memory, asked, *patient(**given)) == ("known", "C1 holds", answer)


@pytest.mark.parametrize("path", ["Patient.address.use", "Patient.telecom.use"])
async def test_what_the_form_fixes_is_known(memory: Record, path: str) -> None:
    parent = path.rpartition(".")[0]
    wanted = {"Patient.address": "city", "Patient.telecom": "value"}[parent]
    asked = [{**element(f"{parent}.{wanted}"), "text": "Phone"}, hidden(path, "work")]
    given = {"address": [HOME, WORK], "telecom": [PHONE, {**PHONE, "use": "work", "value": "2"}]}
    assert (await known(memory, asked, *patient(**given)))[::2] == (
        "known", {"city": "Berlin", "value": "2"}[wanted],
    )  # fmt: skip


def covered(id_: str, **more: Any) -> Resource:
    made: Resource = {"resourceType": "Coverage", "id": id_, "status": "active",
                      "beneficiary": PATIENT, "payor": [{"display": "Fund"}]}  # fmt: skip
    return {**made, **more}


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("Coverage.subscriberId", [covered("a", subscriberId="1", period={"end": "2025-12-31"})]),
        ("Coverage.subscriberId", [covered("a", subscriberId="1", period={"start": "2027"})]),
        ("Coverage.subscriberId", [covered("a", subscriberId="1", status="cancelled")]),
        ("Coverage.subscriberId", [covered("a", subscriberId="1",
                                           beneficiary={"reference": "Patient/q"},
                                           policyHolder=PATIENT)]),
        ("Coverage.subscriberId", [covered("a", subscriberId="1"), covered("b")]),
        ("Coverage.identifier.value", [covered("a", identifier=[{"value": "1"}])]),
    ],
)  # fmt: skip
async def test_what_another_cover_says_is_not_known(
    memory: Record, path: str, given: list[Resource]
) -> None:
    every = [two for one in given for two in beside(one)]
    await memory.put({"resourceType": "Patient", "id": "q"})
    assert (await known(memory, element(path), *every))[0] in ("confirm", "ask")


async def test_two_covers_are_a_conflict(memory: Record) -> None:
    every = [*beside(covered("a", subscriberId="1")), *beside(covered("b", subscriberId="2"))]
    assert (await known(memory, element("Coverage.subscriberId"), *every))[0] == "conflict"


def relative(**more: Any) -> Resource:
    made = {"resourceType": "RelatedPerson", "id": "r", "patient": PATIENT,
            "name": [{"family": "Meier"}]}  # fmt: skip
    return {**made, **more}


@pytest.mark.parametrize(
    "given",
    [
        relative(),
        relative(relationship=[concept(V2, "E")]),
        relative(relationship=[concept(V2, "C")], period={"end": "2025-01-01"}),
        relative(relationship=[concept(V2, "C")], active=False),
    ],
)
async def test_another_person_than_is_meant_is_not_known(memory: Record, given: Resource) -> None:
    asked = element("RelatedPerson.name.family")
    assert (await known(memory, asked, *beside(given)))[0] in ("confirm", "ask")


async def test_the_emergency_contact_is_known(memory: Record) -> None:
    given = beside(relative(relationship=[concept(V2, "C")]))
    found = await known(memory, element("RelatedPerson.name.family"), *given)
    assert found == ("known", "C1 holds", "Meier")
