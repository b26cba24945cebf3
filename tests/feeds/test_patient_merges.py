"""A40 and its like, from the message to the record: survivor, loser, late messages, circles."""

from typing import Any

import pytest

from mappings.feed import Feed
from mappings.maps import load_maps
from mappings.parse import parse
from mappings.plan import Plan
from server.feeds.apply import apply
from server.feeds.header import read_header
from server.feeds.inbox import Entry, Inbox
from server.feeds.making import Made, Maker, make
from server.feeds.refused import RefusedMessage
from server.interactions.services import Services

MAPS = load_maps()
FEED = MAPS.feed("adt")
VISIT = "PV1|1|I|||||||||||||||||{}|||||||||||||||||||||||||20260301"


class Sending:
    """One feed; each message is applied at once."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.inbox = Inbox(services.store, now=services.now, new_id=services.new_id)
        self.sent = 0

    async def __call__(
        self, event: str, *segments: str, maker: Maker = make, minute: str = ""
    ) -> Entry:
        self.sent += 1
        head = f"MSH|^~\\&|REG|H|T|M|202601020{self.sent:03}||ADT^{event}|{self.sent}|P|2.5"
        body = "\r".join(
            (head, f"EVN|{event}|2026010200{minute or f'{self.sent:02}'}", *segments)
        ).encode()
        plan = MAPS.plan(parse(body), FEED)
        assert plan.quarantine is None, plan.problem
        entry = (await self.inbox.receive(FEED, body, read_header(body))).entry
        return await apply(self.services, entry, plan, FEED, finish=lambda done: done, maker=maker)


@pytest.fixture
def send(services: Services) -> Sending:
    return Sending(services)


def pid(number: str, rest: str = "") -> str:
    return f"PID|1||{number}^^^H||Doe^Jane||1985|F{rest}"


async def merged(send: Sending) -> None:
    await send("A01", pid("1"), VISIT.format("V1"))
    await send("A01", pid("2"), VISIT.format("V2"))
    await send("A40", pid("1"), "MRG|2^^^H")


async def test_the_survivor_stays_and_the_loser_points_to_it(send: Sending, resources: Any) -> None:
    await merged(send)
    survivor, loser = await resources("Patient")
    assert "active" not in survivor
    assert survivor["link"] == [
        {"other": {"reference": f"Patient/{loser['id']}"}, "type": "replaces"}
    ]
    assert loser["active"] is False
    assert loser["link"] == [
        {"other": {"reference": f"Patient/{survivor['id']}"}, "type": "replaced-by"}
    ]


async def test_a_survivor_replaces_all_that_were_ever_merged_into_it(
    send: Sending, resources: Any
) -> None:
    await merged(send)
    await send("A28", pid("3"))
    await send("A28", pid("4"))
    await send("A40", pid("1"), "MRG|3^^^H")
    await send("A40", pid("4"), "MRG|1^^^H")
    first, second, third, last = await resources("Patient")
    assert [(one["type"], one["other"]["reference"]) for one in first["link"]] == [
        ("replaces", f"Patient/{second['id']}"),
        ("replaces", f"Patient/{third['id']}"),
        ("replaced-by", f"Patient/{last['id']}"),
    ]
    assert [one["other"]["reference"] for one in last["link"]] == [f"Patient/{first['id']}"]


async def test_a_number_that_is_said_twice_of_the_loser_stands_there_once(
    send: Sending, resources: Any
) -> None:
    await send("A28", "PID|1||1^^^H^MR||Doe^Jane||1985|F")
    await send("A28", "PID|1||2^^^H^MR||Doe^Jane||1985|F")
    await send("A34", "PID|1||1^^^H^MR||Doe^Jane||1985|F", "MRG|2^^^H^MR|||2^^^H")
    _, loser = await resources("Patient")
    assert [one["value"] for one in loser["identifier"]] == ["2"]


async def test_what_comes_late_for_the_loser_reaches_the_survivor(
    send: Sending, resources: Any
) -> None:
    await merged(send)
    await send("A08", pid("2", "|||||5550101"))
    survivor, loser = await resources("Patient")
    assert survivor["telecom"] == [{"system": "phone", "value": "5550101", "use": "home"}]
    assert "telecom" not in loser


async def test_the_same_merge_again_changes_nothing(send: Sending, resources: Any) -> None:
    await merged(send)
    before = await resources("Patient")
    done = await send("A40", pid("1"), "MRG|2^^^H")
    assert done.produced == ()
    assert await resources("Patient") == before


async def test_a_merge_of_unknown_numbers_makes_both(send: Sending, resources: Any) -> None:
    await send("A40", pid("1"), "MRG|2^^^H")
    assert [one.get("active") for one in await resources("Patient")] == [None, False]


async def test_numbers_that_are_one_record_already_have_nothing_to_merge(
    send: Sending, resources: Any
) -> None:
    await send("A01", "PID|1||1^^^H~2^^^H||Doe^Jane||1985|F", VISIT.format("V1"))
    await send("A40", pid("1"), "MRG|2^^^H")
    (only,) = await resources("Patient")
    assert "link" not in only
    assert "active" not in only


async def test_merges_one_after_the_other_lead_to_the_last_survivor(
    send: Sending, resources: Any
) -> None:
    for number in "123":
        await send("A28", pid(number))
    await send("A40", pid("2"), "MRG|1^^^H")
    await send("A40", pid("3"), "MRG|2^^^H")
    await send("A31", pid("1", "|||||5550101"))
    assert ["telecom" in one for one in await resources("Patient")] == [False, False, True]


async def test_a_merge_in_a_circle_is_refused(send: Sending) -> None:
    await merged(send)
    with pytest.raises(RefusedMessage) as refused:
        await send("A40", pid("2"), "MRG|1^^^H")
    assert refused.value.reason == "identity-conflict"
    assert "in a circle" in refused.value.problem


async def test_a_cancelled_discharge_opens_the_visit_again(send: Sending, resources: Any) -> None:
    await send("A01", pid("1"), VISIT.format("V1"))
    await send("A03", pid("1"), VISIT.format("V1") + "|20260305")
    (visit,) = await resources("Encounter")
    assert (visit["status"], visit["period"]["end"]) == ("finished", "2026-03-05")
    await send("A13", pid("1"), VISIT.format("V1"))
    (visit,) = await resources("Encounter")
    assert (visit["status"], visit["period"]) == ("in-progress", {"start": "2026-03-01"})


async def test_a_cancelled_admission_is_kept_as_cancelled(send: Sending, resources: Any) -> None:
    await send("A01", pid("1"), VISIT.format("V1"))
    await send("A11", pid("1"), VISIT.format("V1"))
    (visit,) = await resources("Encounter")
    assert visit["status"] == "cancelled"


async def test_changed_numbers_replace_the_old_ones(send: Sending, resources: Any) -> None:
    await send("A28", pid("1"))
    await send("A47", pid("9"), "MRG|1^^^H")
    (only,) = await resources("Patient")
    assert [one["value"] for one in only["identifier"]] == ["9"]


async def test_a_visit_that_moves_keeps_its_number_once(send: Sending, resources: Any) -> None:
    await send("A01", pid("1"), VISIT.format("V1"))
    await send("A28", pid("2"))
    await send("A45", pid("2"), "MRG|1^^^H||||V1", VISIT.format("V1"))
    (visit,) = await resources("Encounter")
    assert [one["value"] for one in visit["identifier"]] == ["V1"]


async def test_a_visit_moves_to_the_patient_it_belongs_to(send: Sending, resources: Any) -> None:
    await send("A01", pid("1"), VISIT.format("V1"))
    await send("A45", pid("2"), "MRG|1^^^H||||V1", VISIT.format("V1"))
    (visit,) = await resources("Encounter")
    owner = next(one for one in await resources("Patient") if one["identifier"][0]["value"] == "2")
    assert visit["subject"] == {"reference": f"Patient/{owner['id']}"}


async def test_two_patients_that_swap_their_beds_each_lie_in_the_other_s(
    send: Sending, resources: Any
) -> None:
    def visit(bed: str, before: str, number: str) -> str:
        return f"PV1|1|I|4E^1^{bed}|||4E^1^{before}" + "|" * 13 + f"{number}^^^H"

    await send("A01", pid("1"), visit("A", "", "V1"))
    await send("A01", "PID|1||2^^^H||Roe^Ann||1990|F", visit("B", "", "V2"))
    await send(
        "A17",
        pid("1"), visit("B", "A", "V1"),
        "PID|2||2^^^H||Roe^Ann||1990|F", visit("A", "B", "V2"),
    )  # fmt: skip
    beds = {f"Location/{one['id']}": one["name"] for one in await resources("Location")}
    active = [
        [beds[row["location"]["reference"]] for row in one["location"] if row["status"] == "active"]
        for one in await resources("Encounter")
    ]
    assert active == [["4E 1 B"], ["4E 1 A"]]


@pytest.mark.parametrize("minute", ["01", "59"], ids=["older", "newer"])
async def test_two_merges_at_once_that_share_no_number_make_no_circle(
    send: Sending, resources: Any, minute: str
) -> None:
    for number in "1234":
        await send("A28", pid(number))
    await send("A40", pid("1"), "MRG|2^^^H")
    await send("A40", pid("3"), "MRG|4^^^H")
    at_once: list[Entry] = []

    async def overtaken(services: Services, entry: Entry, plan: Plan, feed: Feed) -> Made:
        made = await make(services, entry, plan, feed)
        if not at_once:  # 1 goes into 3 while 3, which is all we know, goes into 1
            at_once.append(await send("A40", pid("4"), "MRG|1^^^H"))
        return made

    with pytest.raises(RefusedMessage, match="identity-conflict"):
        await send("A40", pid("2"), "MRG|3^^^H", maker=overtaken, minute=minute)
    assert [one.get("active") for one in await resources("Patient")] == [False, False, None, False]
