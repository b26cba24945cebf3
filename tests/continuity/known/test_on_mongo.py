"""The same answers over a record in MongoDB."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from server.access.context import AccessContext
from tests import mongod
from tests.continuity.known.house import SEES_ALL, SEES_NORMAL, Record
from tests.continuity.known.record import LOINC, QUESTIONNAIRE, RECORD, item, observation, quantity
from tests.continuity.known.test_visibility import HIDEABLE, hidden, local


@pytest.fixture
async def mongo(tmp_path: Path) -> AsyncIterator[Record]:
    made = Record("memory", tmp_path)
    clock = made.clock
    made.store = mongod.new_store(clock)  # type: ignore[arg-type] # it tells the time alike
    made.services = type(made.services)(made.store, made.services.base_url, clock,
                                        lambda: "new", b"k" * 32)  # fmt: skip
    yield made
    await made.store.close()
    mongod.clean_up(made.store)


SECRETS = [one for one in HIDEABLE if one.startswith(("Provenance", "Observation", "Questionn"))]


@pytest.mark.parametrize("access", [SEES_ALL, SEES_NORMAL], ids=["all", "normal"])
async def test_thirty_items_are_answered_alike(
    mongo: Record, tmp_path: Path, access: AccessContext
) -> None:
    memory = Record("memory", tmp_path)
    told = [hidden(one) if local(one) in SECRETS[::2] else one for one in RECORD]
    await mongo.put(QUESTIONNAIRE, *told)
    await memory.put(QUESTIONNAIRE, *told)
    found = await mongo.ask(QUESTIONNAIRE, access)
    assert found == await memory.ask(QUESTIONNAIRE, access)
    assert sum(one.state != "ask" for one in found) > 10
    await memory.store.close()


async def test_of_a_long_series_the_latest_is_shown(mongo: Record) -> None:
    def weight(id_: str, said: str, number: int) -> dict[str, Any]:
        return observation(id_, "29463-7", said, valueQuantity=quantity(number, "kg"))

    await mongo.put(next(one for one in RECORD if local(one) == "Patient/p"))
    await mongo.put(weight("now", "2025-12-30", 72))
    await mongo.put(*(weight(f"o{n}", f"20{10 + n % 9}", 60) for n in range(320)))
    asked = {**QUESTIONNAIRE, "item": [item("x", "quantity", (LOINC, "29463-7"))]}
    assert (await mongo.table(asked))["x"] == ("confirm", "limit", "72 kg")
