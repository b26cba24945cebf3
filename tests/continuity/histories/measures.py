"""What is observed: weight, height, smoking, pregnancy, blood group; fifteen ways to hear of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.continuity.histories import told
from tests.continuity.histories.told import SNOMED, UCUM
from tests.continuity.histories.world import DAY, Claim, Resource, Who, World

VISIT = "Encounter/visit"
HANDS: tuple[Who, ...] = ("patient", "clinician")


@dataclass(frozen=True, slots=True)
class Measure:
    """An observed thing: its LOINC code, the items that it answers, and what it can be."""

    name: str
    code: str
    items: tuple[str, ...]
    values: tuple[tuple[str, dict[str, Any]], ...]

    def pick(self, world: World) -> tuple[str, dict[str, Any]]:
        """Return one value as the judge and as FHIR write it."""
        return world.rng.choice(self.values)

    def two(self, world: World) -> list[tuple[str, dict[str, Any]]]:
        """Return two different ones."""
        return world.rng.sample(self.values, 2)


def _coded(*codes: str) -> tuple[tuple[str, dict[str, Any]], ...]:
    return tuple(
        (f"{SNOMED}|{code}", {"valueCodeableConcept": told.concept(SNOMED, code)}) for code in codes
    )


def _quantities(unit: str, *numbers: int) -> tuple[tuple[str, dict[str, Any]], ...]:
    return tuple(
        (
            f"{number} {unit}",
            {"valueQuantity": {"value": number, "unit": unit, "system": UCUM, "code": unit}},
        )
        for number in numbers
    )


MEASURES = (
    Measure("weight", "29463-7", ("weight",), _quantities("kg", 61, 72, 83, 94)),
    Measure("height", "8302-2", ("height",), _quantities("cm", 161, 172, 183)),
    Measure(
        "smoking",
        "72166-2",
        ("smoking", "smoking-local"),
        _coded("449868002", "8517006", "266919005"),
    ),
    Measure("pregnancy", "82810-3", ("pregnant",), _coded("77386006", "60001007")),
    Measure("blood group", "882-1", ("blood-group",), _coded("112144000", "112149005")),
)


def _claim(world: World, m: Measure, value: str, who: Who, said: int | None, **more: Any
           ) -> list[Claim]:  # fmt: skip
    return [world.claim(item, value, who, said, **more) for item in m.items]


def _heard(world: World, m: Measure, who: Who, said: int, **more: Any) -> tuple[str, Resource]:
    """Return the value and the resource of something said plainly, already told and claimed."""
    value, fhir = m.pick(world)
    made = told.observation(world.new_id("o"), m.code, fhir, who, said, **more)
    world.tell(said, made)
    return value, made


def silence(_world: World, _m: Measure) -> None:
    """Nobody said anything."""


def fresh(world: World, m: Measure) -> None:
    who: Who = world.rng.choice(("clinician", "patient", "clinician"))
    said = world.before_end(1, 14)
    value, _ = _heard(world, m, who, said)
    _claim(world, m, value, who, said)


def old(world: World, m: Measure) -> None:
    said = world.day(30, 400)
    value, _ = _heard(world, m, "clinician", said)
    _claim(world, m, value, "clinician", said)


def renewed(world: World, m: Measure) -> None:
    """Measured long ago and again lately; the same hand replaces what it said."""
    old(world, m)
    said = world.before_end(1, 10)
    value, _ = _heard(world, m, "clinician", said)
    _claim(world, m, value, "clinician", said)


def in_this_visit(world: World, m: Measure) -> None:
    said = world.end - DAY // 24
    value, _ = _heard(world, m, "clinician", said, encounter={"reference": VISIT})
    _claim(world, m, value, "clinician", said, visit=VISIT)


def undated(world: World, m: Measure) -> None:
    value, fhir = m.pick(world)
    arrived = world.before_end(1, 20)
    world.tell(arrived, told.observation(world.new_id("o"), m.code, fhir, "clinician", None))
    _claim(world, m, value, "clinician", None, arrived=arrived)


def from_the_future(world: World, m: Measure) -> None:
    """A sender's clock is wrong by months."""
    value, fhir = m.pick(world)
    arrived, said = world.before_end(1, 20), world.end + 200 * DAY
    world.tell(arrived, told.observation(world.new_id("o"), m.code, fhir, "clinician", said))
    _claim(world, m, value, "clinician", said, arrived=arrived)


def sent_again(world: World, m: Measure) -> None:
    """Old, and sent again yesterday: as a new version, and as a copy under another id."""
    said, again = world.day(30, 300), world.before_end(1, 3)
    value, made = _heard(world, m, "clinician", said)
    world.tell(again, made, {**made, "id": world.new_id("o")})
    _claim(world, m, value, "clinician", said)


def imported(world: World, m: Measure) -> None:
    """Said years ago in another system, loaded last week."""
    value, fhir = m.pick(world)
    said, arrived = world.day(30, 300), world.before_end(4, 9)
    world.tell(arrived, told.observation(world.new_id("o"), m.code, fhir, "clinician", said))
    _claim(world, m, value, "clinician", said, arrived=arrived)


def in_error(world: World, m: Measure) -> None:
    said, gone = world.before_end(10, 14), world.before_end(1, 5)
    value, made = _heard(world, m, "clinician", said)
    world.tell(gone, {**made, "status": "entered-in-error"})
    _claim(world, m, value, "clinician", said, gone=gone)


def corrected(world: World, m: Measure) -> None:
    (first, fhir), (second, better) = m.two(world)
    said, again = world.before_end(10, 14), world.before_end(1, 5)
    made = told.observation(world.new_id("o"), m.code, fhir, "clinician", said)
    world.tell(said, made)
    right = told.observation(made["id"], m.code, better, "clinician", said, status="corrected")
    world.tell(again, right)
    _claim(world, m, first, "clinician", said, gone=again)
    _claim(world, m, second, "clinician", said, arrived=again)


def contradicted(world: World, m: Measure) -> None:
    """The patient and a clinician say different things in one week."""
    for who, (value, fhir) in zip(HANDS, m.two(world), strict=True):
        said = world.before_end(1, 6)
        world.tell(said, told.observation(world.new_id("o"), m.code, fhir, who, said))
        _claim(world, m, value, who, said)


def of_the_newborn(world: World, m: Measure) -> None:
    """Charted in the mother's record, about her child: by ``focus``, and by ``subject``."""
    said = world.before_end(1, 12)
    focus = [{"reference": "Patient/newborn"}]
    for more in ({"focus": focus}, {"subject": focus[0], "encounter": {"reference": VISIT}}):
        _, fhir = m.pick(world)
        made = told.observation(world.new_id("o"), m.code, fhir, "clinician", said, **more)
        world.tell_of_another(said, made)


def hidden(world: World, m: Measure) -> None:
    value, fhir = m.pick(world)
    said = world.before_end(1, 14)
    made = told.observation(world.new_id("o"), m.code, fhir, "clinician", said)
    world.tell(said, told.labelled(made))
    _claim(world, m, value, "clinician", said, hidden=True)


def contradicted_in_secret(world: World, m: Measure) -> None:
    """What some may see contradicts what everybody sees."""
    (first, fhir), (second, other) = m.two(world)
    said = world.before_end(1, 10)
    made = told.observation(world.new_id("o"), m.code, fhir, "clinician", said)
    secret = told.observation(world.new_id("o"), m.code, other, "patient", said)
    world.tell(said, made, told.labelled(secret))
    _claim(world, m, first, "clinician", said)
    _claim(world, m, second, "patient", said, hidden=True)


def copied_from_a_secret(world: World, m: Measure) -> None:
    """Everybody sees the copy, some see what it was copied from."""
    value, fhir = m.pick(world)
    said = world.before_end(1, 14)
    first = told.observation(world.new_id("o"), m.code, fhir, "clinician", said)
    of = {"derivedFrom": [{"reference": f"Observation/{first['id']}"}]}
    copy = told.observation(world.new_id("o"), m.code, fhir, "clinician", said, **of)
    world.tell(said, told.labelled(first), copy)
    _claim(world, m, value, "clinician", said, hidden=True)


def preliminary(world: World, m: Measure) -> None:
    said = world.before_end(1, 14)
    value, _ = _heard(world, m, "clinician", said, status="preliminary")
    _claim(world, m, value, "clinician", said, weak=True)


def nobody_named(world: World, m: Measure) -> None:
    said = world.before_end(1, 14)
    value, _ = _heard(world, m, "nobody", said)
    _claim(world, m, value, "nobody", said, weak=True)


def not_measured(world: World, m: Measure) -> None:
    """Cancelled, or without a value: the reason why there is none is no value."""
    said = world.before_end(1, 14)
    _heard(world, m, "clinician", said, status="cancelled")
    why = {"dataAbsentReason": {"text": "refused"}}
    world.tell(said, told.observation(world.new_id("o"), m.code, why, "clinician", said))


def said_to_be_unknown(world: World, m: Measure) -> None:
    """Somebody wrote down that they do not know."""
    said = world.before_end(1, 14)
    system = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
    unknown = {"valueCodeableConcept": told.concept(system, "asked-unknown")}
    world.tell(said, told.observation(world.new_id("o"), m.code, unknown, "clinician", said))


def turned_round(world: World, m: Measure) -> None:
    """With a modifier that nobody here knows: it may mean the opposite."""
    said = world.before_end(1, 14)
    modifier = [{"url": "https://sender.test/negated", "valueBoolean": True}]
    _heard(world, m, "clinician", said, modifierExtension=modifier)


def agreed(world: World, m: Measure) -> None:
    """Two hands say the same, of a number in two units."""
    value, fhir = m.pick(world)
    for who in HANDS:
        said = world.before_end(1, 9)
        world.tell(said, told.observation(world.new_id("o"), m.code, fhir, who, said))
        _claim(world, m, value, who, said)
        if m.name == "weight":
            grams = {**fhir["valueQuantity"], "unit": "g", "code": "g"}
            fhir = {"valueQuantity": {**grams, "value": grams["value"] * 1000}}


def moved_here(world: World, m: Measure) -> None:
    """Found under the patient's second number, and moved when the two were merged."""
    value, fhir = m.pick(world)
    said, merged = world.before_end(10, 14), world.before_end(1, 5)
    elsewhere = {"subject": {"reference": "Patient/second"}}
    made = told.observation(world.new_id("o"), m.code, fhir, "clinician", said)
    world.tell_of_another(said, {**made, **elsewhere})
    world.tell(merged, made)
    _claim(world, m, value, "clinician", said, arrived=merged)


def left_elsewhere(world: World, m: Measure) -> None:
    """Under another number that is only linked: a link is a claim, and is not followed."""
    _, fhir = m.pick(world)
    said = world.before_end(1, 12)
    elsewhere = {"subject": {"reference": "Patient/second"}}
    made = told.observation(world.new_id("o"), m.code, fhir, "clinician", said, **elsewhere)
    world.tell_of_another(said, made)


TURNS: tuple[tuple[int, Callable[[World, Measure], None]], ...] = (
    (4, silence), (10, fresh), (2, old), (4, renewed), (3, in_this_visit), (1, undated),
    (1, from_the_future), (2, sent_again), (1, imported), (2, in_error), (2, corrected),
    (2, contradicted), (3, of_the_newborn), (2, hidden), (2, contradicted_in_secret),
    (2, moved_here), (1, left_elsewhere), (1, copied_from_a_secret), (1, preliminary),
    (1, nobody_named), (2, agreed), (1, not_measured),
    (1, said_to_be_unknown), (1, turned_round),
)  # fmt: skip


def happen(world: World) -> None:
    """Let each measure take one turn."""
    weights, turns = zip(*TURNS, strict=True)
    for measure in MEASURES:
        (turn,) = world.rng.choices(turns, weights)
        world.stories.append(f"{measure.name}: {turn.__name__}")
        turn(world, measure)
