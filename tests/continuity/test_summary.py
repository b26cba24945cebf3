"""``Patient/$summary``: the document that IPS 1.1.0 describes, of what the caller may see."""

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.access.context import AccessContext, Permit
from server.interactions.services import Policy
from server.rest import Limits
from server.store.memory import MemoryStore
from server.validation import validate
from tests.continuity.histories import told
from tests.continuity.histories.told import LOINC, SNOMED
from tests.contract.made import put
from tests.rest.house import BASE, CALLERS, Clock, House, index

ABSENT = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"
SENSITIVE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
RESTRICTED = f"{told.CONFIDENTIALITY}|R"
AT = 1_767_323_000_000_000
NORMAL = Permit("*", hidden=(RESTRICTED,))
CALLERS.setdefault("normal", AccessContext("user/normal", "app", (NORMAL,)))

Resource = dict[str, Any]
DOCTOR: Resource = {"resourceType": "Practitioner", "id": "doctor", "name": [{"family": "Weiss"}]}
ANNA: Resource = {
    "resourceType": "Patient",
    "id": "p",
    "identifier": [{"system": "urn:mrn", "value": "4|2"}],
    "name": [{"family": "Berg", "given": ["Anna"]}],
    "birthDate": "1980-04-01",
    "generalPractitioner": [{"reference": "Practitioner/doctor"}],
    "managingOrganization": {"reference": "Organization/nowhere"},
}


async def house(*resources: Resource) -> House:
    """Return a server that has the patient, a doctor and these."""
    clock = Clock()
    store = MemoryStore(now=clock, index=index)
    await store.commit([put(one) for one in (DOCTOR, ANNA, *resources)])
    return House(store, clock, Policy(), Limits())


async def asked(
    *resources: Resource, caller: str = "admin", path: str = "Patient/p/$summary"
) -> httpx.Response:
    made = await house(*resources)
    async with made.client(caller) as client:
        return await client.get(path)


async def summary(*resources: Resource, caller: str = "admin") -> Resource:
    answer = await asked(*resources, caller=caller)
    assert answer.status_code == 200, answer.text
    found: Resource = answer.json()
    return found


def sections(bundle: Resource) -> dict[str, list[Resource]]:
    """Return what each section shows, by its code; fails when an entry is not in the Bundle."""
    by_url = {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}
    return {
        section["code"]["coding"][0]["code"]: [by_url[e["reference"]] for e in section["entry"]]
        for section in bundle["entry"][0]["resource"]["section"]
    }


def ids(bundle: Resource, section: str) -> list[str]:
    return [one["id"] for one in sections(bundle).get(section, [])]


def absent(resource: Resource) -> str | None:
    """Return the code of "no information", if that is what a resource says."""
    concept = resource.get("code") or resource["medicationCodeableConcept"]
    (coding,) = concept["coding"]
    return coding["code"] if coding["system"] == ABSENT else None


def category(code: str) -> list[Resource]:
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    return [told.concept(system, code)]


def full() -> list[Resource]:
    """Return something for each section."""
    p, when = {"reference": "Patient/p"}, "2025-11-05"
    kg = {"valueQuantity": {"value": 70, "unit": "kg", "system": told.UCUM, "code": "kg"}}
    never = {"valueCodeableConcept": told.concept(SNOMED, "266919005")}
    pregnant = {"valueCodeableConcept": told.concept(SNOMED, "77386006")}
    consent = "http://terminology.hl7.org/CodeSystem/consentscope"
    return [
        told.condition("asthma", "195967001", "clinician", AT),
        told.allergy("nuts", "91935009", "patient", AT),
        told.medicine("metformin", "6809", "patient", AT, effectiveDateTime=when),
        {"resourceType": "Immunization", "id": "tetanus", "status": "completed", "patient": p,
         "vaccineCode": told.concept("http://hl7.org/fhir/sid/cvx", "139"),
         "occurrenceDateTime": when},
        {"resourceType": "Procedure", "id": "appendix", "status": "completed", "subject": p,
         "code": told.concept(SNOMED, "80146002"), "performedDateTime": when},
        {"resourceType": "Device", "id": "pacer", "type": told.concept(SNOMED, "14106009"),
         "patient": p},
        {"resourceType": "DeviceUseStatement", "id": "paced", "status": "active", "subject": p,
         "device": {"reference": "Device/pacer"}, "timingDateTime": when},
        told.observation("sodium", "2951-2", {"valueString": "140"}, "clinician", AT,
                         category=category("laboratory")),
        told.observation("heavy", "29463-7", kg, "clinician", AT,
                         category=category("vital-signs")),
        told.condition("measles", "14189004", "clinician", AT,
                       clinicalStatus=told.concept(told.CLINICAL, "resolved")),
        {"resourceType": "ClinicalImpression", "id": "walks", "status": "completed",
         "subject": p, "date": when, "summary": "walks unaided"},
        {"resourceType": "CarePlan", "id": "plan", "status": "active", "intent": "plan",
         "subject": p, "title": "Weekly physiotherapy"},
        told.observation("smokes", "72166-2", never, "patient", AT),
        told.observation("expecting", "82810-3", pregnant, "patient", AT),
        {"resourceType": "Consent", "id": "will", "status": "active", "patient": p,
         "scope": told.concept(consent, "adr"),
         "category": [told.concept(LOINC, "42348-3")], "policyRule": {"text": "living will"}},
    ]  # fmt: skip


FULL = {
    "11450-4": ["asthma"], "48765-2": ["nuts"], "10160-0": ["metformin"], "11369-6": ["tetanus"],
    "47519-4": ["appendix"], "46264-8": ["paced"], "30954-2": ["sodium"], "8716-3": ["heavy"],
    "11348-0": ["measles"], "47420-5": ["walks"], "18776-5": ["plan"], "29762-2": ["smokes"],
    "10162-6": ["expecting"], "42348-3": ["will"],
}  # fmt: skip


async def test_each_section_shows_what_belongs_to_it() -> None:
    bundle = await summary(*full())
    assert {code: [one["id"] for one in found] for code, found in sections(bundle).items()} == FULL


async def test_an_empty_record_says_that_nothing_is_known_not_that_there_is_nothing() -> None:
    found = sections(await summary())
    assert {code: [absent(one) for one in listed] for code, listed in found.items()} == {
        "11450-4": ["no-problem-info"],
        "48765-2": ["no-allergy-info"],
        "10160-0": ["no-medication-info"],
    }


async def test_an_empty_list_of_allergies_says_nothing() -> None:
    empty = {
        "resourceType": "List", "id": "l", "status": "current", "mode": "snapshot",
        "code": told.concept(LOINC, "48765-2"), "subject": {"reference": "Patient/p"},
        "emptyReason": {"text": "nothing sent"},
    }  # fmt: skip
    (only,) = sections(await summary(empty))["48765-2"]
    assert absent(only) == "no-allergy-info"


async def test_what_somebody_said_that_there_is_none_of_is_shown_as_said() -> None:
    bundle = await summary(told.allergy("none", "716186003", "clinician", AT))
    assert ids(bundle, "48765-2") == ["none"]


@pytest.mark.parametrize(
    ("section", "resource"),
    [
        ("48765-2", told.allergy("x", "91935009", "patient", AT, verificationStatus=told.concept(
            told.ALLERGY_VERIFICATION, "refuted"))),
        ("11450-4", told.condition("x", "195967001", "clinician", AT,
                                   verificationStatus=told.concept(told.VERIFICATION,
                                                                   "entered-in-error"))),
        ("10160-0", told.medicine("x", "6809", "patient", AT, status="stopped")),
        ("10160-0", told.medicine("x", "6809", "patient", AT, status="not-taken")),
        ("8716-3", told.observation("x", "29463-7", {}, "clinician", AT, status="entered-in-error",
                                    category=category("vital-signs"))),
        ("8716-3", told.observation("x", "29463-7", {}, "clinician", AT, status="preliminary",
                                    category=category("vital-signs"))),
        ("8716-3", told.observation("x", "29463-7", {}, "clinician", AT,
                                    category=category("vital-signs"),
                                    focus=[{"reference": "Patient/newborn"}])),
        ("48765-2", told.allergy("x", "91935009", "patient", AT,
                                 patient={"reference": "Patient/newborn"})),
    ],
    ids=["refuted", "entered-in-error", "stopped", "not-taken", "observed-in-error", "preliminary",
         "of-the-newborn", "of-another"],
)  # fmt: skip
async def test_what_was_taken_back_or_is_of_another_is_in_no_section(
    section: str, resource: Resource
) -> None:
    assert "x" not in ids(await summary(resource), section)


async def test_of_each_measure_the_newest_is_shown() -> None:
    weights = [
        told.observation(f"w{days}", "29463-7", {"valueString": str(days)}, "clinician",
                         AT - days * 86_400_000_000, category=category("vital-signs"))
        for days in (300, 2, 40)
    ]  # fmt: skip
    assert ids(await summary(*weights), "8716-3") == ["w2"]


async def test_what_the_caller_may_not_see_is_as_if_it_were_not_there() -> None:
    secret = told.labelled(told.allergy("secret", "91935009", "patient", AT))
    (only,) = sections(await summary(secret, caller="normal"))["48765-2"]
    without, hiding = [await summary(*r, caller="normal") for r in ((), (secret,))]
    assert absent(only) == "no-allergy-info"
    assert without == hiding
    assert ids(await summary(secret), "48765-2") == ["secret"]


async def test_the_document_is_as_confidential_as_what_is_in_it() -> None:
    secret = told.labelled(told.allergy("secret", "91935009", "patient", AT))
    drugs = told.condition("drugs", "191816009", "clinician", AT)
    drugs["meta"] = {"security": [{"system": SENSITIVE, "code": "ETH"}]}
    bundle = await summary(secret, drugs)
    labels = [
        {"system": SENSITIVE, "code": "ETH"},
        {"system": told.CONFIDENTIALITY, "code": "R"},
    ]
    assert bundle["meta"]["security"] == labels
    assert bundle["entry"][0]["resource"]["meta"]["security"] == labels
    assert "security" not in (await summary())["meta"]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from references(one)
    elif isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for one in value.values():
            yield from references(one)


async def test_every_reference_leads_to_something_inside_the_document() -> None:
    bundle = await summary(*full())
    urls = {entry["fullUrl"] for entry in bundle["entry"]}
    assert set(references(bundle)) - urls == set()
    assert f"{BASE}/Practitioner/doctor" in urls
    assert f"{BASE}/Device/pacer" in urls
    patient = bundle["entry"][1]["resource"]
    assert patient["managingOrganization"] == {
        "display": "Organization that is not in this document"
    }


@pytest.mark.parametrize("resources", [[], full()], ids=["empty", "full"])
async def test_the_document_and_all_in_it_is_valid(resources: list[Resource]) -> None:
    bundle = await summary(*resources)
    assert validate(bundle) == []
    assert [issue for e in bundle["entry"] for issue in validate(e["resource"])] == []


async def test_a_modifier_that_is_not_understood_is_told_of() -> None:
    """R4 extensibility.html#modifierExtension: it may turn round what is written."""
    asthma = told.condition("asthma", "195967001", "clinician", AT)
    asthma["modifierExtension"] = [{"url": "https://sender.test/negated", "valueBoolean": True}]
    bundle = await summary(asthma)
    text = bundle["entry"][0]["resource"]["section"][0]["text"]["div"]
    assert "does not understand: read the entry" in text
    assert sections(bundle)["11450-4"][0]["modifierExtension"] == asthma["modifierExtension"]


async def test_what_is_read_cannot_break_out_of_the_narrative() -> None:
    evil = told.condition("evil", "195967001", "clinician", AT)
    evil["code"] = {"text": "<script>alert(1)</script> & more"}
    bundle = await summary(evil)
    text = bundle["entry"][0]["resource"]["section"][0]["text"]["div"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in text


# -- IPS 1.1.0 itself --------------------------------------------------------------------------


@pytest.fixture(scope="session")
def profiles(shared_data: Path) -> dict[str, Resource]:
    """The StructureDefinitions of the package by what constrains: ``Composition``, and others."""
    found: dict[str, Resource] = {}
    with tarfile.open(shared_data / "ig" / "hl7.fhir.uv.ips-1.1.0.tgz") as package:
        for member in package.getmembers():
            name = Path(member.name).name
            if re.fullmatch(r"StructureDefinition-.*\.json", name):
                file = package.extractfile(member)
                assert file is not None
                made = json.load(file)
                found[made["id"].removesuffix("-uv-ips")] = made
    return found


def present(resource: Resource, path: str) -> int:
    """Return how often a direct child is there; ``value[x]`` counts each type, and reasons."""
    name = path.rpartition(".")[2].removesuffix("[x]")
    there = [
        value
        for key, value in resource.items()
        if key.removeprefix("_") == name
        or (path.endswith("[x]") and key.removeprefix("_").startswith(name))
    ]
    return sum(len(one) if isinstance(one, list) else 1 for one in there)


def missing(profile: Resource, resource: Resource) -> list[str]:
    """Return the top-level elements that a profile requires and a resource lacks."""
    return [
        element["id"]
        for element in profile["snapshot"]["element"]
        if element["id"].count(".") == 1
        and ":" not in element["id"]
        and present(resource, element["id"]) < element["min"]
    ]


@pytest.mark.parametrize("resources", [[], full()], ids=["empty", "full"])
async def test_all_has_what_the_profiles_require(
    profiles: dict[str, Resource], resources: list[Resource]
) -> None:
    bundle = await summary(*resources)
    assert missing(profiles["Bundle"], bundle) == []
    # A Device is any of R4 in Bundle-uv-ips: the author of the document is none of the patient's.
    faults = [
        (entry["resource"]["id"], lacks)
        for entry in bundle["entry"]
        if entry["resource"]["resourceType"] != "Device"
        if (profile := profiles.get(entry["resource"]["resourceType"]))
        for lacks in missing(profile, entry["resource"])
    ]
    assert faults == []


@pytest.mark.parametrize("resources", [[], full()], ids=["empty", "full"])
async def test_sections_are_the_slices_of_the_profile(
    profiles: dict[str, Resource], resources: list[Resource]
) -> None:
    bundle = await summary(*resources)
    found = sections(bundle)
    elements = {e["id"]: e for e in profiles["Composition"]["snapshot"]["element"]}
    slices = [id_ for id_ in elements if id_.startswith("Composition.section:") and "." not in
              id_.removeprefix("Composition.")]  # fmt: skip
    codes = {}
    for id_ in slices:
        pattern = elements[f"{id_}.code"]["patternCodeableConcept"]["coding"][0]
        codes[pattern["code"]] = id_
        listed = found.get(pattern["code"])
        assert (listed is not None) >= elements[id_]["min"]
        if listed is None:
            continue
        assert len(listed) >= elements[f"{id_}.entry"]["min"]
        targets = elements[f"{id_}.entry"]["type"][0]["targetProfile"]
        allowed = {target.rpartition("/")[2] for target in targets}
        assert {one["resourceType"] for one in listed} <= allowed
    assert set(found) <= set(codes)


@pytest.mark.parametrize("resources", [[], full()], ids=["empty", "full"])
async def test_sections_have_a_title_a_narrative_and_entries(resources: list[Resource]) -> None:
    composition = (await summary(*resources))["entry"][0]["resource"]
    assert composition["type"]["coding"][0]["code"] == "60591-5"
    for section in composition["section"]:
        assert section["title"]
        assert section["text"]["status"] == "generated"
        assert section["entry"]
        assert "emptyReason" not in section


# -- whose summary, and for whom ---------------------------------------------------------------


async def told_by(path: str, body: Resource) -> httpx.Response:
    made = await house({**ANNA, "id": "twin-1", "identifier": [{"value": "twins"}]},
                 {**ANNA, "id": "twin-2", "identifier": [{"value": "twins"}]})  # fmt: skip
    async with made.client() as client:
        return await client.post(path, json=body)


def by_identifier(name: str = "identifier", **identifier: str) -> Resource:
    parameter = {"name": name, "valueIdentifier": identifier}
    return {"resourceType": "Parameters", "parameter": [parameter]}


@pytest.mark.parametrize("name", ["identifier", "identifer"])
async def test_an_identifier_names_the_patient(name: str) -> None:
    answer = await told_by("Patient/$summary", by_identifier(name, system="urn:mrn", value="4|2"))
    assert answer.json()["entry"][1]["resource"]["id"] == "p"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (by_identifier(system="urn:mrn", value="nobody"), 404),
        (by_identifier(value="twins"), 412),
        (by_identifier(system="urn:mrn"), 400),
        ({"resourceType": "Parameters"}, 400),
    ],
    ids=["nobody", "several", "no value", "no identifier"],
)
async def test_an_identifier_that_names_nobody_or_several_is_refused(
    body: Resource, status: int
) -> None:
    assert (await told_by("Patient/$summary", body)).status_code == status


async def test_the_profile_is_that_of_ips() -> None:
    path = "Patient/p/$summary?profile=http://hl7.org/fhir/uv/ips/StructureDefinition/"
    assert (await asked(path=f"{path}Bundle-uv-ips")).status_code == 200
    assert (await asked(path=f"{path}Other")).status_code == 404


@pytest.mark.parametrize("caller", ["patient-b", "nothing", "reader"])
async def test_who_may_not_see_the_patient_gets_no_summary(caller: str) -> None:
    assert (await asked(caller=caller)).status_code in (403, 404)
