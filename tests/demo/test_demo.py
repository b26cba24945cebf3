"""``tellonce demo`` as a newcomer runs it: a real process, real sockets, its own SQLite record."""

import json
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.system import forked
from tests.system.people import login
from tests.system.process import TELLONCE

READY = "The server runs until Ctrl-C."


@dataclass
class Demo:
    """A running demo: what it printed, and its API."""

    popen: subprocess.Popen[str]
    said: str
    api: httpx.Client

    def search(self, type_: str, **params: str) -> list[dict[str, Any]]:
        answer = self.api.get(f"/{type_}", params={"_count": "1000", **params})
        assert answer.status_code == 200, answer.text
        entries = answer.json().get("entry", [])
        return [entry["resource"] for entry in entries if entry["search"]["mode"] == "match"]

    def patient(self, number: int) -> dict[str, Any]:
        token = f"https://westbruck.example/mrn|W{100000 + number}"
        (found,) = self.search("Patient", identifier=token)
        return found


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[Demo]:
    words = ["demo", "--data", str(folder), *options, "--port", "0", "--mllp-port", "0"]
    piped = subprocess.PIPE
    with forked.Tellonce(words, stdout=piped, text=True, cwd=folder.parent) as popen:
        assert popen.stdout is not None
        said = ""
        try:
            while READY not in said:
                line = popen.stdout.readline()
                assert line, f"the demo ended with {popen.wait()}: {said}"
                said += line
            base = re.search(r"http://\S+", said)
            token = re.search(r"Bearer (\S+?)'", said)
            assert base
            assert token
            headers = {"Authorization": f"Bearer {token[1]}"}
            with httpx.Client(base_url=base[0], headers=headers, timeout=30) as api:
                yield Demo(popen, said, api)
        finally:
            popen.send_signal(signal.SIGINT)
            assert popen.wait(30) == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "hospital"


@pytest.fixture(scope="module")
def hospital(folder: Path) -> Iterator[Demo]:
    with demo(folder) as running:
        yield running


@pytest.fixture(scope="module")
def shown(hospital: Demo) -> dict[str, Any]:
    return hospital.patient(1)


def test_every_message_is_in_the_record_or_in_quarantine_as_intended(hospital: Demo) -> None:
    assert "messages in: 159 (157 applied, 2 quarantined)" in hospital.said
    quarantined = hospital.said.split("in quarantine:")[1:]
    reasons = sorted(
        re.findall(r"patient-unidentified|unsupported-message", told) for told in quarantined
    )
    assert reasons == [["patient-unidentified"], ["unsupported-message"]]


def test_what_it_shows_fits_80_columns_but_for_the_lines_to_be_copied(hospital: Demo) -> None:
    # The command is shown by its name alone where the shell would find it.
    copied = ("  curl ", f"  {TELLONCE} inbox", "  tellonce inbox")
    shown = [line for line in hospital.said.splitlines() if not line.startswith(copied)]
    assert [line for line in shown if len(line) > 80] == []


def test_the_commands_that_it_shows_work(hospital: Demo, folder: Path) -> None:
    shown = re.findall(r"^  (curl .*)$", hospital.said, re.MULTILINE)
    found = [pasted(line) for line in shown]
    assert [(kind, bool(some)) for kind, some in found] == [
        ("Parameters", True),  # $known-answers
        ("Parameters", True),  # $populate
        ("Composition", True),  # the story, for clinicians
        ("Composition", True),  # and for the patient
        ("Bundle", True),  # $summary
        ("Bundle", True),  # $everything
        ("Bundle", True),  # a search
    ]
    (command,) = re.findall(r"(inbox list --data .*)", hospital.said)
    listed = forked.tellonce(*shlex.split(command))
    assert listed.returncode == 0
    assert "157 applied, 2 quarantined" in listed.stdout


def pasted(line: str) -> tuple[str, Any]:
    """Run a line as a reader's shell does; return the type of what comes, and what is in it."""
    run = subprocess.run(["sh", "-c", line], capture_output=True, check=True, timeout=30)
    made = json.loads(run.stdout)
    return made["resourceType"], made.get("entry") or made.get("parameter") or made.get("section")


def test_nothing_is_asked_twice_and_it_shows(hospital: Demo) -> None:
    told = hospital.said.partition("nothing is asked twice:\n")[2].partition("\n\n")[0]
    assert told.splitlines() == [
        "  known     Date of birth         1958-07-22",
        "  known     Town                  Westbruck",
        "  confirm   Allergies             Allergy to penicillin / Latex allergy",
        "  known     Weight                68.5 kg",
        "  conflict  Do you smoke?         Never smoked (clinician) / Ex-smoker (patient)",
        "  confirm   What worries you?     Who feeds my cat when I have to stay?",
        "  ask       Medicines",
        "  ask       What is wrong today?",
    ]


def test_her_story_has_her_own_words(hospital: Demo, shown: dict[str, Any]) -> None:
    for audience in ("clinician", "patient"):
        address = f"/Patient/{shown['id']}/$story"
        answer = hospital.api.get(address, params={"audience": audience})
        assert "\u201cWho feeds my cat when I have to stay?\u201d" in answer.json()["text"]["div"]


def test_the_people_that_it_shows_can_log_in(hospital: Demo) -> None:
    (root,) = re.findall(r"  (http://\S+)/auth/\n", hospital.said)
    (password,) = re.findall(r"each with the password  (\S+)", hospital.said)

    for name in ("admin", "ines", "doctor"):
        assert f"\n  {name} " in hospital.said
        assert login(root, name, password).status_code == 303


def test_every_patient_of_the_day_is_one_patient(hospital: Demo) -> None:
    families = [patient["name"][0]["family"] for patient in hospital.search("Patient")]
    assert len(families) == 42
    assert {"Müller", "Nguyễn", "Παπαδόπουλος", "Соколова", "田中", "حداد"} < set(families)


def test_the_patient_shown_has_data_of_several_departments(
    hospital: Demo, shown: dict[str, Any]
) -> None:
    id_ = shown["id"]
    assert f"/Patient/{id_}" in hospital.said
    counts = {
        type_: len(hospital.search(type_, patient=id_))
        for type_ in (
            "Encounter",
            "AllergyIntolerance",
            "Coverage",
            "Condition",
            "DiagnosticReport",
        )
    }
    assert counts["Encounter"] == 2
    assert counts["AllergyIntolerance"] == 2
    assert counts["Coverage"] == 1
    assert counts["Condition"] == 2
    assert counts["DiagnosticReport"] >= 7
    statuses = {e["class"]["code"]: e["status"] for e in hospital.search("Encounter", patient=id_)}
    assert statuses == {"EMER": "finished", "IMP": "in-progress"}


def test_a_result_corrected_twice_is_one_observation(hospital: Demo, shown: dict[str, Any]) -> None:
    (troponin,) = hospital.search(
        "Observation", patient=shown["id"], code="http://loinc.org|89579-7"
    )
    assert troponin["status"] == "corrected"
    assert troponin["valueQuantity"]["value"] == 132
    assert troponin["meta"]["versionId"] == "3"


def test_an_update_that_arrives_late_does_not_bring_the_old_address_back(
    shown: dict[str, Any],
) -> None:
    assert shown["address"][0]["line"] == ["Neugasse 5/14"]


def test_a_telephone_number_deleted_by_the_register_is_gone(hospital: Demo) -> None:
    assert "telecom" not in hospital.patient(8)


def test_the_same_folder_is_not_sent_the_day_again_and_reset_empties_it(tmp_path: Path) -> None:
    folder = tmp_path / "again"
    with demo(folder) as first:
        total = len(first.search("Observation"))
        patient = first.patient(1)["id"]
    with demo(folder) as second:
        assert "has the day already" in second.said
        assert len(second.search("Observation")) == total
        assert second.patient(1)["id"] == patient
    with demo(folder, "--reset") as third:
        assert "has the day already" not in third.said
        assert third.patient(1)["id"] != patient


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "record.db").write_text("precious")
    ended = forked.tellonce("demo", "--reset", "--data", tmp_path / "mine")
    assert ended.returncode == 1
    assert "is not a folder of the demo" in ended.stderr
    assert (tmp_path / "mine" / "record.db").read_text() == "precious"
