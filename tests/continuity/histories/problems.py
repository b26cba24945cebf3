"""Allergies, medicines, diagnoses and implants: what is there, what is not, what is not said."""

from collections.abc import Callable

from tests.continuity.histories import told
from tests.continuity.histories.told import ALLERGY_VERIFICATION, RXNORM, SNOMED, VERIFICATION
from tests.continuity.histories.world import DAY, Who, World

VISIT = "Encounter/visit"
PENICILLIN = f"{SNOMED}|91936005"
PEANUT = f"{SNOMED}|91935009"
NO_ALLERGY = f"{SNOMED}|716186003"
NO_DRUG_ALLERGY = f"{SNOMED}|409137002"
NO_MEDICINE = f"{SNOMED}|787481004"
METFORMIN = f"{RXNORM}|6809"
ASPIRIN = f"{RXNORM}|1191"
ORIGIN = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin"
ABSENT = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"
DIAGNOSES = {"diabetes": "73211009", "breast-cancer": "254837009"}


def _code(value: str) -> str:
    return value.rpartition("|")[2]


def _allergic(world: World, value: str, who: Who, said: int, *, visit: str | None = None) -> None:
    encounter = {"encounter": {"reference": visit}} if visit else {}
    made = told.allergy(world.new_id("a"), _code(value), who, said, **encounter)
    world.tell(said, made)
    world.claim("allergies", value, who, said, visit=visit)
    if value == PENICILLIN:
        world.claim("penicillin", "true", who, said, visit=visit)
    if value == NO_ALLERGY:
        world.claim("penicillin", "false", who, said, visit=visit, implied=True)


def nothing(_world: World) -> None:
    """Nobody asked."""


def empty_list(world: World) -> None:
    """A sender's list of allergies, medicines or problems came empty: nobody said "none"."""
    for code in ("48765-2", "10160-0", "11450-4"):
        at = world.before_end(1, 20)
        made = {
            "resourceType": "List",
            "id": world.new_id("l"),
            "status": "current",
            "mode": "snapshot",
            "code": told.concept(told.LOINC, code),
            "subject": {"reference": "Patient/p"},
            "date": told.instant(at),
            "source": {"reference": "Practitioner/doctor"},
            "emptyReason": told.concept(
                "http://terminology.hl7.org/CodeSystem/list-empty-reason", "notasked"
            ),
        }
        world.tell(at, made)


def allergic(world: World) -> None:
    who: Who = world.rng.choice(("patient", "clinician"))
    _allergic(world, world.rng.choice((PENICILLIN, PEANUT)), who, world.day(50, 1700))


def allergic_twice(world: World) -> None:
    _allergic(world, PENICILLIN, "clinician", world.day(50, 900))
    _allergic(world, PEANUT, "patient", world.day(50, 1700))


def allergic_said_here(world: World) -> None:
    _allergic(world, PENICILLIN, "patient", world.end - DAY // 24, visit=VISIT)


def none_known(world: World) -> None:
    _allergic(world, NO_ALLERGY, "clinician", world.day(50, 1700))


def none_known_from_abroad(world: World) -> None:
    """As International Patient Summaries write it, and a list of which nothing is known."""
    said = world.day(50, 1700)
    made = told.allergy(world.new_id("a"), "", "clinician", said)
    world.tell(said, {**made, "code": told.concept(ABSENT, "no-known-allergies")})
    world.claim("allergies", f"{ABSENT}|no-known-allergies", "clinician", said)
    world.claim("penicillin", "false", "clinician", said, implied=True)


def no_information_from_abroad(world: World) -> None:
    said = world.before_end(1, 20)
    made = told.allergy(world.new_id("a"), "", "clinician", said)
    world.tell(said, {**made, "code": told.concept(ABSENT, "no-allergy-info")})


def none_known_here(world: World) -> None:
    _allergic(world, NO_ALLERGY, "patient", world.end - DAY // 24, visit=VISIT)


def none_known_and_one(world: World) -> None:
    """One says there is none, the other names one: neither is believed."""
    _allergic(world, NO_ALLERGY, "clinician", world.before_end(3, 9))
    _allergic(world, PENICILLIN, "patient", world.before_end(3, 9))


def allergic_and_says_no(world: World) -> None:
    """On the list, and denied on a form."""
    _allergic(world, PENICILLIN, "clinician", world.day(50, 1700))
    said = world.before_end(3, 9)
    no = {"penicillin": [{"valueBoolean": False}]}
    world.tell(said, told.answers(world.new_id("q"), no, "patient", said))
    world.claim("penicillin", "false", "patient", said)


def none_known_but_another(world: World) -> None:
    """None, said here; and peanuts, said before.  It may be penicillin as well."""
    _allergic(world, PEANUT, "clinician", world.day(50, 1700))
    _allergic(world, NO_ALLERGY, "patient", world.end - DAY // 24, visit=VISIT)


def no_drug_allergy(world: World) -> None:
    """409137002 speaks of drugs only."""
    _allergic(world, NO_DRUG_ALLERGY, "clinician", world.day(50, 1700))


def refuted(world: World) -> None:
    """Tested: there is no such allergy.  It says nothing of others."""
    said = world.day(50, 1700)
    status = told.concept(ALLERGY_VERIFICATION, "refuted")
    made = told.allergy(world.new_id("a"), "91936005", "clinician", said,
                        verificationStatus=status)  # fmt: skip
    del made["clinicalStatus"]  # ait-1
    world.tell(said, made)
    world.claim("penicillin", "false", "clinician", said)


def allergy_in_error(world: World) -> None:
    said, gone = world.day(50, 700), world.before_end(1, 30)
    made = told.allergy(world.new_id("a"), "91936005", "clinician", said)
    world.tell(said, made)
    wrong = {**made, "verificationStatus": told.concept(ALLERGY_VERIFICATION, "entered-in-error")}
    del wrong["clinicalStatus"]  # ait-2
    world.tell(gone, wrong)
    for item, value in (("allergies", PENICILLIN), ("penicillin", "true")):
        world.claim(item, value, "clinician", said, gone=gone)


def allergy_of_the_newborn(world: World) -> None:
    said = world.before_end(1, 20)
    child = {"patient": {"reference": "Patient/newborn"}}
    made = told.allergy(world.new_id("a"), "91936005", "clinician", said, **child)
    world.tell_of_another(said, made)


def hidden_allergy(world: World) -> None:
    """Everybody sees "none known"; some see the allergy."""
    said = world.before_end(3, 9)
    world.tell(said, told.allergy(world.new_id("a"), _code(NO_ALLERGY), "clinician", said))
    secret = told.allergy(world.new_id("a"), "91936005", "patient", said)
    world.tell(said, told.labelled(secret))
    world.claim("allergies", NO_ALLERGY, "clinician", said)
    world.claim("penicillin", "false", "clinician", said, implied=True)
    world.claim("allergies", PENICILLIN, "patient", said, hidden=True)
    world.claim("penicillin", "true", "patient", said, hidden=True)


ALLERGIES: tuple[Callable[[World], None], ...] = (
    nothing, empty_list, allergic, allergic_and_says_no, allergic_twice, allergic_said_here,
    none_known, none_known_from_abroad, no_information_from_abroad, none_known_here,
    none_known_and_one, no_drug_allergy, refuted, allergy_in_error, allergy_of_the_newborn,
    hidden_allergy, none_known_but_another,
)  # fmt: skip


def takes(world: World) -> None:
    for value in world.rng.sample((METFORMIN, ASPIRIN), world.rng.randint(1, 2)):
        said = world.day(50, 1700)
        world.tell(said, told.medicine(world.new_id("m"), _code(value), "patient", said))
        world.claim("medicines", value, "patient", said)


def takes_said_here(world: World) -> None:
    said = world.end - DAY // 24
    context = {"context": {"reference": VISIT}}
    world.tell(said, told.medicine(world.new_id("m"), "6809", "patient", said, **context))
    world.claim("medicines", METFORMIN, "patient", said, visit=VISIT)


def stopped(world: World) -> None:
    """Of two medicines one was stopped; of one, nothing is left, which is not "none"."""
    said, gone = world.day(50, 700), world.before_end(2, 60)
    made = told.medicine(world.new_id("m"), "6809", "clinician", said)
    world.tell(said, made)
    world.tell(gone, {**made, "status": "stopped"})
    world.claim("medicines", METFORMIN, "clinician", said, gone=gone)
    if world.rng.random() < 0.5:
        world.tell(said, told.medicine(world.new_id("m"), "1191", "clinician", said))
        world.claim("medicines", ASPIRIN, "clinician", said)


def no_medicines(world: World) -> None:
    said = world.day(50, 1700)
    none = {"medicationCodeableConcept": told.concept(SNOMED, _code(NO_MEDICINE))}
    made = told.medicine(world.new_id("m"), _code(NO_MEDICINE), "patient", said, **none)
    world.tell(said, made)
    world.claim("medicines", NO_MEDICINE, "patient", said)


def ordered_here(world: World) -> None:
    """A doctor orders a medicine in this visit; that it is taken, nobody said."""
    said = world.end - DAY // 24
    order = {
        "resourceType": "MedicationRequest",
        "id": world.new_id("r"),
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": told.concept(RXNORM, "6809"),
        "subject": {"reference": "Patient/p"},
        "authoredOn": told.instant(said),
        "requester": {"reference": "Practitioner/doctor"},
        "encounter": {"reference": VISIT},
    }
    world.tell(said, order)
    world.claim("medicines", METFORMIN, "clinician", said, visit=VISIT, weak=True)


def planned_only(world: World) -> None:
    """Not taken yet; nothing that the patient takes."""
    said = world.day(50, 1700)
    made = told.medicine(world.new_id("m"), "6809", "clinician", said, status="not-taken")
    world.tell(said, made)


MEDICINES: tuple[Callable[[World], None], ...] = (
    nothing, takes, takes, takes_said_here, stopped, no_medicines, planned_only, ordered_here,
)  # fmt: skip


def no_word(_world: World, _item: str) -> None:
    """Nobody said anything of it."""


def has(world: World, item: str) -> None:
    said = world.before_end(1, 14)
    world.tell(said, told.condition(world.new_id("c"), DIAGNOSES[item], "clinician", said))
    world.claim(item, "true", "clinician", said)


def has_not(world: World, item: str) -> None:
    """Ruled out by a clinician."""
    said = world.before_end(1, 14)
    status = {"verificationStatus": told.concept(VERIFICATION, "refuted")}
    made = told.condition(world.new_id("c"), DIAGNOSES[item], "clinician", said, **status)
    del made["clinicalStatus"]  # not applicable to what is not there
    world.tell(said, made)
    world.claim(item, "false", "clinician", said)


def relative_has(world: World, item: str) -> None:
    """Her mother has it; her child has it; she was not asked."""
    said = world.before_end(1, 14)
    child = {"subject": {"reference": "Patient/newborn"}}
    world.tell_of_another(
        said,
        told.family(world.new_id("f"), DIAGNOSES[item], said),
        told.condition(world.new_id("c"), DIAGNOSES[item], "clinician", said, **child),
    )


def wrongly_has(world: World, item: str) -> None:
    said, gone = world.before_end(8, 14), world.before_end(1, 6)
    made = told.condition(world.new_id("c"), DIAGNOSES[item], "clinician", said)
    world.tell(said, made)
    wrong = {**made, "verificationStatus": told.concept(VERIFICATION, "entered-in-error")}
    del wrong["clinicalStatus"]  # con-5
    world.tell(gone, wrong)
    world.claim(item, "true", "clinician", said, gone=gone)


def says_no_but_has(world: World, item: str) -> None:
    has(world, item)
    said = world.before_end(1, 9)
    no = {item: [{"valueBoolean": False}]}
    world.tell(said, told.answers(world.new_id("q"), no, "patient", said))
    world.claim(item, "false", "patient", said)


def says_no(world: World, item: str) -> None:
    said = world.before_end(1, 14)
    who: Who = world.rng.choice(("patient", "proxy"))
    no = {item: [{"valueBoolean": False}]}
    world.tell(said, told.answers(world.new_id("q"), no, who, said))
    world.claim(item, "false", who, said)


def is_over(world: World, item: str) -> None:
    """It was, and is over: that is no "no" to whoever asks whether it ever was."""
    said = world.before_end(1, 14)
    over = {"clinicalStatus": told.concept(told.CLINICAL, "resolved")}
    made = told.condition(world.new_id("c"), DIAGNOSES[item], "clinician", said, **over)
    world.tell(said, made)


def copied_by_a_machine(world: World, item: str) -> None:
    """Filled in beforehand and left as it was: nobody said it."""
    said = world.before_end(1, 14)
    auto = [{"url": "source", "valueCode": "auto"}]
    answer = {"extension": [{"url": ORIGIN, "extension": auto}], "valueBoolean": True}
    world.tell(said, told.answers(world.new_id("q"), {item: [answer]}, "patient", said))


def answered_elsewhere(world: World, item: str) -> None:
    """Another form has a question of the same name; a third one was never finished."""
    said = world.before_end(1, 14)
    yes = {item: [{"valueBoolean": True}]}
    other = {"questionnaire": "https://other.test/Questionnaire/visitor"}
    world.tell(said, told.answers(world.new_id("q"), yes, "patient", said, **other))
    open_ = {"status": "in-progress"}
    world.tell(said, told.answers(world.new_id("q"), yes, "patient", said, **open_))


def says_no_about_the_child(world: World, item: str) -> None:
    """The mother fills in her newborn's form."""
    said = world.before_end(1, 14)
    child = {"subject": {"reference": "Patient/newborn"}}
    no = {item: [{"valueBoolean": False}]}
    world.tell_of_another(said, told.answers(world.new_id("q"), no, "patient", said, **child))


def has_in_secret(world: World, item: str) -> None:
    said = world.before_end(1, 14)
    made = told.condition(world.new_id("c"), DIAGNOSES[item], "clinician", said)
    world.tell(said, told.labelled(made))
    world.claim(item, "true", "clinician", said, hidden=True)


DIAGNOSED: tuple[Callable[[World, str], None], ...] = (
    no_word, has, has, has_not, relative_has, wrongly_has, says_no_but_has, says_no, says_no,
    says_no_about_the_child, has_in_secret, copied_by_a_machine, answered_elsewhere, is_over,
)  # fmt: skip


def pacemaker(world: World) -> None:
    """Implanted long ago: it must be heard again in each visit."""
    said = world.day(50, 1700)
    device = {
        "resourceType": "Device",
        "id": world.new_id("d"),
        "status": "active",
        "type": told.concept(SNOMED, "14106009"),
        "patient": {"reference": "Patient/p"},
    }
    use = {
        "resourceType": "DeviceUseStatement",
        "id": world.new_id("u"),
        "status": "active",
        "subject": {"reference": "Patient/p"},
        "device": {"reference": f"Device/{device['id']}"},
        "recordedOn": told.instant(said),
        "source": {"reference": "Practitioner/doctor"},
    }
    world.tell(said, device, use)
    world.claim("pacemaker", "true", "clinician", said)


def happen(world: World) -> None:
    """Let each topic take one turn."""
    for turn in (world.rng.choice(ALLERGIES), world.rng.choice(MEDICINES),
                 world.rng.choice((nothing, pacemaker))):  # fmt: skip
        world.stories.append(turn.__name__)
        turn(world)
    for item in DIAGNOSES:
        told_of = world.rng.choice(DIAGNOSED)
        world.stories.append(f"{item}: {told_of.__name__}")
        told_of(world, item)
