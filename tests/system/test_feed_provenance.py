"""Where a value came from is told through the API: the Provenance of every message."""

import asyncio
from typing import Any

import httpx
import pytest

from server.feeds.framing import frame
from server.validation import validate
from tests.system.process import served

ADMISSION = (
    b"MSH|^~\\&|REG|HOSP|TELL|MAIN|20260316080000||ADT^A01^ADT_A01|M1|P|2.5\r"
    b"EVN|A01|20260316080000\r"
    b"PID|1||7^^^H^MR||Doe^Jane||19700101|F|||1 Main St^^Town\r"
    b"PV1|1|I|W^1^1^H||||D7^Doctor^Ann^^^^^^H||||||||||||V1\r"
)
MOVED = ADMISSION.replace(b"1 Main", b"2 Main").replace(b"|M1|", b"|M2|").replace(b"0800", b"0900")


async def send(port: int, message: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(frame(message))
    assert b"MSA|AA" in await reader.readuntil(b"\x1c\r")
    writer.close()
    await writer.wait_closed()


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """The patient's ``$everything`` after two messages, by type."""
    data = tmp_path_factory.mktemp("provenance") / "d"
    with served(data, "--open") as server, httpx.Client(base_url=server.base_url) as client:
        for message in (ADMISSION, MOVED):
            asyncio.run(send(server.mllp_port, message))
        (patient,) = client.get("/Patient?identifier=7").json()["entry"]
        bundle = client.get(f"/Patient/{patient['resource']['id']}/$everything").json()
    made: dict[str, list[dict[str, Any]]] = {}
    for entry in bundle["entry"]:
        made.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    return made


Everything = dict[str, list[dict[str, Any]]]


def test_everything_of_a_patient_shows_the_provenance_of_its_messages(
    everything: Everything,
) -> None:
    moved, admitted = everything["Provenance"]
    patient, encounter = everything["Patient"][0], everything["Encounter"][0]
    assert moved["target"] == [{"reference": f"Patient/{patient['id']}/_history/2"}]
    targets = [target["reference"] for target in admitted["target"]]
    assert f"Patient/{patient['id']}/_history/1" in targets
    assert f"Encounter/{encounter['id']}/_history/1" in targets
    assert sorted(target.split("/")[0] for target in targets) == [
        "Encounter",
        "Location",
        "Location",
        "Organization",
        "Patient",
        "Practitioner",
    ]


def test_a_provenance_is_valid_and_names_who_what_and_when(everything: Everything) -> None:
    moved, admitted = everything["Provenance"]
    for made in (moved, admitted):
        assert validate(made) == []
        assert made["recorded"].endswith("Z")
        (agent,), (entity,) = made["agent"], made["entity"]
        assert agent["who"]["identifier"] == {"system": "urn:tellonce:feed", "value": "default"}
        assert agent["onBehalfOf"]["display"] == "REG HOSP"
        assert entity["role"] == "source"
        assert made["policy"][0].startswith("urn:tellonce:maps:")
    sources = {made["entity"][0]["what"]["identifier"]["value"] for made in (moved, admitted)}
    assert len(sources) == 2
    assert all(source.startswith("urn:uuid:") for source in sources)
