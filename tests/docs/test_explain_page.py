"""The plans on docs/search.md are those of the embedded store, for the record described there."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.rest.house import STORES, Clock, House, Limits, Policy, bundle, entry

PAGE = (Path(__file__).parents[2] / "docs" / "search.md").read_text("utf-8")
PLANS = re.findall(r"```plan\nGET /fhir(\S+)\n(.*?)```", PAGE, re.DOTALL)
VITAL = {"system": "http://terminology.hl7.org/CodeSystem/observation-category"}
FAMILIES = ("Gray", "Stone", "Field", "Brook", "Hill")


def person(n: int) -> list[dict[str, Any]]:
    """One of 40 people, with 25 results of five kinds and ten stays, one of them going on."""
    subject = {"reference": f"Patient/p{n}"}
    found: list[dict[str, Any]] = [
        {
            "resourceType": "Patient",
            "id": f"p{n}",
            "identifier": [{"system": "http://h.test/mrn", "value": str(n)}],
            "name": [{"family": FAMILIES[n % 5], "given": [f"Ada{n}"]}],
            "birthDate": f"{1940 + n}-03-01",
        }
    ]
    found += [
        {
            "resourceType": "Observation",
            "id": f"o{n}-{at}",
            "status": "final",
            "category": [{"coding": [{**VITAL, "code": "vital-signs"}]}],
            "code": {"coding": [{"system": "http://loinc.org", "code": f"88{at % 5}-4"}]},
            "subject": subject,
            "effectiveDateTime": f"2026-01-{1 + at:02}T08:00:00Z",
        }
        for at in range(25)
    ]
    found += [
        {
            "resourceType": "Encounter",
            "id": f"e{n}-{at}",
            "status": "in-progress" if at == 9 else "finished",
            "class": {"code": "IMP"},
            "subject": subject,
            "location": [{"location": {"reference": f"Location/w{n % 4}"}}],
            "period": {"start": f"20{10 + at}-05-01"},
        }
        for at in range(10)
    ]
    return found


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def record(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    clock = Clock()
    store = STORES["sqlite"](tmp_path_factory.mktemp("record"), clock)
    house = House(store, clock, Policy(), Limits())
    async with house.client() as client:
        sent = [entry("PUT", f"{r['resourceType']}/{r['id']}", r) for n in range(40)
                for r in person(n)]  # fmt: skip
        assert (await client.post("", json=bundle("transaction", *sent))).status_code == 200
        yield client
    await house.app.stop(grace_s=5)
    await store.close()


def test_there_are_five_questions() -> None:
    assert len(PLANS) == 5


@pytest.mark.parametrize(("question", "plan"), PLANS, ids=[question for question, _ in PLANS])
async def test_the_plan_is_that_on_the_page(
    record: httpx.AsyncClient, question: str, plan: str
) -> None:
    answer = await record.get(question)
    assert answer.status_code == 200, answer.text
    issues = answer.json()["entry"][0]["resource"]["issue"]
    told = [issue["diagnostics"] for issue in issues[:-1]]
    assert "\n".join(told) + "\n" == plan
