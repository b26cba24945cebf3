"""Who was shown what is known of a patient is kept, in audit and for corrections."""

from server.continuity.citations import Showings
from tests.audit.house import AuditedHouse, interaction, patients, query
from tests.rest.house import observation, patient

FORM = {
    "resourceType": "Questionnaire", "id": "f", "url": "http://f", "status": "active",
    "item": [{"linkId": "w", "type": "string",
              "code": [{"system": "http://loinc.org", "code": "11331-6"}]}],
}  # fmt: skip


async def test_what_was_shown_is_kept_with_its_reader(house: AuditedHouse) -> None:
    habit = observation("Patient/a", "o", code="11331-6", valueString="none")
    async with house.client() as admin:
        for one in (patient("a"), FORM, habit):
            await admin.put(f"/{one['resourceType']}/{one['id']}", json=one)
    before = len(await house.events())

    async with house.client("anna") as anna:
        answer = await anna.get("/Patient/a/$known-answers?questionnaire=http://f")

    assert answer.status_code == 200
    told = [(interaction(e), patients(e), query(e)) for e in await house.new_events(before)]
    asked = "Patient/a/$known-answers?questionnaire=http%3A%2F%2Ff"
    assert told == [  # what was asked stands apart from whose record it was asked of
        ("operation", ["Patient/a"], "Patient/$known-answers?questionnaire="),
        ("operation", [], asked),
    ]
    (shown,) = await Showings(house.services).of("Observation/o", ["Patient/a"])
    assert (shown.kind, shown.reader, shown.person) == (
        "known-answers", "user/anna", "Practitioner/anna",
    )  # fmt: skip
    assert list(shown.versions) == [1]
