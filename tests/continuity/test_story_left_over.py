"""What a form did not ask after its other answers is nobody's word in the story either."""

from tests.continuity.known.test_disabled_answers import (
    GATE,
    OLD,
    WHEN_YES,
    asked,
    conditional,
    said,
)
from tests.continuity.story_house import SYSTEM, bodies, texts, told
from tests.continuity.story_record import ADA, ADA_HERSELF, Resource, of

FORM = asked(OLD, GATE, conditional(**WHEN_YES))


def answered(gate: bool) -> Resource:
    items = [said("gate", valueBoolean=gate), said("c", valueBoolean=True)]
    return of("QuestionnaireResponse", "r", status="completed", questionnaire=OLD, subject=ADA,
              authored="2025-12-30T08:00:00Z", author=ADA, source=ADA, item=items)  # fmt: skip


async def test_what_was_asked_is_told() -> None:
    made = await told([ADA_HERSELF, FORM, answered(True)], SYSTEM)
    assert texts(made, "voice") == [
        "The patient, 30 December 2025: “gate”: yes.",
        "The patient, 30 December 2025: “c”: yes.",
    ]


async def test_what_was_not_asked_is_not_told() -> None:
    made = await told([ADA_HERSELF, FORM, answered(False)], SYSTEM, since=1)
    assert texts(made, "voice") == ["The patient, 30 December 2025: “gate”: no."]
    assert "“c”" not in str(made.composition)


async def test_the_form_itself_stays_as_it_was_written() -> None:
    made = await told([ADA_HERSELF, FORM, answered(False)], SYSTEM)
    assert bodies(made)["QuestionnaireResponse/r/_history/1"]["item"] == answered(False)["item"]
    (kept,) = [one for one in made.resources if one["resourceType"] == "QuestionnaireResponse"]
    assert kept["item"] == answered(False)["item"]
