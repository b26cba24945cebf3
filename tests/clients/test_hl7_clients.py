"""HL7v2 senders that we did not write: python-hl7, blocking and asyncio, and npm's simple-hl7."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import hl7
import pytest
from hl7.client import MLLPClient
from hl7.mllp import open_hl7_connection

HERE = Path(__file__).parent / "node"

MESSAGE = (
    "MSH|^~\\&|REG|HOSP|TELLONCE|MAIN|20260102030405||ADT^A04^ADT_A01|{id}|P|2.5.1|"
    "|||||UNICODE UTF-8\r"
    "EVN|A04|20260102030405\r"
    "PID|1||{mrn}^^^HOSP^MR||Żółć^Jane||19700503|F\r"
    "PV1|1|O\r"
)


@pytest.fixture
def family(base_url: str) -> Callable[[str], str]:
    """The family name of the one patient with a number."""

    def of(number: str) -> str:
        with urlopen(f"{base_url}/Patient?identifier={number}") as answer:
            (entry,) = json.load(answer)["entry"]
        return str(entry["resource"]["name"][0]["family"])

    return of


def test_the_blocking_client_of_python_hl7_is_answered(
    mllp_port: int, family: Callable[[str], str]
) -> None:
    with MLLPClient("127.0.0.1", mllp_port) as client:
        for id_ in ("b1", "b2", "b1"):
            told = client.send_message(MESSAGE.format(id=id_, mrn="B77"))
            answer = hl7.parse(told.strip(b"\x0b\x1c\r").decode())
            assert (str(answer["MSA.F1"]), str(answer["MSA.F2"])) == ("AA", id_)
            assert str(answer["MSH.F9.R1.C1"]) == "ACK"
    assert family("B77") == "Żółć"


async def test_the_asyncio_client_of_python_hl7_is_answered(
    mllp_port: int, family: Callable[[str], str]
) -> None:
    reader, writer = await open_hl7_connection("127.0.0.1", mllp_port, encoding="utf-8")
    sent = [hl7.parse(MESSAGE.format(id=f"a{n}", mrn="A77")) for n in range(5)]
    for message in sent:  # without waiting for answers
        writer.writemessage(message)
    await writer.drain()
    for message in sent:
        answer = await reader.readmessage()
        assert str(answer["MSA.F1"]) == "AA"
        assert str(answer["MSA.F2"]) == str(message["MSH.F10"])
    writer.close()
    await writer.wait_closed()
    assert family("A77") == "Żółć"


def test_a_message_that_python_hl7_was_refused_is_explained(mllp_port: int) -> None:
    with MLLPClient("127.0.0.1", mllp_port) as client:
        answer = client.send_message("PID|1||X\r").strip(b"\x0b\x1c\r").decode()
    assert str(hl7.parse(answer)["MSA.F1"]) == "AR"
    assert answer.split("\r")[2].startswith("ERR|")


def test_simple_hl7_is_answered(
    node_with: Callable[[str], str], mllp_port: int, family: Callable[[str], str]
) -> None:
    run = subprocess.run(
        [node_with("simple-hl7"), "send-hl7.js", str(mllp_port), "n"],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == [["AA", "n-1"], ["AA", "n-2"], ["AA", "n-1"]]
    assert family("N77") == "Ødegård"
