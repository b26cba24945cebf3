"""A MongoDB that is away, alone, too new, or does not let us in: what is told, and what happens."""

import asyncio
import gc
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from pymongo import MongoClient
from typer.testing import CliRunner

from server.commands.line import cli
from server.feeds.framing import frame
from server.settings import Settings
from server.store.mongo import abandoned
from tests import mongod
from tests.contract.made import patient
from tests.contract.test_mongo_commits import killed_in_a_commit
from tests.system.forked import Tellonce, tellonce
from tests.system.mongo import database, opened
from tests.system.process import served

# A command ends its event loop as soon as it has said what is wrong, and a monitor of the driver
# that was connecting at that moment leaves its socket to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

PATIENT = {"resourceType": "Patient"}


def told(*words: str, **settings: str) -> str:
    """Return the one line with which a command ends that cannot do its work."""
    given = {f"TELLONCE_{name.upper()}": value for name, value in settings.items()}
    ran = CliRunner().invoke(cli, [*words], env=given)
    gc.collect()
    assert ran.exit_code == 1, ran.output
    return " ".join(ran.stderr.split())


@contextmanager
def started(folder: Path, url: str, *options: str) -> Iterator[tuple[str, int, Path]]:
    """Start a server that need not become ready; yield its address, MLLP port and log."""
    port, mllp = mongod.free_port(), mongod.free_port()
    command = [
        "serve", "--open", "--port", str(port), "--mllp-port", str(mllp),
        "--data", str(folder), "--store", url, *options,
    ]  # fmt: skip
    log = folder.with_suffix(".log")
    with log.open("wb") as output:
        process = Tellonce(command, stdout=output, stderr=output, cwd=folder.parent)
    try:
        yield f"http://127.0.0.1:{port}", mllp, log
    finally:
        process.terminate()
        assert process.wait(30) == 0


@contextmanager
def ended(members: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """End, behind everything else, what was put into the list."""
    try:
        yield
    finally:
        for one in members:
            one.kill()
            one.wait()


def until(
    root: str, path: str, status: int, *, said: str = "", within_s: float = 60.0
) -> httpx.Response:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            answer = httpx.get(f"{root}{path}", timeout=40)
        except httpx.TransportError:
            time.sleep(0.1)
            continue
        if answer.status_code == status and said in answer.text:
            return answer
        time.sleep(0.1)
    raise AssertionError(f"{path} did not answer {status}")


def member(folder: Path, port: int) -> subprocess.Popen[bytes]:
    return mongod.start(port, folder, "--replSet", "rs0")


def acknowledgement(port: int, control_id: str) -> bytes:
    """Send a message; return the answer, or nothing when the connection ends without one."""
    body = (
        f"MSH|^~\\&|REG|H|||20260316080000||ADT^A04|{control_id}|P|2.5\r"
        f"EVN|A04|20260316080000\rPID|1||{control_id}^^^H^MR||Doe^Jane||19700101|F\rPV1|1|O\r"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=60) as one:
        one.sendall(frame(body.encode()))
        answer = b""
        while not answer.endswith(b"\x1c\r") and (more := one.recv(65536)):
            answer += more
    return answer


def test_a_server_waits_for_its_database_and_outlives_its_absence(tmp_path: Path) -> None:
    port = mongod.free_port()
    url = f"mongodb://127.0.0.1:{port}/clinic?replicaSet=rs0"
    members: list[subprocess.Popen[bytes]] = []
    with ended(members), started(tmp_path / "d", url) as (root, mllp, log):
        # Away at start: it is there, and says what it waits for.
        assert until(root, "/livez", 200).json() == {"status": "alive"}
        waiting = until(root, "/readyz", 503, said="cannot be reached")
        refused = httpx.get(f"{root}/fhir/Patient")
        members.append(member(tmp_path / "db", port))
        mongod.initiate([port])
        assert until(root, "/readyz", 200).json()["store"] == "ok"
        made = httpx.post(f"{root}/fhir/Patient", json=PATIENT, timeout=40)
        assert b"MSA|AA|m1" in acknowledgement(mllp, "m1")
        members[0].send_signal(signal.SIGKILL)
        members[0].wait()

        # Away later: nothing is acknowledged, everybody may try again.
        away = httpx.post(f"{root}/fhir/Patient", json=PATIENT, timeout=60)
        assert b"MSA|AA" not in acknowledgement(mllp, "m2")
        not_ready = until(root, "/readyz", 503)
        alive = httpx.get(f"{root}/livez")

        members.append(member(tmp_path / "db", port))
        until(root, "/readyz", 200)
        again = httpx.post(f"{root}/fhir/Patient", json=PATIENT, timeout=60)
        assert b"MSA|AA|m3" in acknowledgement(mllp, "m3")
        location = made.headers["location"].partition("/_history/")[0]
        read = httpx.get(location, timeout=40)
        said = log.read_text()
    assert "cannot be reached" in waiting.json()["store"]
    assert waiting.headers["retry-after"] == "5"
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert refused.json()["issue"][0]["code"] == "no-store"
    assert "127.0.0.1" not in refused.text  # whom a client asks need not say where it keeps things
    assert made.status_code == 201
    assert (away.status_code, away.headers["retry-after"]) == (503, "5")
    assert away.json()["issue"][0]["diagnostics"] == "the store cannot be reached"
    assert "cannot be reached" in not_ready.json()["store"]
    assert not any(str(port) in answer.text for answer in (waiting, away, not_ready))
    assert alive.status_code == 200
    assert (again.status_code, read.status_code) == (201, 200)
    assert f"MongoDB at 127.0.0.1:{port} cannot be reached" in said
    assert "Traceback" not in said


def test_a_server_stops_in_time_while_its_database_is_away(tmp_path: Path) -> None:
    port = mongod.free_port()
    url = f"mongodb://127.0.0.1:{port}/clinic?replicaSet=rs0"
    members = [member(tmp_path / "db", port)]
    given = {"TELLONCE_STORE": url, "TELLONCE_SHUTDOWN_S": "2"}
    with ended(members):
        mongod.initiate([port])
        with served(tmp_path / "d", "--open", settings=given) as server:
            assert httpx.post(f"{server.base_url}/Patient", json=PATIENT).status_code == 201
            members[0].send_signal(signal.SIGKILL)
            members[0].wait()
            server.popen.terminate()
            for _ in range(140):  # 14 s, and longer when the machine is stalled
                if server.popen.poll() is not None:
                    break
                time.sleep(0.1)
            assert server.popen.returncode == 0
            assert "Traceback" not in server.log.read_text()


def test_a_server_alone_is_refused_with_the_command_that_makes_it_a_set(tmp_path: Path) -> None:
    port = mongod.free_port()
    alone = mongod.start(port, tmp_path / "db")
    try:
        said = told("token", "list", "--store", f"mongodb://127.0.0.1:{port}/x")
    finally:
        alone.kill()
        alone.wait()
    assert f"MongoDB at 127.0.0.1:{port} runs alone" in said
    assert "start mongod with --replSet rs0 (one member is enough) and run once: mongosh" in said
    assert "rs.initiate()" in said


def test_a_database_of_a_newer_server_is_refused_by_commands_and_by_the_server() -> None:
    with database() as url:
        with MongoClient(url) as client:
            db = client.get_default_database()
            newer = {"$set": {"number": 999}}
            db.state.update_one({"_id": "schema"}, newer, upsert=True)
        for words in (("token", "list"), ("serve", "--port", "0", "--mllp-port", "none")):
            ended = tellonce(*words, "--store", url)
            assert ended.returncode == 1
            said = " ".join(ended.stderr.split())
            assert "has schema 999, this server knows" in said


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a replica set with a password: user ``tellonce``, ``right/pass:word``."""
    folder = tmp_path_factory.mktemp("guarded")
    key = folder / "key"
    key.write_text("a key of six or more characters".replace(" ", ""))
    key.chmod(0o400)
    port = mongod.free_port()
    one = mongod.start(port, folder / "db", "--replSet", "rs0", "--auth", "--keyFile", str(key))
    try:
        address = f"mongodb://127.0.0.1:{port}/?directConnection=true"
        with MongoClient(address) as client:  # the first user may be made on this machine
            set_ = {"_id": "rs0", "members": [{"_id": 0, "host": f"127.0.0.1:{port}"}]}
            client.admin.command("replSetInitiate", set_)
            while not client.admin.command("hello")["isWritablePrimary"]:
                time.sleep(0.05)
            client.admin.command("createUser", "root", pwd="root", roles=["root"])
        with MongoClient(address, username="root", password="root") as client:
            role = {"role": "readWrite", "db": "clinic"}
            client.admin.command("createUser", "tellonce", pwd="right/pass:word", roles=[role])
        yield port
    finally:
        one.kill()
        one.wait()


def address(port: int, password: str, database_: str = "clinic") -> str:
    where = f"127.0.0.1:{port}/{database_}?replicaSet=rs0&authSource=admin"
    return f"mongodb://tellonce:{password}@{where}"


def test_a_wrong_password_is_told_and_not_shown(guarded: int, tmp_path: Path) -> None:
    url = address(guarded, "wr0ng-Secret")
    file = tmp_path / "store"
    file.write_text(url + "\n")
    for said in (
        told("token", "list", store=url),
        told("token", "list", store_uri_file=str(file)),
        told("token", "list", "--store", url),
    ):
        assert f"MongoDB at 127.0.0.1:{guarded} refuses the user, the password" in said
        assert "wr0ng-Secret" not in said


def test_a_password_on_the_command_line_is_warned_about(guarded: int) -> None:
    url = address(guarded, "right%2Fpass%3Aword")
    ran = CliRunner().invoke(cli, ["token", "list", "--store", url])
    assert ran.exit_code == 0, ran.stderr
    assert "the list of processes shows the password of --store" in " ".join(ran.stderr.split())
    assert "right" not in ran.stderr


def test_a_password_in_a_file_opens_the_store_without_a_word(guarded: int, tmp_path: Path) -> None:
    file = tmp_path / "store"
    file.write_text(address(guarded, "right%2Fpass%3Aword"))
    given = {"TELLONCE_STORE_URI_FILE": str(file)}
    ran = CliRunner().invoke(cli, ["token", "list"], env=given)
    assert (ran.exit_code, ran.stderr) == (0, "")


def test_a_file_with_the_address_is_named_wherever_a_store_is(guarded: int, tmp_path: Path) -> None:
    file = tmp_path / "store"
    file.write_text(address(guarded, "right%2Fpass%3Aword"))
    ran = CliRunner().invoke(cli, ["token", "list", "--store", f"@{file}"])
    assert (ran.exit_code, ran.stderr) == (0, "")


@pytest.mark.parametrize("name", ["TELLONCE_STORE", "TELLONCE_STORE_URI_FILE"])
def test_a_store_on_the_command_line_takes_the_place_of_that_of_the_environment(name: str) -> None:
    elsewhere = {name: "mongodb://127.0.0.1:1/x"}
    with database() as url:
        ran = CliRunner().invoke(cli, ["token", "list", "--store", url], env=elsewhere)
    assert (ran.exit_code, ran.stderr) == (0, "")


def test_verify_says_which_store_it_looked_at(guarded: int, tmp_path: Path) -> None:
    file = tmp_path / "store"
    file.write_text(address(guarded, "right%2Fpass%3Aword"))
    ran = CliRunner().invoke(cli, ["verify", "--store", f"@{file}"])
    assert (ran.exit_code, ran.stdout) == (0, "sound\n")
    assert f"looked at mongodb://tellonce:***@127.0.0.1:{guarded}/clinic" in ran.stderr


def test_a_user_who_may_not_write_there_is_told_so(guarded: int) -> None:
    said = told("token", "list", store=address(guarded, "right%2Fpass%3Aword", "other"))
    assert "refuses the user, the password, or what they may do" in said


def test_a_user_who_may_read_and_write_may_end_what_a_killed_process_began(
    guarded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(abandoned, "SILENT_S", 50.0)  # not why it is ended
    url = address(guarded, "right%2Fpass%3Aword")

    async def commits() -> list[int]:
        store = opened(url)
        try:
            (first,) = await store.commit([patient("a")])
            killed_in_a_commit(url, store.database)
            async with asyncio.timeout(12):
                (second,) = await store.commit([patient("a")])
        finally:
            await store.close()
        return [first.seq, second.seq]

    assert asyncio.run(commits()) == [1, 2]


def test_settings_show_no_password() -> None:
    settings = Settings(_env_file=None, store="mongodb://u:Secr3t@h1,h2:27018/db?tls=true")
    shown = f"{settings!r} {settings} {settings.model_dump()}"
    assert "Secr3t" not in shown
    assert "mongodb://u:***@h1,h2:27018/db?tls=true" in shown


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.startswith("server.store.mongo")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pymongo", None)
    said = told("token", "list", "--store", "mongodb://127.0.0.1:1/x")
    assert said.endswith("install it with: pip install 'tellonce[mongo]'")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mongodb://", "there is no host in it"),
        ("mongodb://h/a.b", "the database is 1 to 38 letters"),
        ("mongodb://u:p@w@h/db", "write an @ or a / in its user or password as %40 or %2F"),
        ("mysql://h/db", "URL scheme should be 'sqlite', 'mongodb' or 'mongodb+srv'"),
    ],
)
def test_an_address_that_cannot_be_is_refused(url: str, why: str) -> None:
    assert why in told("token", "list", store=url)


async def test_a_database_that_is_away_answers_a_command_in_one_line() -> None:
    port = mongod.free_port()
    url = f"mongodb://127.0.0.1:{port}/x?replicaSet=rs0&serverSelectionTimeoutMS=500"
    said = await asyncio.to_thread(told, "token", "list", "--store", url)
    assert f"MongoDB at 127.0.0.1:{port} cannot be reached" in said
