"""The token endpoint: refresh tokens.  SMART app-launch.html#refresh-access-token."""

import anyio
import pytest

from server.auth.records import Client, Session, key_of
from server.store.port import RecordWrite
from tests.auth.oauth.house import CALLBACK, SCOPE, SESSION, House

ONLINE = "launch/patient online_access patient/*.rs"
DAY = 86_400_000_000


@pytest.mark.smart(101, 109, 110, 111, 112, 113, 114, 116, 118, 365)
async def test_a_refresh_brings_the_same_scope_and_context(house: House) -> None:
    first = await house.tokens()
    answer = await house.refresh(first["refresh_token"])
    body = answer.json()

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert body.pop("access_token") != first["access_token"]
    assert body.pop("refresh_token") != first["refresh_token"]
    assert body == {
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": SCOPE,
        "patient": "a",
        "need_patient_banner": True,
    }


@pytest.mark.smart(81, 89)
async def test_who_asked_for_no_refresh_gets_none(house: House) -> None:
    assert "refresh_token" not in await house.tokens(scope="patient/Patient.r openid")


@pytest.mark.smart(104, 115)
@pytest.mark.parametrize(
    ("wanted", "granted"),
    [
        ("patient/Observation.r", "patient/Observation.r"),
        ("patient/Observation.read", "patient/Observation.read"),
        (
            "patient/Observation.rs?category=laboratory",
            "patient/Observation.rs?category=laboratory",
        ),
        ("patient/Observation.cruds", None),
        ("patient/*.rs", None),
        ("user/Observation.rs", None),
        (f"{SCOPE} patient/Condition.r", None),
        ("patient/Nothing.r", None),
    ],
)
async def test_a_refresh_asks_for_the_same_or_less(
    house: House, wanted: str, granted: str | None
) -> None:
    token = (await house.tokens())["refresh_token"]
    answer = await house.refresh(token, scope=wanted)
    if granted is None:
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
        assert (await house.refresh(token)).status_code == 200  # it was not spent by that
    else:
        assert answer.json()["scope"] == granted
        more = await house.refresh(answer.json()["refresh_token"])
        assert more.json()["scope"] == SCOPE


@pytest.mark.smart(103)
async def test_a_refresh_token_is_its_clients_only(house: House) -> None:
    token = (await house.tokens())["refresh_token"]
    answer = await house.refresh(token, client_id="other")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_a_refresh_token_that_is_used_again_ends_its_family(any_house: House) -> None:
    house = any_house
    first = await house.tokens()
    second = (await house.refresh(first["refresh_token"])).json()
    assert await house.opens(second["access_token"])

    again = await house.refresh(first["refresh_token"])

    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert not await house.opens(first["access_token"])
    assert not await house.opens(second["access_token"])
    assert (await house.refresh(second["refresh_token"])).status_code == 400


async def test_of_32_racing_refreshes_at_most_one_brings_a_pair(any_house: House) -> None:
    house, answers = any_house, []
    token = (await house.tokens())["refresh_token"]

    async def use() -> None:
        answers.append(await house.refresh(token))

    async with anyio.create_task_group() as group:
        for _ in range(32):
            group.start_soon(use)

    good = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(good) <= 1
    assert {a.json()["error"] for a in answers if a.status_code != 200} == {"invalid_grant"}
    for one in good:
        assert not await house.opens(one["access_token"])
        assert (await house.refresh(one["refresh_token"])).status_code == 400


async def test_noting_the_last_use_is_not_mistaken_for_a_second_use(any_house: House) -> None:
    house = any_house
    tokens = await house.tokens()
    house.clock.at += 61_000_000
    assert await house.opens(tokens["access_token"])  # notes the use beside the request
    assert (await house.refresh(tokens["refresh_token"])).status_code == 200


@pytest.mark.smart(100, 366)
async def test_online_access_ends_with_the_session(house: House) -> None:
    tokens = await house.tokens(scope=ONLINE)
    tokens = (await house.refresh(tokens["refresh_token"])).json()
    assert await house.opens(tokens["access_token"])

    await house.store.commit([], records=[RecordWrite(Session.KIND, key_of(SESSION), None)])
    house.clock.at += 2_000_000

    assert not await house.opens(tokens["access_token"])
    answer = await house.refresh(tokens["refresh_token"])
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


@pytest.mark.smart(101)
async def test_offline_access_outlives_the_session(house: House) -> None:
    tokens = await house.tokens()
    await house.store.commit([], records=[RecordWrite(Session.KIND, key_of(SESSION), None)])
    house.clock.at += 30 * DAY
    assert (await house.refresh(tokens["refresh_token"])).status_code == 200


async def test_a_refresh_token_that_waits_for_too_long_ends(house: House) -> None:
    tokens = await house.tokens()
    house.clock.at += 90 * DAY
    assert (await house.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_a_client_that_was_removed_refreshes_no_more(house: House) -> None:
    tokens = await house.tokens()
    gone = Client("app", "Growth chart", redirect_uris=(CALLBACK,), active=False)
    await house.keep(gone, "app", "client")
    assert (await house.refresh(tokens["refresh_token"])).json()["error"] == "invalid_client"
    house.clock.at += 2_000_000
    assert not await house.opens(tokens["access_token"])


@pytest.mark.parametrize("sent", [None, "", "never-given-to-anybody"])
async def test_a_refresh_token_must_be_one(house: House, sent: str | None) -> None:
    answer = (
        await house.refresh(sent or "", refresh_token=sent)
        if sent
        else await house.post("token", {"grant_type": "refresh_token", "client_id": "app"})
    )
    assert answer.status_code == 400
    assert answer.json()["error"] == ("invalid_grant" if sent else "invalid_request")


async def test_an_access_token_does_not_refresh(house: House) -> None:
    tokens = await house.tokens()
    assert (await house.refresh(tokens["access_token"])).json()["error"] == "invalid_grant"
    assert not await house.opens(tokens["refresh_token"])
