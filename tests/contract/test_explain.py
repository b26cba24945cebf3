"""``explain``: how a page was found, and what a search that took too long is told."""

from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest

from server.access.context import SYSTEM
from server.fhir.errors import DeadlineExceeded
from server.search.parse import parse_search
from server.search.query import AllOf, HasKey, Not, Query, TextIs
from server.store.port import Explanation, Store
from server.store.sqlite import SqliteStore
from server.store.sqlite import search as search_module
from tests.contract.made import Clock, index, observation, patient

PATIENTS = 8
EACH = 30


@pytest.fixture
async def clinic(store: Store) -> Store:
    family = ["Abel", "Babel"]
    await store.commit(
        [patient(f"p{n}", name=[{"family": family[n % 2]}]) for n in range(PATIENTS)]
    )
    for n in range(PATIENTS):
        await store.commit(
            [
                observation(
                    f"o{n}-{at}",
                    f"Patient/p{n}",
                    code=["8867-4", "8310-5", "718-7"][at % 3],
                    effectiveDateTime=f"2024-01-{1 + at:02}",
                    valueQuantity={"value": at * 10},
                    category=[{"coding": [{"code": "vital-signs"}]}],
                )
                for at in range(EACH)
            ]
        )
    return store


async def explained(store: Store, asked: str) -> Explanation:
    type_, _, query = asked.partition("?")
    pairs = [(name, value) for name, _, value in (part.partition("=") for part in query.split("&"))]
    search = parse_search(type_, pairs, default_count=20, max_count=100)
    return await store.explain(SYSTEM, search.query, sort=search.sort, limit=search.count)


async def test_every_store_tells_how_many_rows_it_fetched(clinic: Store) -> None:
    told = await explained(clinic, "Observation?patient=Patient/p1&_count=20")

    assert told.steps[0].does == "drive"
    assert told.steps[-1].does == "fetch"
    assert told.steps[-1].rows == 20
    assert told.milliseconds > 0


async def test_a_search_for_nothing_is_explained_too(clinic: Store) -> None:
    told = await explained(clinic, "Observation?patient=Patient/none")

    assert [step.rows for step in told.steps if step.does == "fetch"] == [0]


@dataclass(frozen=True)
class Expected:
    asked: str
    drives: str
    walked: int
    probes: tuple[tuple[str, int], ...]
    fetched: int


# The five commonest clinical searches: what drives, and the rows that each step lets through.
COMMON = {
    "newest 20 of a patient": Expected(
        "Observation?patient=Patient/p1&_sort=-date&_count=20",
        "Observation|patient|r|Patient/p1",
        21,
        (),
        20,
    ),
    "one code of a patient": Expected(
        "Observation?patient=Patient/p1&code=8867-4&_sort=-date",
        "Observation|patient|r|Patient/p1",
        30,
        (("Observation|code|c|8867-4", 10),),
        10,
    ),
    "a category of a patient since": Expected(
        "Observation?patient=Patient/p1&category=vital-signs&date=ge2024-01-21",
        "Observation|patient|r|Patient/p1",
        11,  # those of an earlier day than the one before are not looked at
        (
            ("Observation|category|c|vital-signs", 11),
            (
                "Observation|date ge 2024-01-21T00:00:00.000Z to 2024-01-22T00:00:00.000Z",
                10,
            ),
        ),
        10,
    ),
    "a code above a value": Expected(
        "Observation?code=8867-4&value-quantity=gt265",
        "Observation|value-quantity gt 265..265",
        24,
        (("Observation|code|c|8867-4", 8),),
        8,
    ),
    "by the name of the patient": Expected(
        "Observation?patient.family=abel&code=8867-4&_count=5",
        "Observation|code|c|8867-4",
        12,
        (("Observation|patient -> Patient Patient|family starts abel", 6),),
        5,
    ),
}


@pytest.mark.parametrize("name", COMMON)
async def test_the_plan_of_a_common_search_shows_real_rows(clinic: Store, name: str) -> None:
    if not isinstance(clinic, SqliteStore):
        pytest.skip("there is one plan in memory: to look at all")
    expected = COMMON[name]

    told = await explained(clinic, expected.asked)

    steps = [(s.does, s.what.partition(", as ")[0], s.rows) for s in told.steps]
    assert steps[0] == ("drive", expected.drives, expected.walked)
    assert steps[1:-2] == [("probe", *probe) for probe in expected.probes]
    assert steps[-1] == ("fetch", "bodies of the page", expected.fetched)


async def test_a_search_that_takes_too_long_is_told_its_plan_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted as soon as it was planned; the text of a display is not what was asked."""
    store = SqliteStore(tmp_path / "record.db", now=Clock(), index=index, fingerprint="1")
    display = {"code": "29463-7", "display": "Body weight of a secret person"}
    await store.commit([observation("o", category=[{"coding": [display]}])])
    asked = TextIs("Observation", "category:text", "contains", ("secret",))
    query = Query(("Observation",), AllOf((Not(asked), HasKey(("Observation|code|c|8867-4",)))))
    monkeypatch.setattr(search_module, "_found", interrupted)

    with pytest.raises(DeadlineExceeded) as told:
        await store.search(SYSTEM, query, limit=5)

    await store.close()
    assert str(told.value).endswith(
        "; driven by Observation|code|c|8867-4;"
        " probed: not (Observation|category:text contains secret)"
    )


def interrupted(*_: object) -> None:
    raise apsw.InterruptError("the deadline")
