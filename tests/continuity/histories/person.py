"""Who the patient is, where they live, who pays; what they answered on forms before."""

from typing import Any

from tests.continuity.histories import told
from tests.continuity.histories.world import DAY, Resource, World

VISIT = "Encounter/visit"
TOWNS = ("Aachen", "Bonn", "Celle", "Dresden")
LANGUAGES = ("de", "tr", "en")
CURRENT_LANGUAGE = "urn:ietf:bcp:47"


def around(world: World) -> None:
    """Everybody and everything that is there from the first day; none of it is the patient's."""
    at = world.day(0, 0)
    parent = {
        "resourceType": "RelatedPerson",
        "id": "parent",
        "patient": {"reference": "Patient/p"},
        "name": [{"family": "Parent"}],
        "birthDate": "1950-01-01",
        "gender": "male",
        "telecom": [{"system": "phone", "value": "+49 30 111111"}],
        "address": [{"city": "Not Hers"}],
        "communication": [{"language": told.concept(CURRENT_LANGUAGE, "fr")}],
    }
    newborn: Resource = {
        "resourceType": "Patient", "id": "newborn", "birthDate": "2024-05-05", "gender": "male",
        "telecom": [{"system": "phone", "value": "+49 30 222222"}],
        "address": [{"city": "Not Hers Either"}],
    }  # fmt: skip
    second: Resource = {
        "resourceType": "Patient", "id": "second", "birthDate": "1971-07-07", "active": False,
        "gender": "other", "address": [{"city": "Somewhere Else"}],
        "link": [{"other": {"reference": "Patient/p"}, "type": "replaced-by"}],
    }  # fmt: skip
    payer: Resource = {
        "resourceType": "Coverage", "id": "childs", "status": "active",
        "subscriber": {"reference": "Patient/p"}, "policyHolder": {"reference": "Patient/p"},
        "subscriberId": "CHILD-1", "beneficiary": {"reference": "Patient/newborn"},
        "payor": [{"reference": "Patient/p"}],
    }  # fmt: skip
    world.tell(at, {"resourceType": "Practitioner", "id": "doctor", "name": [{"family": "Weiss"}]})
    world.tell_of_another(at, parent, newborn, second, payer)
    start = told.instant(world.end - 2 * DAY // 24)
    visit = {
        "resourceType": "Encounter", "id": "visit", "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": "Patient/p"}, "period": {"start": start},
    }  # fmt: skip
    world.tell(world.end - 2 * DAY // 24, visit)


def _registered(world: World, at: int, patient: Resource) -> None:
    """A registration system sends all that it has; a Provenance says when it was said."""
    number = world.count("Patient/p") + 1
    target = f"Patient/p/_history/{number}"
    world.tell(at, patient, told.provenance(world.new_id("v"), target, at, "clinician"))


def demographics(world: World) -> None:
    """Registered, moved, and sent again unchanged by every A08."""
    at, rng = world.day(1, 30), world.rng
    who: Resource = dict(world.patient)
    if rng.random() < 0.9:
        town = rng.choice(TOWNS)
        who["address"] = [{"city": town, "use": "home"}]
        first_town = world.claim("city", town, "clinician", at)
    else:
        first_town = None
    if rng.random() < 0.8:
        who["telecom"] = [{"system": "phone", "value": f"+49 228 {rng.randint(10000, 99999)}"}]
        phone = world.claim("phone", who["telecom"][0]["value"], "clinician", at)
    if rng.random() < 0.8:
        spoken = rng.choice(LANGUAGES)
        who["communication"] = [{"language": told.concept(CURRENT_LANGUAGE, spoken)}]
        world.claim("language", f"{CURRENT_LANGUAGE}|{spoken}", "clinician", at)
    for item, element in (("birth-date", "birthDate"), ("gender", "gender")):
        value = who[element]
        kind = "http://hl7.org/fhir/administrative-gender|" if item == "gender" else ""
        world.claim(item, f"{kind}{value}", "clinician", at)
    _registered(world, at, who)
    if first_town is not None and rng.random() < 0.6:
        again = world.before_end(1, 14)
        moved = {**who, "address": [{"city": "Essen", "use": "home"}]}
        world.end_claims([first_town], again)
        world.claim("city", "Essen", "clinician", again)
        _registered(world, again, moved)
    elif "telecom" in who and rng.random() < 0.8:
        again = world.before_end(1, 14)
        changed = {**who, "telecom": [{"system": "phone", "value": "+49 201 55555"}]}
        world.end_claims([phone], again)
        world.claim("phone", "+49 201 55555", "clinician", again)
        _registered(world, again, changed)


def coverage(world: World) -> None:
    """Insured, insured elsewhere later, or not any more."""
    at, again = world.day(40, 300), world.before_end(1, 14)
    first: Resource = {
        "resourceType": "Coverage", "id": "own", "status": "active", "subscriberId": "A-1",
        "beneficiary": {"reference": "Patient/p"}, "payor": [{"display": "Old Fund"}],
        "period": {"start": told.instant(at)},
    }  # fmt: skip
    turn = world.rng.choice(("none", "changed", "changed", "changed", "ended"))
    world.stories.append(f"coverage: {turn}")
    if turn == "none":
        return
    world.tell(at, first, told.provenance(world.new_id("v"), "Coverage/own/_history/1", at,
                                          "clinician"))  # fmt: skip
    old = world.claim("member", "A-1", "clinician", at)
    world.end_claims([old], again)
    world.tell(again, {**first, "status": "cancelled"})
    if turn == "changed":
        new = {**first, "id": "new", "subscriberId": "B-2",
               "period": {"start": told.instant(again)}}  # fmt: skip
        world.tell(again, new, told.provenance(world.new_id("v"), "Coverage/new/_history/1",
                                               again, "clinician"))  # fmt: skip
        world.claim("member", "B-2", "clinician", again)


def forms(world: World) -> None:
    """Filled in before; amended since; some of it is for that day only."""
    said = world.before_end(8, 14)
    given: dict[str, list[dict[str, Any]]] = {
        "identity": [{"valueBoolean": True}],
        "consent": [{"valueBoolean": True}],
        "symptoms": [{"valueString": "sore throat"}],
        "worry": [{"valueString": "my mother is alone at home"}],
    }
    for item, value in (("identity", "true"), ("consent", "true"), ("symptoms", "sore throat")):
        world.claim(item, value, "patient", said)
    first = world.claim("worry", "my mother is alone at home", "patient", said)
    made = told.answers(world.new_id("q"), given, "patient", said)
    world.tell(said, made)
    turn = world.rng.choice(("stays", "amended", "withdrawn", "here"))
    world.stories.append(f"form: {turn}")
    later = world.before_end(1, 6)
    if turn == "amended":
        given = {**given, "worry": [{"valueString": "the needle"}]}
        amended = told.answers(made["id"], given, "patient", later, status="amended")
        world.tell(later, amended)
        world.end_claims([first], later)
        world.claim("worry", "the needle", "patient", later)
    elif turn == "withdrawn":
        world.tell(later, {**made, "status": "entered-in-error"})
        world.end_claims([first], later)
    elif turn == "here":
        now = world.end - DAY // 24
        visit = {"encounter": {"reference": VISIT}}
        worry = {"worry": [{"valueString": "the needle"}]}
        world.tell(now, told.answers(world.new_id("q"), worry, "patient", now, **visit))
        world.claim("worry", "the needle", "patient", now, visit=VISIT)
