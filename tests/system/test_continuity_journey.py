"""Admitted in one department, arrived in the next: what was told is not asked again.

Through the doors that everybody uses: HL7v2 by MLLP, FHIR by a SMART app with the patient's token,
and a clinician's token at the desk.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from server.feeds.framing import frame
from tests.smart.app import REDIRECT, App
from tests.smart.registered import fhir, register, user
from tests.system.process import Process, served

LOINC = "http://loinc.org"
R4 = "http://hl7.org/fhir/StructureDefinition/"
TOPIC = "https://tellonce.org/fhir/CodeSystem/topic"
FORM = "https://hospital.test/Questionnaire/pre-visit"
WORRY = "that nobody looks after my mother"

Resource = dict[str, Any]


def stamp(*, hours: float = 0) -> str:
    """Return an HL7v2 time so many hours ago."""
    return (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y%m%d%H%M%S")


def header(kind: str, number: str, at: str) -> str:
    return f"MSH|^~\\&|REG|HOSP|TELL|MAIN|{at}+0000||{kind}|{number}|P|2.5\r"


PID = (
    "PID|1||4711^^^HOSP^MR||Berg^Anna||19800401|F|||1 Main St^^Aachen^^52062||^PRN^PH^^^^0241123\r"
)

INA = "D7^Weiss^Ina^^^^^^HOSP"


def visit(number: str, ward: str, at: str) -> str:
    return f"PV1|1|O|{ward}^1^1^HOSP||||{INA}||||||||||||{number}" + "|" * 25 + at


def pre_admission() -> bytes:
    at = stamp(hours=3)
    return (
        header("ADT^A05^ADT_A05", "M1", at)
        + f"EVN|A05|{at}+0000\r{PID}"
        + "NK1|1|Berg^Karl|SPO|2 Side St^^Bonn|0228999\r"
        + visit("V1", "CARD", at)
        + "\rAL1|1|DA|7980^Penicillin^RxNorm|SV|Rash\r"
        + "IN1|1|STD|FUND1|Old Fund|||||||||||||||||||||||||||||||A-1\r"
    ).encode()


def result() -> bytes:
    at = stamp(hours=2)
    return (
        header("ORU^R01^ORU_R01", "M2", at)
        + PID
        + visit("V1", "CARD", at)
        + f"\rOBR|1|O1|F1|29463-7^Body weight^LN|||{at}+0000\r"
        + f"OBX|1|NM|29463-7^Body weight^LN||70|kg^kilogram^UCUM||N|||F|||{at}+0000||{INA}\r"
    ).encode()


def arrival_elsewhere() -> bytes:
    at = stamp()
    return (
        header("ADT^A04^ADT_A01", "M3", at)
        + f"EVN|A04|{at}+0000\r{PID}"
        + visit("V2", "SURG", at)
        + "\rAL1|1|DA|7980^Penicillin^RxNorm|SV|Rash\r"
    ).encode()


async def send(port: int, *messages: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for message in messages:
        writer.write(frame(message))
        assert b"MSA|AA" in await reader.readuntil(b"\x1c\r")
    writer.close()
    await writer.wait_closed()


def item(link: str, kind: str, text: str, **more: Any) -> Resource:
    return {"linkId": link, "type": kind, "text": text, **more}


def code(system: str, value: str) -> list[Resource]:
    return [{"system": system, "code": value}]


QUESTIONNAIRE: Resource = {
    "resourceType": "Questionnaire",
    "id": "pre-visit",
    "url": FORM,
    "status": "active",
    "subjectType": ["Patient"],
    "item": [
        item("born", "date", "Date of birth", definition=f"{R4}Patient#Patient.birthDate"),
        item("town", "string", "Town", definition=f"{R4}Patient#Patient.address.city"),
        item("allergies", "open-choice", "Allergies", repeats=True, code=code(LOINC, "48765-2")),
        item("weight", "quantity", "Weight", code=code(LOINC, "29463-7")),
        item("medicines", "open-choice", "Medicines", repeats=True, code=code(LOINC, "10160-0")),
        item("smoking", "choice", "Do you smoke?", code=code(LOINC, "72166-2")),
        item("worry", "text", "What worries you most?", code=code(FORM, "worry")),
        item("wristband", "boolean", "Wristband compared?", code=code(TOPIC, "identity-check")),
    ],
}

SAID: dict[str, list[Resource]] = {
    "medicines": [{"valueString": "metformin"}],
    "smoking": [{"valueCoding": {"system": "http://snomed.info/sct", "code": "266919005"}}],
    "worry": [{"valueString": WORRY}],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    data = tmp_path_factory.mktemp("continuity") / "data"
    with served(data, settings={"TELLONCE_REGISTRATION": "open"}) as process:
        yield process


def parameters(**given: str) -> Resource:
    """Return a Parameters resource of references."""
    parts = [{"name": n, "valueReference": {"reference": value}} for n, value in given.items()]
    return {"resourceType": "Parameters", "parameter": parts}


def half_an_hour_ago() -> str:
    """Return when she fills the form in: before she arrives anywhere."""
    return (datetime.now(UTC) - timedelta(minutes=30)).isoformat(timespec="seconds")


def filled_in(response: Resource, patient: str) -> Resource:
    """Return the form as she sends it: what was there confirmed, what was asked answered."""
    made = {k: v for k, v in response.items() if k not in ("id", "meta")}
    made |= {"status": "completed", "authored": half_an_hour_ago()}
    made |= {"source": {"reference": patient}, "author": {"reference": patient}}
    items = {one["linkId"]: one for one in made.get("item", ())}
    for one in items.values():
        for given in one.get("answer", ()):
            given["extension"] = [origin("override")]
    for link, answer in SAID.items():
        items[link] = {**items.get(link, {"linkId": link}), "answer": answer}
    order = [one["linkId"] for one in QUESTIONNAIRE["item"]]
    return {**made, "item": [items[link] for link in order if link in items]}


def origin(source: str) -> Resource:
    url = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin"
    return {"url": url, "extension": [{"url": "source", "valueCode": source}]}


def states(known: Resource) -> dict[str, str]:
    """Return the state of each item of an answer of ``$known-answers``."""
    items = [{part["name"]: part for part in one["part"]} for one in known["parameter"]]
    return {one["linkId"]["valueString"]: one["state"]["valueCode"] for one in items}


BEFORE = {
    "born": "confirm",
    "town": "confirm",
    "allergies": "confirm",
    "weight": "known",
    "medicines": "ask",
    "smoking": "ask",
    "worry": "ask",
    "wristband": "ask",
}
AFTER = {
    "born": "known",
    "town": "known",
    "allergies": "confirm",  # in each visit, with one tap
    "weight": "known",
    "medicines": "confirm",
    "smoking": "known",
    "worry": "confirm",
    "wristband": "ask",  # whoever is on the table is compared each time
}


class Journey:
    """The people, each with a token of their own, and whose record it is about."""

    def __init__(self, server: Process) -> None:
        self.server = server
        (found,) = self.staff("GET", "Patient?identifier=4711")["entry"]
        self.patient = f"Patient/{found['resource']['id']}"
        (doctor,) = self.staff("GET", "Practitioner?identifier=D7")["entry"]
        user(server, "anna", "patient", self.patient)
        user(server, "ina", "practitioner", f"Practitioner/{doctor['resource']['id']}")
        scopes = "launch/patient openid fhirUser patient/*.cruds user/*.cruds"
        register(server, "page", redirect_uris=[REDIRECT], scope=scopes)
        app = App(server, "page")
        hers = app.tokens("launch/patient patient/*.cruds", "anna")
        assert hers["patient"] == self.patient.removeprefix("Patient/")
        self.hers = hers["access_token"]
        self.inas = app.tokens("user/*.cruds", "ina")["access_token"]

    def staff(self, method: str, path: str, body: Any = None) -> Any:
        return fhir(self.server, method, path, body)

    def anna(self, method: str, path: str, body: Any = None) -> Any:
        return fhir(self.server, method, path, body, self.hers)

    def ina(self, method: str, path: str, body: Any = None) -> Any:
        return fhir(self.server, method, path, body, self.inas)

    def visit(self, number: str) -> str:
        (found,) = self.staff("GET", f"Encounter?identifier={number}")["entry"]
        return f"Encounter/{found['resource']['id']}"

    def known(self, visit: str) -> dict[str, str]:
        """Return what the desk of a department has to ask."""
        form = f"questionnaire={FORM}&encounter={visit}"
        return states(self.ina("GET", f"{self.patient}/$known-answers?{form}"))


def test_nothing_is_asked_again(server: Process) -> None:
    asyncio.run(send(server.mllp_port, pre_admission(), result()))
    fhir(server, "PUT", "Questionnaire/pre-visit", QUESTIONNAIRE)
    journey = Journey(server)
    before = journey.known(journey.visit("V1"))
    subject = parameters(subject=journey.patient)
    found = journey.anna("POST", "Questionnaire/pre-visit/$populate", subject)
    (response,) = [p["resource"] for p in found["parameter"] if p["name"] == "response"]
    sent = journey.anna("POST", "QuestionnaireResponse", filled_in(response, journey.patient))
    commit = {"name": "commit", "valueBoolean": True}
    journey.anna("POST", f"QuestionnaireResponse/{sent['id']}/$extract",
                 {"resourceType": "Parameters", "parameter": [commit]})  # fmt: skip
    asyncio.run(send(server.mllp_port, arrival_elsewhere()))
    after = journey.known(journey.visit("V2"))
    story = journey.ina("GET", f"{journey.patient}/$story")
    summary = journey.anna("GET", f"{journey.patient}/$summary")

    assert before == BEFORE
    assert after == AFTER
    asked_again = [link for link, state in after.items() if state == "ask" and link != "wristband"]
    assert asked_again == []
    assert f"\u201c{WORRY}\u201d" in story["text"]["div"]
    (allergies,) = [
        section["text"]["div"]
        for section in summary["entry"][0]["resource"]["section"]
        if section["code"]["coding"][0]["code"] == "48765-2"
    ]
    assert "Penicillin" in allergies
