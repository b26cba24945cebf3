"""A story under limits: what is hidden is as if it were not there (C7)."""

from collections.abc import Sequence
from typing import Any

import pytest

from server.access.context import AccessContext
from server.access.permits import permits
from server.access.person import Person
from server.access.policy import load_policy
from server.access.scopes import parse
from server.fhir.errors import Forbidden, NotFound
from tests.continuity.story_house import SYSTEM, sentences, told
from tests.continuity.story_record import (
    ADA,
    ADA_HERSELF,
    HOME,
    PEOPLE,
    RECORD,
    Resource,
    concept,
    of,
)
from tests.rest.house import BASE, START

POLICY = load_policy()
LABELS = {
    "R": ("http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "R"),
    "V": ("http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "V"),
    "HIV": ("http://terminology.hl7.org/CodeSystem/v3-ActCode", "HIV"),
    "PSYTHPN": ("http://terminology.hl7.org/CodeSystem/v3-ActCode", "PSYTHPN"),
}
LATER = {
    "url": "https://tellonce.org/fhir/StructureDefinition/release",
    "extension": [{"url": "at", "valueInstant": "2027-01-01T00:00:00Z"}],
}


def caller(person: Person, scope: str, patient: str | None = "Patient/ada") -> AccessContext:
    made = permits(POLICY, person, parse(scope), patient, START)
    return AccessContext(f"user/{person.login}", "app", made, person=person.fhir_user)


ROE = caller(Person("roe", ("practitioner",), "Practitioner/roe"), "user/*.rs", None)
HERSELF = caller(Person("ada", ("patient",), "Patient/ada"), "patient/*.rs")
WARD = caller(
    Person("nurse", ("practitioner",), "Practitioner/nurse", ("Organization/ward",)),
    "user/*.rs",
    None,
)
NARROW = caller(Person("ada", ("patient",), "Patient/ada"), "patient/Patient.rs patient/Goal.rs")


def labelled(resource: Resource, *names: str) -> Resource:
    security = [dict(zip(("system", "code"), LABELS[name], strict=True)) for name in names]
    return {**resource, "meta": {"security": security}}


async def composed(record: Sequence[Resource], access: AccessContext, **asked: Any) -> Any:
    return (await told(record, access, **asked)).composition


@pytest.mark.parametrize("audience", ["clinician", "patient"])
@pytest.mark.parametrize(
    ("access", "label"), [(ROE, "V"), (ROE, "PSYTHPN"), (HERSELF, "PSYTHPN"), (WARD, "V")]
)
async def test_a_hidden_entry_changes_nothing_of_the_story(
    access: AccessContext, label: str, audience: str
) -> None:
    for at in range(3):  # a third of the record each time
        some = [one for one in RECORD[at::3] if one not in (ADA_HERSELF, *PEOPLE)]
        kept = [one for one in RECORD if one not in some or one["resourceType"] == "Encounter"]
        hidden = [labelled(one, label) for one in some if one["resourceType"] != "Encounter"]
        made = [
            await told(record, access, audience=audience, since=1)
            for record in ([*kept, *hidden], kept)
        ]
        with_hidden, without = ((one.composition, one.document(BASE, "d")) for one in made)
        assert with_hidden == without


async def test_many_hidden_entries_are_not_counted_and_take_no_place() -> None:
    many = [of("Procedure", f"p{at}", subject=ADA, status="completed", code=concept(f"P {at}"),
               performedDateTime=f"2025-01-{at + 1:02d}") for at in range(25)]  # fmt: skip
    hidden = [labelled(one, "PSYTHPN") for one in many[10:]]
    shown = await composed([*RECORD, *many[:10]], HERSELF, since=1)
    assert await composed([*RECORD, *many[:10], *hidden], HERSELF, since=1) == shown
    assert "more: procedures" not in str(shown)


async def test_a_hidden_allergy_is_no_conflict_and_no_entry() -> None:
    record = [labelled(one, "PSYTHPN") if one["id"] == "pen" else one for one in RECORD]
    made = await told(record, ROE)
    assert not [one for one in sentences(made) if one.kind == "conflict"]
    without = await told([one for one in RECORD if one["id"] not in ("pen", "none")], ROE)
    assert "nothing is recorded" in without.told["findings"][0].text


async def test_a_result_that_is_not_released_yet_is_told_to_clinicians_alone() -> None:
    held = [{**one, "extension": [LATER]} if one["id"] == "hb" else one for one in RECORD]
    assert "Haemoglobin" in str(await composed(held, ROE))
    without = [one for one in RECORD if one["id"] != "hb"]
    assert await composed(held, HERSELF, since=1) == await composed(without, HERSELF, since=1)


async def test_an_order_whose_result_is_hidden_waits_as_if_there_were_none() -> None:
    hidden = [labelled(one, "PSYTHPN") if one["id"] == "count" else one for one in RECORD]
    without = [one for one in RECORD if one["id"] != "count"]
    assert await composed(hidden, ROE) == await composed(without, ROE)


@pytest.mark.parametrize("access", [ROE, HERSELF])
async def test_nobody_is_told_that_something_is_withheld(access: AccessContext) -> None:
    """The policy that ships entitles nobody to know that, not even clinicians."""
    hidden = [labelled(one, "PSYTHPN") if one["id"] == "pen" else one for one in RECORD]
    assert "withheld" not in str(await composed(hidden, access, since=1))


async def test_narrow_scopes_open_a_narrow_story() -> None:
    made = await told(RECORD, NARROW, audience="patient")
    types = {source.type for one in sentences(made) for source in one.sources}
    assert types == {"Patient", "Goal"}


async def test_a_story_that_may_not_be_read_is_not_there() -> None:
    stranger = caller(Person("bo", ("patient",), "Patient/bo"), "patient/*.rs", "Patient/bo")
    with pytest.raises(NotFound):
        await told(RECORD, stranger)
    with pytest.raises(NotFound):
        await told(RECORD, patient="nobody")
    with pytest.raises(Forbidden):
        await told(RECORD, AccessContext("user/x", "app", ()))


async def test_a_story_inherits_the_highest_label_of_its_sources() -> None:
    record = [
        labelled(one, "R", "HIV") if one["id"] == "hb" else labelled(one, "V")
        if one["id"] == "ecg" else one for one in [*RECORD, *HOME]
    ]  # fmt: skip
    made = await told(record, SYSTEM)
    expected = [dict(zip(("system", "code"), LABELS[one], strict=True)) for one in ("HIV", "V")]
    assert made.composition["meta"]["security"] == expected
    assert made.document("http://x", "d")["meta"]["security"] == expected
    assert "meta" not in (await told(RECORD, SYSTEM)).composition
