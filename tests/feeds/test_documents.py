"""Documents (MDM), from the message to the record: what a later one leaves of an earlier one."""

from typing import Any

import pytest

from mappings.maps import load_maps
from mappings.parse import parse
from server.feeds.apply import apply
from server.feeds.header import read_header
from server.feeds.inbox import Entry, Inbox
from server.interactions.services import Services

MAPS = load_maps()
FEED = MAPS.feed("notes")
PID = "PID|1||1^^^H||Doe^Jane||1985|F"


class Sending:
    """One feed; each message is applied at once."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.inbox = Inbox(services.store, now=services.now, new_id=services.new_id)
        self.sent = 0

    async def __call__(self, event: str, *segments: str) -> Entry:
        self.sent += 1
        head = f"MSH|^~\\&|DOC|H|T|M|202601020{self.sent:03}||MDM^{event}|{self.sent}|P|2.5"
        body = "\r".join((head, f"EVN|{event}|2026010200{self.sent:02}", PID, *segments)).encode()
        plan = MAPS.plan(parse(body), FEED)
        assert plan.quarantine is None, plan.problem
        entry = (await self.inbox.receive(FEED, body, read_header(body))).entry
        return await apply(self.services, entry, plan, FEED, finish=lambda done: done)


@pytest.fixture
def send(services: Services) -> Sending:
    return Sending(services)


def txa(number: str, parent: str = "", *, status: str = "DO") -> str:
    return f"TXA|1|DS|TX|||||||||{number}^H|{parent}||||{status}"


WORDS = "OBX|1|TX|18842-5^^LN||Went home well||||||F"
FILE = "OBX|1|ED|18842-5^^LN||^application^pdf^Base64^JVBERi0=||||||F"


@pytest.mark.parametrize("event", ["T03", "T04", "T11"])
async def test_a_notice_without_content_leaves_the_content_there(
    send: Sending, resources: Any, event: str
) -> None:
    await send("T02", txa("1"), FILE)
    await send(event, txa("1", status="AU"))
    (document,) = await resources("DocumentReference")
    assert document["docStatus"] == "final"
    assert [one["attachment"].get("data") for one in document["content"]] == ["JVBERi0="]


async def test_what_is_replaced_is_superseded(send: Sending, resources: Any) -> None:
    await send("T02", txa("1"), WORDS)
    await send("T10", txa("2", "1^H"), FILE)
    first, second = await resources("DocumentReference")
    assert (first["status"], second["status"]) == ("superseded", "current")
    assert [one["attachment"].get("data") for one in first["content"]] == ["V2VudCBob21lIHdlbGw="]


async def test_what_comes_after_its_replacement_is_superseded_all_the_same(
    send: Sending, resources: Any
) -> None:
    await send("T10", txa("2", "1^H"), FILE)
    send.sent = 0  # an older message
    await send("T02", txa("1"), WORDS)
    by_number = {
        one["masterIdentifier"]["value"]: one for one in await resources("DocumentReference")
    }
    assert by_number["1"]["status"] == "superseded"
    assert "data" in by_number["1"]["content"][0]["attachment"]


async def test_an_addendum_supersedes_nothing(send: Sending, resources: Any) -> None:
    await send("T02", txa("1"), WORDS)
    await send("T06", txa("2", "1^H"), FILE)
    assert [one["status"] for one in await resources("DocumentReference")] == ["current", "current"]


async def test_who_wrote_it_and_answers_for_it_is_one_author(send: Sending, resources: Any) -> None:
    await send("T02", "TXA|1|DS|TX||7^Who^Ann||||7^Who^Ann|||1^H||||||DO", WORDS)
    (document,) = await resources("DocumentReference")
    assert [one["display"] for one in document["author"]] == ["Ann Who"]
