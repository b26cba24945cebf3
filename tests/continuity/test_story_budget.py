"""A long record costs no more than a short one, as far as that can be had."""

import random
from collections.abc import Iterator
from pathlib import Path
from time import process_time

import pytest

from server.continuity.story.tell import Asked, story
from server.interactions.services import Services
from server.store.port import Store
from tests.continuity.story_house import SYSTEM, sentences
from tests.continuity.story_record import (
    ADA,
    HOME,
    LOINC,
    RECORD,
    ROE,
    SNOMED,
    Resource,
    concept,
    of,
    status,
)
from tests.contract.made import put
from tests.pace import Cost
from tests.rest.house import BASE, START, STORES, Clock

BUDGET_S = 0.150


def long_record(size: int) -> Iterator[Resource]:
    """Yield a record of about so many resources of eight types, their dates spread over years."""
    rng = random.Random(size)
    yield from (*RECORD, *HOME)
    for at in range(size):
        on = f"20{rng.randint(10, 25):02d}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
        yield _one(at, on, rng)


def _one(at: int, on: str, rng: random.Random) -> Resource:
    kind = rng.choices(range(6), (60, 15, 6, 7, 7, 5))[0]
    if kind == 0:
        return of("Observation", f"o{at}", status="final", subject=ADA, performer=[ROE],
                  code=concept(f"Test {at % 50}", LOINC, f"{at % 50}-1"), effectiveDateTime=on,
                  valueQuantity={"value": at % 100, "unit": "mg", "code": "mg"})  # fmt: skip
    if kind == 1:
        return of("Encounter", f"e{at}", status="finished", subject=ADA, period={"start": on},
                  **{"class": {"code": "AMB", "display": "ambulatory"}})  # fmt: skip
    if kind == 2:
        return of(
            "Condition",
            f"c{at}",
            subject=ADA,
            code=concept(f"C {at}", SNOMED, f"{at}"),
            clinicalStatus=status("active" if at % 5 == 0 else "resolved"),
            recordedDate=on,
        )
    if kind == 3:
        return of("MedicationRequest", f"m{at}", status="active" if at % 7 == 0 else "completed",
                  intent="order", subject=ADA, requester=ROE, authoredOn=on,
                  medicationCodeableConcept=concept(f"M {at}"))  # fmt: skip
    if kind == 4:
        return of("ServiceRequest", f"s{at}", status="active", intent="order", subject=ADA,
                  requester=ROE, code=concept(f"S {at}"), authoredOn=on)  # fmt: skip
    order = {"reference": f"ServiceRequest/s{at - 1}"}
    return of("DiagnosticReport", f"d{at}", status="final", subject=ADA, code=concept(f"S {at}"),
              effectiveDateTime=on, basedOn=[order])  # fmt: skip


async def filled(store: Store, size: int) -> Services:
    writes = [put(one) for one in long_record(size)]
    for at in range(0, len(writes), 1000):
        await store.commit(writes[at : at + 1000])
    return Services(store, BASE, lambda: START, lambda: "new", b"k" * 32)


async def test_what_is_read_does_not_grow_with_the_record(tmp_path: Path) -> None:
    read, counted = [], []
    for size in (600, 1500):
        (folder := tmp_path / str(size)).mkdir()
        store = STORES["sqlite"](folder, Clock())
        made = await story(await filled(store, size), SYSTEM, Asked("ada"))
        read.append(len(made.versions))
        counted.append([one.text for one in sentences(made) if one.kind == "counted"])
        await store.close()
    assert read[1] < 400
    assert read[1] < read[0] * 1.6
    assert counted[0] != counted[1]


@pytest.mark.soak
@pytest.mark.parametrize("since", [None, 1])
async def test_the_story_of_ten_thousand_resources_is_told_in_150_ms(
    tmp_path: Path, since: int | None
) -> None:
    store = STORES["sqlite"](tmp_path, Clock())
    services = await filled(store, 10_000)
    cost = Cost(BUDGET_S, process_time)
    for once in cost:
        with once:
            await story(services, SYSTEM, Asked("ada", since=since))
    await store.close()
    assert cost.least_s < BUDGET_S
