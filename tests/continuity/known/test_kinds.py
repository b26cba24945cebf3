"""What is one of something: reviewed, extended by a site, and never by mistake an absence."""

from pathlib import Path

import pytest

from server.continuity.site import Site
from server.continuity.validity import Validity, ValidityError, load_validity
from tests.continuity.known.hostile import medicine, patient
from tests.continuity.known.house import Record
from tests.continuity.known.record import (
    FORM,
    RXNORM,
    SNOMED,
    allergy,
    concept,
    condition,
    item,
)

SCT, ICD = SNOMED, "http://hl7.org/fhir/sid/icd-10-cm"
PENICILLIN, AMOXICILLIN = (SCT, "91936005"), (SCT, "294505008")
ASKED = {"resourceType": "Questionnaire", "id": "f", "url": FORM, "status": "active",
         "item": [item("x", "boolean", PENICILLIN)]}  # fmt: skip


def policy(folder: Path, kinds: str) -> Validity:
    site = folder / "site.yaml"
    site.write_text(f"topics:\n  allergies:\n    kinds:\n{kinds}")
    return load_validity(site)


def test_each_class_that_ships_has_its_clinical_reason() -> None:
    every = [one for topic in load_validity().topics.values() for one in topic.kinds]
    assert len(every) == 13
    assert [one.code for one in every if not one.why.endswith(".")] == []


async def test_what_is_one_of_it_is_it(memory: Record) -> None:
    await memory.put(*patient(), allergy("a", "294505008"))
    assert (await memory.table(ASKED))["x"] == ("confirm", "C1 each encounter", "True")


async def test_a_status_of_icd_10_cm_is_it_too(memory: Record) -> None:
    coded = {"coding": [{"system": ICD, "code": "Z88.0"}]}
    await memory.put(*patient(), {**condition("c", "1"), "code": coded})
    assert (await memory.table(ASKED))["x"] == ("confirm", "C1 each encounter", "True")


async def test_that_it_is_not_one_of_it_answers_nothing(memory: Record) -> None:
    refuted = {"coding": [{"code": "refuted"}]}
    await memory.put(*patient(), allergy("a", "294505008", verificationStatus=refuted))
    assert (await memory.table(ASKED))["x"][0] == "ask"


async def test_what_may_react_alike_is_not_it(memory: Record) -> None:
    """A cephalosporin allergy is a reason to ask, and no answer."""
    await memory.put(*patient(), allergy("a", "294532003"))
    assert (await memory.table(ASKED))["x"][0] == "ask"


async def test_who_takes_it_is_not_allergic_to_it(memory: Record) -> None:
    await memory.put(*patient(), medicine(concept(RXNORM, "723")))
    assert (await memory.table(ASKED))["x"][0] == "ask"


def test_a_site_adds_its_own_and_kinds_of_kinds_count(tmp_path: Path) -> None:
    made = policy(
        tmp_path,
        "      sct|91936005:\n"
        "        are: [sct|294505008, sct|1]\n"
        "        why: Reviewed by Dr Roe on 3 March 2026 for this hospital.\n"
        "      sct|1: [sct|2]\n",
    )
    assert made.kinds([PENICILLIN]) == {AMOXICILLIN, (SCT, "1"), (SCT, "2")}


@pytest.mark.parametrize(
    ("kinds", "told"),
    [
        ("      sct|1: [sct|2]\n      sct|2: [sct|1]\n",
         f"{SCT}|1 is one of itself, through its kinds"),
        ("      sct|1: [sct|1]\n", f"{SCT}|1 is one of itself, through its kinds"),
        ("      sct|1: [sct|716186003]\n",
         f"{SCT}|716186003 says that there is none: it is no kind"),
        ("      sct|1: {are: [sct|2], why: no}\n", "the clinical reason is a sentence"),
        ("      sct|1: {why: It is one of these by its chemistry.}\n",
         "there is no key 'are', which is needed"),
        ("      sct|1: [penicillin]\n", "'penicillin' is not system|code"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(tmp_path: Path, kinds: str, told: str) -> None:
    with pytest.raises(ValidityError) as caught:
        policy(tmp_path, kinds)
    assert caught.value.problems[0].endswith(told)
    assert caught.value.problems[0].startswith("site.yaml:")


async def test_a_site_without_a_class_asks(memory: Record, tmp_path: Path) -> None:
    made = Site(policy(tmp_path, "      sct|91936005: [sct|1]\n"))
    await memory.put(*patient(), allergy("a", "294505008"))
    assert (await memory.table(ASKED, site=made))["x"][0] == "ask"
