"""``tellonce inbox`` beside a server's folder."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mappings.maps import load_maps
from server.commands.inbox import beside, short_lines
from server.commands.inbox_replay import inbox_app
from server.feeds.header import read_header
from server.feeds.quarantine import Filter, select
from server.feeds.service import FeedService
from server.interactions.services import Services
from server.settings import Settings
from server.store.sqlite import SqliteStore
from server.uuid7 import new_id
from tests.feeds.conftest import NOW, index

GOOD = (
    b"MSH|^~\\&|REG|HOSP|TELL|MAIN|20260102||ADT^A04^ADT_A01|1|P|2.5\rPID|1||7^^^H^MR||Doe^Jane\r"
)
NO_ID = GOOD.replace(b"7^^^H^MR", b"").replace(b"|1|P|", b"|2|P|")
UNKNOWN = GOOD.replace(b"ADT^A04^ADT_A01", b"ZZZ^Z99").replace(b"|1|P|", b"|3|P|")


def with_server(folder: Path, work: Callable[[FeedService], Awaitable[None]]) -> None:
    async def run() -> None:
        store = SqliteStore(folder / "record.db", now=lambda: NOW, index=index, fingerprint="test")
        services = Services(store, "http://fhir.test", lambda: NOW, new_id, b"k")
        service = FeedService(services, load_maps(), [], replay_poll_s=0.01)
        await service.start()
        await work(service)
        await service.settle()
        await service.stop()
        await store.close()

    asyncio.run(run())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with one message applied and two in quarantine."""

    async def three(service: FeedService) -> None:
        for body in (GOOD, NO_ID, UNKNOWN):
            await service.receive(body, "adt", read_header(body))

    with_server(tmp_path, three)
    return tmp_path


def said(*arguments: str | Path, code: int = 0) -> str:
    done = CliRunner().invoke(inbox_app, [str(a) for a in arguments])
    assert done.exit_code == code, done.output
    return done.output


def ids(folder: Path, state: str = "quarantined") -> list[str]:
    lines = said("list", "--state", state, "--data", folder).splitlines()[1:]
    return [line.split()[0] for line in lines if line.startswith("0")]


def test_the_list_shows_what_is_in_quarantine_and_the_counts(folder: Path) -> None:
    told = said("list", "--data", folder)
    assert "patient-unidentified" in told
    assert "unsupported-message" in told
    assert told.splitlines()[-1] == "adt: 1 applied, 2 quarantined"


def test_the_list_can_be_narrowed(folder: Path) -> None:
    assert len(ids(folder)) == 2
    assert len(ids(folder, "all")) == 3
    assert "ZZZ^Z99" not in said("list", "--reason", "patient-unidentified", "--data", folder)
    assert "patient-unidentified" not in said("list", "--feed", "lab", "--data", folder)
    assert "--state is one of" in said("list", "--state", "lost", "--data", folder, code=1)


def test_a_message_is_shown_with_what_it_made_and_where_it_came_from(folder: Path) -> None:
    (id_,) = ids(folder, "applied")
    told = said("show", id_, "--explain", "--data", folder)
    assert "state        applied after 1 attempts" in told
    assert "produced     Patient/" in told
    assert "PID-5" in told


@pytest.mark.parametrize("text", ["feed: adt\n", "feeed: adt\n"], ids=["changed", "unusable"])
def test_where_values_came_from_is_shown_whatever_the_maps_are_now(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "adt.yaml").write_text(text)
    monkeypatch.setenv("TELLONCE_MAPS", str(site))
    (id_,) = ids(folder, "applied")
    told = said("show", id_, "--explain", "--data", folder)
    assert "Patient.name[0].family <- PID-5.1 copy Doe" in told


def test_raw_is_exactly_what_was_received(folder: Path) -> None:
    (id_,) = ids(folder, "applied")
    assert (
        CliRunner().invoke(inbox_app, ["show", id_, "--raw", "--data", str(folder)]).stdout_bytes
        == GOOD
    )


def test_an_unknown_message_and_a_missing_folder_are_told(folder: Path, tmp_path: Path) -> None:
    assert "there is no message 42" in said("show", "42", "--data", folder, code=1)
    assert "record.db is not there" in said("list", "--data", tmp_path / "none", code=1)


def test_a_dry_run_shows_what_would_be_written_and_writes_nothing(
    folder: Path, tmp_path: Path
) -> None:
    mended = tmp_path / "mended.hl7"
    mended.write_bytes(GOOD.replace(b"7^^^H^MR", b"8^^^H^MR"))
    id_ = ids(folder)[0]
    told = said("replay", id_, "--dry-run", "--edited", mended, "--data", folder)
    assert "would write Patient/" in told
    assert '"family": "Doe"' in told
    refused = said("replay", id_, "--dry-run", "--data", folder)
    assert "quarantine: patient-unidentified" in refused
    assert said("list", "--data", folder).splitlines()[-1] == "adt: 1 applied, 2 quarantined"


def test_a_replay_is_done_by_the_next_server(folder: Path, tmp_path: Path) -> None:
    mended = tmp_path / "mended.hl7"
    mended.write_bytes(GOOD.replace(b"7^^^H^MR", b"8^^^H^MR"))
    said("replay", ids(folder)[0], "--edited", mended, "--data", folder)

    async def wait(service: FeedService) -> None:
        async with asyncio.timeout(30):
            while (await service.inbox.counts())["adt"]["applied"] < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    with_server(folder, wait)
    assert said("list", "--data", folder).splitlines()[-1] == "adt: 2 applied, 1 quarantined"


def test_replay_wants_one_message_or_all(folder: Path) -> None:
    assert "name one message, or give --all" in said("replay", "--data", folder, code=1)
    told = said("replay", "--all", "--reason", "unsupported-message", "--data", folder)
    assert told.startswith("1 messages will be applied again")


def test_a_message_that_will_never_be_applied_is_dismissed_and_kept(folder: Path) -> None:
    first, second = ids(folder)
    told = said("dismiss", first, "--reason", "a test [of the sender]", "--data", folder)
    assert "is dismissed" in told
    assert ids(folder) == [second]
    assert ids(folder, "dismissed") == [first]
    assert "a test [of the sender]" in said("list", "--state", "dismissed", "--data", folder)
    shown = said("show", first, "--data", folder)
    assert "dismissed    a test [of the sender]" in shown
    assert "reason       patient-unidentified" in shown
    assert said("replay", "--all", "--data", folder).startswith("1 messages")


def test_what_is_not_in_quarantine_cannot_be_dismissed(folder: Path) -> None:
    (id_,) = ids(folder, "applied")
    told = said("dismiss", id_, "--reason", "no", "--data", folder, code=1)
    assert "is applied, not in quarantine" in told


def test_unmapped_codes_are_counted_by_feed(tmp_path: Path) -> None:
    odd = GOOD.replace(b"Doe^Jane", b"Doe^Jane||19700101|KK")

    async def three(service: FeedService) -> None:
        for number, feed in enumerate(("adt", "adt", "other")):
            body = odd.replace(b"|1|P|", b"|%d|P|" % number).replace(b"7^^^H", b"%d^^^H" % number)
            await service.receive(body, feed, read_header(body))

    with_server(tmp_path, three)
    rows = [line.split() for line in said("unmapped", "--data", tmp_path).splitlines()[1:]]
    assert [row[:4] for row in rows] == [
        ["2", "adt", "AdministrativeSex", "KK"],
        ["2", "adt", "AssigningAuthority", "H"],
        ["1", "other", "AdministrativeSex", "KK"],
        ["1", "other", "AssigningAuthority", "H"],
    ]
    assert " adt " not in said("unmapped", "--feed", "other", "--data", tmp_path)


def test_the_list_is_readable_on_80_columns(folder: Path) -> None:
    entries = beside(
        Settings(data=folder), lambda _, inbox: select(inbox, Filter(states=("quarantined",)))
    )
    lines = list(short_lines(entries, 80))
    assert max(map(len, lines)) <= 80
    assert lines[0] == f"{entries[0].id}  2026-01-02 03:04:05Z  adt  ADT^A04"
    assert lines[1].startswith("    quarantined patient-unidentified: ")


def test_the_inbox_of_the_store_that_the_environment_names_is_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    assert "is not there" in said("list", code=1)
    monkeypatch.setenv("TELLONCE_STORE", f"sqlite:///{folder / 'record.db'}")
    assert said("list").splitlines()[-1] == "adt: 1 applied, 2 quarantined"
    monkeypatch.delenv("TELLONCE_STORE")
    (elsewhere / ".env").write_text(f"TELLONCE_DATA={folder}\n")
    assert said("list").splitlines()[-1] == "adt: 1 applied, 2 quarantined"


def test_messages_are_chosen_by_time_type_and_maps(folder: Path) -> None:
    def listed(*more: str) -> int:
        told = said("list", "--state", "all", "--data", folder, *more).splitlines()
        return sum(line.startswith("0") for line in told)

    assert listed("--since", "2026-01-02T03:04:05Z") == 3
    assert listed("--since", "2026-01-03") == 0
    assert listed("--until", "2026-01-02T03:04:05+00:00") == 0
    assert listed("--type", "ADT") == 2
    assert listed("--type", "ADT^A04") == 2
    assert listed("--type", "AD") == 0
    assert listed("--map-version", load_maps().version) == 3
    assert listed("--map-version", "0000") == 0
    assert "is not a date or time" in said("list", "--since", "noon", "--data", folder, code=1)


def test_a_dry_run_of_many_is_a_summary(folder: Path) -> None:
    told = said("replay", "--all", "--state", "all", "--dry-run", "--data", folder)
    assert "3 messages: 0 would change the record," in told
    assert "1 would change nothing, 2 would be refused" in told
    assert "1 to quarantine: patient-unidentified" in told
    assert "1 to quarantine: unsupported-message" in told


def test_applied_messages_are_replayed_by_maps_and_the_command_can_wait(folder: Path) -> None:
    version = load_maps().version
    chosen = ["replay", "--all", "--state", "applied", "--map-version", version[:6], "--wait"]

    async def wait(service: FeedService) -> None:
        async with asyncio.timeout(30):
            told = await asyncio.to_thread(said, *chosen, "--data", folder)
        assert told.endswith("the server has taken up 1 messages\n")

    with_server(folder, wait)
    (id_,) = ids(folder, "applied")
    assert "adt (replay)" in said("show", id_, "--data", folder)
