"""``tellonce outbound``: what an interface analyst sees and says."""

from dataclasses import replace
from pathlib import Path

import anyio
import orjson
import pytest
from typer.testing import CliRunner

from server import app
from server.commands.line import cli
from server.feeds.outbound.queue import Queue
from server.interactions import audit_later
from server.settings import Settings
from tests.feeds.outbound import Routed, patient, put, visit, ward


class Commands:
    """A record with a patient and a visit, whose messages wait, and the first is parked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ids: list[str] = []
        anyio.run(self._made)

    async def _made(self) -> None:
        settings = Settings(data=self.folder / "data")
        store = app.open_store(settings, "http://fhir.test")
        services = await app.services_of(settings, store, "http://fhir.test")
        await put(services, patient())
        await put(services, visit())
        to = Routed(services, self.folder, ward())
        messages = await to.new()
        self.ids = [message.id for message in messages]
        problem = "the receiver answered AR: unknown ward"
        parked = replace(messages[0], state="parked", reason="AR", problem=problem, answer="AR")
        await to.queue.put(parked)
        await store.close()

    def say(self, *words: str) -> str:
        """What a command answers."""
        more = [] if words[0] == "check" else ["--data", str(self.folder / "data")]
        if words[0] in ("list", "try", "check"):
            more += ["--maps", str(self.folder / "site")]
        done = CliRunner().invoke(cli, ["outbound", *words, *more])
        return done.output

    def states(self) -> list[str]:
        """The states of the messages, in order."""

        async def read() -> list[str]:
            settings = Settings(data=self.folder / "data")
            async with app.store_beside(settings) as store:
                found = [await Queue(store, "ward").get(id_) for id_ in self.ids]
                return [message.state for message in found if message is not None]

        return anyio.run(read)


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path)


def test_check_lists_destinations_and_their_maps(commands: Commands) -> None:
    said = commands.say("check")
    assert "ward: 127.0.0.1:2575, HL7 2.5.1: ADT, ADT-person, ADT-merge" in said
    assert "no faults" in said


def test_check_tells_every_fault_with_its_line(commands: Commands) -> None:
    site = commands.folder / "site"
    (site / "ward.yaml").write_text(ward(messages="[ADTT]", more="versoin: 2.5"))
    said = commands.say("check")
    assert "site/ward.yaml:7: a destination has no key 'versoin'; did you mean 'version'?" in said
    assert "site/ward.yaml:6: there is no emit map 'ADTT'; did you mean 'ADT'?" in said


def test_list_tells_how_much_waits(commands: Commands) -> None:
    (row,) = [line for line in commands.say("list").splitlines() if line.startswith("ward")]
    assert row.split()[1:5] == ["1", "0", "1", "0"]


def test_show_tells_why_a_message_is_parked_and_its_bytes(commands: Commands) -> None:
    assert "the receiver answered AR: unknown ward" in commands.say("show", "ward")
    assert "ADT^A28, MSH-10" in commands.say("show", "ward", commands.ids[0])
    assert "PID|1||77^^^&1.2.3&ISO" in commands.say("show", "ward", commands.ids[0], "--raw")
    assert "ADT^A01" in commands.say("show", "ward", "--state", "all")
    assert "--state is one of" in commands.say("show", "ward", "--state", "lost")
    assert "ward has no message 1" in commands.say("show", "ward", "1")


def test_retry_lets_it_wait_again(commands: Commands) -> None:
    assert "1 messages will be sent again" in commands.say("retry", "ward", commands.ids[0])
    assert commands.states() == ["waiting", "waiting"]
    assert "only parked ones are retried" in commands.say("retry", "ward", commands.ids[0])
    assert "say --all" in commands.say("retry", "ward")


def test_retry_all_takes_every_parked_one(commands: Commands) -> None:
    assert "1 messages will be sent again" in commands.say("retry", "ward", "--all")
    assert commands.states() == ["waiting", "waiting"]


def test_skip_wants_a_reason_and_keeps_it(commands: Commands) -> None:
    assert "is skipped" in commands.say("skip", "ward", commands.ids[0], "--reason", "their test")
    assert commands.states() == ["skipped", "waiting"]
    assert "skipped: their test" in commands.say("show", "ward", commands.ids[0])


def test_pause_and_resume_are_seen_in_the_list(commands: Commands) -> None:
    assert "ward is paused" in commands.say("pause", "ward")
    assert "paused" in commands.say("list")
    assert "ward goes on" in commands.say("resume", "ward")
    assert "paused" not in commands.say("list")


def test_try_shows_the_message_and_what_it_cannot_say(commands: Commands) -> None:
    said = commands.say("try", "ward", "Encounter/v1")
    assert "EVN|A01|" in said
    assert "PV1|1|I|^^^^^^^^Ward 1" in said
    assert "there is no Encounter/x" in commands.say("try", "ward", "Encounter/x")
    assert "there is no destination lab" in commands.say("try", "lab", "Encounter/v1")


def test_what_is_shown_of_a_message_is_left_for_audit(commands: Commands) -> None:
    async def left() -> list[tuple[str, str | None, list[str], str | None]]:
        async with app.store_beside(Settings(data=commands.folder / "data")) as store:
            said = [orjson.loads(one.value) for one in await store.find_records(audit_later.KIND)]
        return [(s["principal"], s["patient"], s["entities"], s["query"]) for s in said]

    commands.say("show", "ward", "--state", "all")
    commands.say("show", "ward", commands.ids[1])
    assert anyio.run(left) == []  # states and references only
    commands.say("show", "ward", commands.ids[1], "--raw")
    commands.say("try", "ward", "Patient/ada")

    who, ada = app.operator(), "Patient/ada"
    asked = f"tellonce outbound show ward {commands.ids[1]} --raw"
    assert anyio.run(left) == [
        (who, ada, ["Encounter/v1/_history/1"], asked),
        (who, ada, ["Patient/ada/_history/1"], "tellonce outbound try ward"),
    ]
