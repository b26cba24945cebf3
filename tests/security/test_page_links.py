"""A page link is its caller's, and its question's: in other hands, or changed, it is refused."""

from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from tests.rest.house import House, link, observation, patient, told

PAGED = [
    "/Observation?_count=1",
    "/Observation?_count=1&_sort=patient.name&_total=accurate",
    "/Patient/a/Observation?_count=1",
    "/?_type=Observation&_count=1",
    "/_history?_count=1",
    "/Observation/_history?_count=1",
    "/Patient/a/$everything?_count=1",
]


@pytest.fixture
async def two(house: House) -> House:
    async with house.client() as admin:
        for who in ("a", "b"):
            await admin.put(f"/Patient/{who}", json=patient(who))
            for n in range(3):
                await admin.put(
                    f"/Observation/{who}{n}", json=observation(f"Patient/{who}", f"{who}{n}")
                )
    return house


async def following(client: httpx.AsyncClient, address: str) -> str:
    found = link((await client.get(address)).json())
    assert found is not None
    return found


@pytest.mark.parametrize("address", PAGED)
@pytest.mark.parametrize("other", ["patient-a", "patient-b", "other"])
async def test_a_link_of_one_caller_is_nothing_in_another_s_hands(
    two: House, address: str, other: str
) -> None:
    async with two.client("admin") as admin, two.client(other) as thief:
        stolen = await following(admin, address)
        assert (await admin.get(stolen)).status_code == 200
        answer = await thief.get(stolen)
    if other == "patient-b" and "$everything" in address:
        assert told(answer)[0] == 404  # the patient is not there, and that is told first
    else:
        assert told(answer) == (400, "invalid", ["_cursor"])


@pytest.mark.parametrize("address", PAGED)
async def test_a_link_that_was_changed_is_refused(two: House, address: str) -> None:
    async with two.client("patient-a") as ann:
        mine = await following(ann, address)
        base, _, query = mine.partition("?")
        pairs = dict(parse_qsl(query))
        cursor = pairs["_cursor"]
        middle = len(cursor) // 2
        flipped = "A" if cursor[middle] != "A" else "B"
        for changed in (
            cursor[:middle] + flipped + cursor[middle + 1 :],
            cursor[:-4],
            cursor * 2,
            "e30",
            "é",
        ):
            answer = await ann.get(f"{base}?{urlencode({**pairs, '_cursor': changed})}")
            assert told(answer) == (400, "invalid", ["_cursor"]), changed


@pytest.mark.parametrize(
    ("address", "added"),
    [
        ("/Observation?_count=1", "code=8867-4"),
        ("/Observation?_count=1", "patient=b"),
        ("/Observation?_count=1", "_include=*"),
        ("/_history?_count=1", "_since=2000-01-01"),
        ("/Patient/a/$everything?_count=1", "_since=2000-01-01T00:00:00Z"),
    ],
)
async def test_a_link_goes_on_with_its_own_question_only(
    two: House, address: str, added: str
) -> None:
    async with two.client("patient-a") as ann:
        mine = await following(ann, address)
        assert told(await ann.get(f"{mine}&{added}")) == (400, "invalid", ["_cursor"])


async def test_a_link_does_not_lead_into_another_record(two: House) -> None:
    async with two.client("patient-a") as ann:
        mine = urlsplit(await following(ann, "/Patient/a/Observation?_count=1"))
        moved = f"/Patient/b/Observation?{mine.query}"
        assert told(await ann.get(moved)) == (400, "invalid", ["_cursor"])
