"""Tokens are taken back.  RFC 7009."""

import pytest

from tests.auth.oauth.house import SECRET, House


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
async def test_revoking_a_token_ends_its_family_at_once(any_house: House, which: str) -> None:
    house = any_house
    tokens = await house.tokens()
    assert await house.opens(tokens["access_token"])  # it is in the cache now

    answer = await house.post("revoke", {"token": tokens[which], "client_id": "app"})

    assert answer.status_code == 200
    assert not await house.opens(tokens["access_token"])
    assert (await house.refresh(tokens["refresh_token"])).status_code == 400
    assert [one.interaction for one in house.ear.heard] == ["grant", "token", "revoke", "token"]
    assert house.ear.heard[2].patients == ("Patient/a",)
    assert house.ear.heard[2].access.principal == "user/anna"


async def test_another_grant_of_the_same_user_and_app_goes_on(house: House) -> None:
    one, other = await house.tokens(), await house.tokens()
    await house.post("revoke", {"token": one["access_token"], "client_id": "app"})
    assert await house.opens(other["access_token"])


@pytest.mark.parametrize("token", ["never-given-to-anybody", ""])
async def test_revoking_what_is_not_there_is_no_error(house: House, token: str) -> None:
    answer = await house.post("revoke", {"token": token or None, "client_id": "app"})
    assert answer.status_code == (200 if token else 400)


async def test_a_token_of_another_client_is_not_revoked(house: House) -> None:
    tokens = await house.tokens()
    for form in (
        {"token": tokens["access_token"], "client_id": "other"},
        {"token": tokens["access_token"], "client_id": "nobody"},
        {"token": tokens["access_token"]},
    ):
        await house.post("revoke", form)  # type: ignore[arg-type]
    await house.post("revoke", {"token": tokens["access_token"]}, auth=("basic", SECRET))
    assert await house.opens(tokens["access_token"])


async def test_a_confidential_client_must_prove_itself_to_revoke(house: House) -> None:
    answer = await house.post("revoke", {"token": "x", "client_id": "basic"})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_the_server_itself_can_end_a_grant_at_once(house: House) -> None:
    tokens = await house.tokens()
    assert await house.opens(tokens["access_token"])
    (grant,) = await house.store.find_records("grant")

    assert await house.server.ledger.end(grant.key)
    assert not await house.server.ledger.end(grant.key)
    assert not await house.opens(tokens["access_token"])


async def test_what_another_process_ends_works_for_two_seconds_at_most(house: House) -> None:
    tokens = await house.tokens()
    assert await house.opens(tokens["access_token"])
    (grant,) = await house.store.find_records("grant")
    await house.store.take_record("grant", grant.key)

    house.clock.at += 1_999_999
    assert await house.opens(tokens["access_token"])
    house.clock.at += 1
    assert not await house.opens(tokens["access_token"])
