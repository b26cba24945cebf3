"""Two ``tellonce serve`` processes on one MongoDB: what one does the other knows, or takes over."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from hashlib import sha256

import httpx
import pytest

from server.auth import new_token
from server.feeds.framing import frame
from tests.system.forked import tellonce
from tests.system.mongo import database, opened, soon
from tests.system.process import Process, served
from tests.system.test_feed_kill import Sender, admission, check_store

ASYNC = {"Prefer": "respond-async"}


@dataclass
class Two:
    """Both processes, and the token that the first start showed."""

    url: str
    first: Process
    second: Process

    def client(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.first.token}"}
        return httpx.AsyncClient(timeout=30, headers=headers)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("two")
    with database() as url, ExitStack() as stack:
        given = {"TELLONCE_STORE": url}
        first = stack.enter_context(served(folder / "first", settings=given))
        second = stack.enter_context(served(folder / "second", settings=given))
        yield Two(url, first, second)


async def test_of_two_processes_that_begin_a_store_one_makes_the_token_and_the_user(
    two: Two,
) -> None:
    assert two.first.token is not None
    assert two.first.login is not None
    assert (two.second.token, two.second.login) == (None, None)


async def test_of_32_racing_conditional_creates_at_two_processes_one_makes_a_resource(
    two: Two,
) -> None:
    patient = {"resourceType": "Patient", "identifier": [{"system": "http://s", "value": "race"}]}
    condition = {"If-None-Exist": "identifier=http://s|race"}

    async with two.client() as client:

        async def create(server: Process) -> int:
            address = f"{server.base_url}/Patient"
            return (await client.post(address, json=patient, headers=condition)).status_code

        servers = (two.first, two.second) * 16
        answers = await asyncio.gather(*(create(server) for server in servers))
        address = f"{two.second.base_url}/Patient?identifier=http://s|race&_summary=count"
        total = (await client.get(address)).json()["total"]
    assert sorted(answers) == [200] * 31 + [201]
    assert total == 1


async def test_what_one_process_writes_the_other_reads_at_once(two: Two) -> None:
    async with two.client() as client:
        for n in range(20):
            here, there = (two.first, two.second) if n % 2 else (two.second, two.first)
            made = await client.post(
                f"{here.base_url}/Patient",
                json={"resourceType": "Patient", "identifier": [{"value": f"x-{n}"}]},
            )
            id_ = made.json()["id"]
            assert (await client.get(f"{there.base_url}/Patient/{id_}")).status_code == 200
            found = await client.get(f"{there.base_url}/Patient?identifier=x-{n}")
            assert found.json()["total"] == 1


async def test_a_search_parameter_of_one_process_is_one_of_the_other(two: Two) -> None:
    parameter = {
        "resourceType": "SearchParameter",
        "url": "http://example.org/nick",
        "name": "nick",
        "status": "active",
        "description": "nick",
        "code": "nick",
        "base": ["Person"],
        "type": "string",
        "expression": "Person.name.given",
    }
    async with two.client() as client:
        person = {"resourceType": "Person", "name": [{"given": ["Nicky"]}]}
        await client.post(f"{two.second.base_url}/Person", json=person)
        made = await client.post(f"{two.first.base_url}/SearchParameter", json=parameter)
        assert made.status_code == 201, made.text

        for server in (two.second, two.first):

            async def found(server: Process = server) -> bool:
                answer = await client.get(
                    f"{server.base_url}/Person?nick=nicky", headers={"Prefer": "handling=strict"}
                )
                return answer.status_code == 200 and answer.json().get("total") == 1

            await soon(found)


async def test_a_token_taken_back_by_a_command_opens_nothing_at_either_process(two: Two) -> None:
    """Within two seconds, as with one process."""
    store = opened(two.url)
    token = await new_token(store, "soon gone")
    await store.close()
    sent = {"Authorization": f"Bearer {token}"}
    addresses = [f"{server.base_url}/Patient?_count=1" for server in (two.first, two.second)]
    async with httpx.AsyncClient(timeout=30, headers=sent) as client:
        assert [(await client.get(one)).status_code for one in addresses] == [200, 200]
        id_ = sha256(token.encode()).hexdigest()[:12]
        await asyncio.to_thread(_told, "token", "remove", id_, "--store", two.url)
        for _ in range(22):  # 2.2 s, and longer when the machine is stalled
            answers = [(await client.get(one)).status_code for one in addresses]
            if answers == [401, 401]:
                break
            await asyncio.sleep(0.1)
        assert answers == [401, 401]


async def test_a_request_of_one_process_is_asked_about_and_ended_at_the_other(two: Two) -> None:
    async with two.client() as client:
        for here, there in ((two.first, two.second), (two.second, two.first)):
            asked = await client.get(f"{here.base_url}/Patient?_count=1", headers=ASYNC)
            assert asked.status_code == 202
            id_ = asked.headers["content-location"].rpartition("/")[2]

            async def answered(at: Process = there, id_: str = id_) -> httpx.Response | None:
                found = await client.get(f"{at.base_url}/_async/{id_}")
                return found if found.status_code == 200 else None

            bundle = (await soon(answered)).json()
            assert bundle["type"] == "batch-response"
            gone = await client.delete(f"{there.base_url}/_async/{id_}")
            assert gone.status_code == 202
            assert (await client.get(f"{here.base_url}/_async/{id_}")).status_code == 404


class Alternating(Sender):
    """A sender whose messages go by one process and the other in turn, one under way."""

    async def run(self, port: int, heard: Callable[[], None]) -> None:
        await self._through([port], heard)

    async def alternate(self, ports: list[int], heard: Callable[[], None]) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._through(ports, heard)

    async def _through(self, ports: list[int], heard: Callable[[], None]) -> None:
        ends = [await asyncio.open_connection("127.0.0.1", port) for port in ports]
        try:
            while not self.done:
                number = len(self.acknowledged)
                reader, writer = ends[number % len(ends)]
                writer.write(frame(self.messages[number]))
                async with asyncio.timeout(30):
                    answer = await reader.readuntil(b"\x1c\r")
                code, control_id = answer.split(b"\rMSA|", 1)[1].split(b"\r")[0].split(b"|")[:2]
                assert control_id.decode() == f"{self.number}-{number}"
                self.acknowledged.append(control_id.decode())
                self.codes[code.decode()] += 1
                heard()
        finally:
            for _, writer in ends:
                writer.close()


def test_a_killed_process_loses_no_message_and_no_order(two: Two) -> None:
    """Its senders turn to the other process; what it had received is applied there, in order.

    The last of this file: it ends the first process.
    """
    senders = [Sender(n, [admission(n, m) for m in range(30)]) for n in range(3)]
    turning = Alternating(3, [admission(3, m) for m in range(30)])
    ports = [two.first.mllp_port, two.second.mllp_port]
    left = [50]

    def heard() -> None:
        left[0] -= 1
        if left[0] == 0:
            two.first.popen.send_signal(signal.SIGKILL)

    async def with_both() -> None:
        alone = [sender.run(ports[0], heard) for sender in senders]
        await asyncio.gather(*alone, turning.alternate(ports, heard))

    async def with_the_second() -> None:
        await asyncio.gather(*(each.run(ports[1], lambda: None) for each in (*senders, turning)))
        await _settled(two)

    asyncio.run(with_both())
    assert two.first.popen.wait(timeout=10) == -signal.SIGKILL
    asyncio.run(with_the_second())
    check_store(lambda: opened(two.url), [*senders, turning], alone=False)
    assert _told("audit", "verify", "--store", two.url).startswith("sound: ")


def _told(*words: str) -> str:
    ran = tellonce(*words)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


async def _settled(two: Two) -> None:
    """Wait until every message has come to its end."""
    async with two.client() as client:

        async def idle() -> bool:
            text = (await client.get(f"{two.second.root}/metrics")).text
            return 'tellonce_hl7v2_unfinished{feed="default"} 0.0' in text

        await soon(idle)
