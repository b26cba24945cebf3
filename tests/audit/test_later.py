"""What commands do beside the server is told to audit: once, and with the change or not at all."""

from itertools import count
from typing import Any

import pytest

from server.app.witnessed import operator, witnessed
from server.auth.records import Session, User
from server.fhir.errors import StoreUnavailable
from server.interactions import audit_later
from server.store.port import CommitConflict, RecordWrite, Store, Write
from tests.audit.house import AuditedHouse, interaction


def names(event: dict[str, Any]) -> list[str]:
    return [
        what.get("reference") or what["identifier"]["value"]
        for what in (entity["what"] for entity in event.get("entity", []))
    ]


@pytest.fixture
def beside(house: AuditedHouse) -> Store:
    return witnessed(house.store, house.clock)


@pytest.mark.parametrize(
    ("write", "action", "about"),
    [
        (RecordWrite("user", "ada", b"{}", if_rev=0), "C", ["user/ada"]),
        (RecordWrite("client", "app", None), "D", ["client/app"]),
        (RecordWrite("token", "f" * 64, b"ops", if_rev=0), "C", ["token/ffffffffffff"]),
        (RecordWrite("feed-token", "e" * 64, None), "D", ["token/eeeeeeeeeeee"]),
        (RecordWrite("key", "signing", b"{}", if_rev=0), "C", ["key/signing"]),
        (
            RecordWrite("proxy", "RelatedPerson/r", b"{}", tag="Patient/p"),
            "C",
            ["RelatedPerson/r", "Patient/p"],
        ),
    ],
)
async def test_each_change_becomes_an_event(
    house: AuditedHouse, beside: Store, write: RecordWrite, action: str, about: list[str]
) -> None:
    await beside.commit([], records=[write])
    assert await house.events() == []
    assert await audit_later.tell(house.services) == 1
    assert await audit_later.tell(house.services) == 0
    (event,) = await house.events()
    assert (interaction(event), event["action"], names(event)) == ("110136", action, about)
    client, _server, user = event["agent"]
    assert client["who"]["identifier"]["value"] == "command line"
    assert user["who"]["identifier"]["value"] == operator()


async def test_a_change_of_what_was_there_is_an_update(house: AuditedHouse, beside: Store) -> None:
    await house.store.commit([], records=[RecordWrite(User.KIND, "ada", b"1")])
    await beside.commit([], records=[RecordWrite(User.KIND, "ada", b"2", if_rev=1)])
    await audit_later.tell(house.services)
    assert [event["action"] for event in await house.events()] == ["U"]


async def test_what_was_not_done_is_not_told(house: AuditedHouse, beside: Store) -> None:
    with pytest.raises(CommitConflict):
        await beside.commit([], records=[RecordWrite(User.KIND, "ada", b"1", if_rev=7)])
    assert await audit_later.tell(house.services) == 0


async def test_what_ends_with_a_user_is_not_told_apart(house: AuditedHouse, beside: Store) -> None:
    await beside.commit([], records=[RecordWrite(Session.KIND, "s", None)])
    assert await audit_later.tell(house.services) == 0


async def test_nothing_is_lost_when_the_store_fails(
    house: AuditedHouse, beside: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await beside.commit([], records=[RecordWrite(User.KIND, "ada", b"1", if_rev=0)])

    async def full(writes: list[Write], **_: Any) -> None:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as failing:
        failing.setattr(house.store, "commit", full)
        with pytest.raises(StoreUnavailable):
            await audit_later.tell(house.services)
    assert await audit_later.tell(house.services) == 1


async def test_more_than_one_page_is_told_in_order(house: AuditedHouse) -> None:
    beside = witnessed(house.store, count(house.clock()).__next__)
    for number in range(audit_later.MOST + 3):
        await beside.commit([], records=[RecordWrite(User.KIND, f"u{number:03}", b"1", if_rev=0)])
    assert await audit_later.tell(house.services) == audit_later.MOST + 3
    told = [names(event)[0] for event in await house.events()]
    assert told == [f"user/u{number:03}" for number in range(audit_later.MOST + 3)]
