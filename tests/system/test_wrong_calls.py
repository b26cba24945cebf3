"""Wrong calls of the continuity operations, as an app's developer makes them: each is told what is
wrong and where, in words, and leaves nothing of the patient in the log."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.smart.app import REDIRECT, App
from tests.smart.registered import fhir, register, user
from tests.system.process import Process, served

FORM = "http://forms.test/f"
SECRET = "Oyelaran-Winterbottom"  # no message, log line or place may hold it
ANNA = "Patient/anna"

Resource = dict[str, Any]


@dataclass(frozen=True)
class Ward:
    """A server with a form and two patients, and the token of one of them."""

    process: Process
    annas: str

    def call(self, method: str, path: str, body: Any, **headers: str) -> httpx.Response:
        sent = {"Authorization": f"Bearer {self.process.token}", **headers}
        content = body if isinstance(body, str | None) else json.dumps(body)
        return httpx.request(
            method,
            f"{self.process.base_url}/{path}",
            content=content,
            headers={"Content-Type": "application/fhir+json", **sent},
            timeout=20,
        )


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    data = tmp_path_factory.mktemp("wrong") / "data"
    with served(data, settings={"TELLONCE_REGISTRATION": "open"}) as process:
        for one in RECORD:
            fhir(process, "PUT", f"{one['resourceType']}/{one['id']}", one)
        user(process, "anna", "patient", ANNA)
        register(process, "page", redirect_uris=[REDIRECT], scope="launch/patient patient/*.rs")
        token = App(process, "page").tokens("launch/patient patient/*.rs", "anna")
        yield Ward(process, token["access_token"])


def form(*items: Resource, **more: Any) -> Resource:
    return {"resourceType": "Questionnaire", "status": "active", "item": list(items), **more}


def nested(depth: int) -> Resource:
    made: Resource = {"linkId": "0", "type": "group"}
    for number in range(depth):
        made = {"linkId": str(number + 1), "type": "group", "item": [made]}
    return made


def parameters(**resources: Resource) -> Resource:
    named = [{"name": n.replace("_", "-"), "resource": one} for n, one in resources.items()]
    return {"resourceType": "Parameters", "parameter": named}


RECORD: list[Resource] = [
    {"resourceType": "Patient", "id": "anna", "name": [{"family": SECRET}]},
    {"resourceType": "Patient", "id": "other", "name": [{"family": SECRET}]},
    {"resourceType": "Encounter", "id": "others", "status": "finished",
     "class": {"code": "AMB"}, "subject": {"reference": "Patient/other"}},
    form({"linkId": "a", "type": "string"}, id="f", url=FORM),
]  # fmt: skip
KNOWN, STORY = f"{ANNA}/$known-answers", f"{ANNA}/$story"
MANY = form(*({"linkId": str(n), "type": "string"} for n in range(5000)))
ANOTHER = {"resourceType": "Patient", "name": [{"family": SECRET}]}
UNNAMED = {"resourceType": "QuestionnaireResponse", "status": "completed"}
UNKNOWN = {**UNNAMED, "questionnaire": "http://forms.test/none"}
RESPONSE = "QuestionnaireResponse"

WRONG: list[tuple[str, Any, tuple[int, list[str] | None]]] = [
    (KNOWN, None, (400, ["questionnaire"])),
    (f"{KNOWN}?questionnaire=Questionnaire/none", None, (404, ["questionnaire"])),
    (f"{KNOWN}?questionnaire={FORM}|9", None, (404, ["questionnaire"])),
    (f"{KNOWN}?questionnaire={ANNA}", None, (400, ["questionnaire"])),
    (f"{KNOWN}?questionaire={FORM}", None, (400, ["questionaire"])),
    (f"{KNOWN}?questionnaire={FORM}&encounter=none", None, (404, ["encounter"])),
    (f"{KNOWN}?questionnaire={FORM}&encounter=others", None, (400, ["encounter"])),
    (f"Patient/none/$known-answers?questionnaire={FORM}", None, (404, None)),
    (KNOWN, ANOTHER, (400, ["resourceType"])),
    (KNOWN, parameters(questionnaire=ANOTHER), (400, ["questionnaire"])),
    (KNOWN, parameters(questionnaire=MANY), (403, ["Questionnaire.item[2000]"])),
    (KNOWN, parameters(questionnaire=form(nested(100))), (400, None)),
    (KNOWN, "{", (400, None)),
    (KNOWN, "[" * 100_000, (400, None)),
    ("Questionnaire/$populate?subject=Patient/anna", None,
     (400, ["questionnaire", "questionnaireRef", "canonical", "identifier"])),
    ("Questionnaire/none/$populate?subject=Patient/anna", None, (404, None)),
    ("Questionnaire/f/$populate", None, (400, ["subject"])),
    ("Questionnaire/f/$populate?subject=Patient/none", None, (404, ["subject"])),
    ("Questionnaire/f/$populate?subject=Observation/x", None, (404, ["subject"])),
    (f"Questionnaire/f/$populate?subject={ANNA}&canonical={FORM}", None, (400, ["canonical"])),
    (f"{RESPONSE}/$extract", parameters(), (400, ["questionnaire-response"])),
    (f"{RESPONSE}/$extract", parameters(questionnaire_response=ANOTHER),
     (400, ["questionnaire-response"])),
    (f"{RESPONSE}/$extract", parameters(questionnaire_response=UNNAMED),
     (422, [f"{RESPONSE}.questionnaire"])),
    (f"{RESPONSE}/$extract", parameters(questionnaire_response=UNKNOWN),
     (404, [f"{RESPONSE}.questionnaire"])),
    (f"{STORY}?audience=robot", None, (400, ["audience"])),
    (f"{STORY}?since=yesterday", None, (400, ["since"])),
    (f"{STORY}?department=Organization/none", None, (403, ["department"])),
    (f"{STORY}?encounter=Encounter/none", None, (404, ["encounter"])),
    (f"{STORY}?encounter=Encounter/others", None, (400, ["encounter"])),
    ("Patient/$summary", None, (400, ["identifier"])),
    (f"{ANNA}/$summary?profile=http://x.test", None, (404, ["profile"])),
    ("Composition/none/$document", None, (404, None)),
    ("ConceptMap/$translate", None, (400, ["code", "coding", "codeableConcept"])),
    ("ConceptMap/$translate?code=M", None, (400, ["system"])),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "expected"), WRONG)
def test_a_wrong_call_is_told_where_it_is_wrong(
    ward: Ward, path: str, body: Any, expected: tuple[int, list[str] | None]
) -> None:
    answer = ward.call("GET" if body is None else "POST", path, body)
    issue = told(answer)
    assert (answer.status_code, issue.get("expression")) == expected


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Accept": "application/fhir+xml"}, 406),
        ({"Authorization": "Bearer of-nobody"}, 401),
        ({"Authorization": "Basic x"}, 401),
    ],
)
@pytest.mark.parametrize("path", [f"{KNOWN}?questionnaire={FORM}", STORY, f"{ANNA}/$summary"])
def test_a_wrong_caller_is_told_what_is_needed(
    ward: Ward, path: str, headers: dict[str, str], status: int
) -> None:
    answer = ward.call("GET", path, None, **headers)
    assert answer.status_code == status
    told(answer)


@pytest.mark.parametrize(
    "path",
    [
        f"Patient/other/$known-answers?questionnaire={FORM}",
        "Patient/other/$story",
        "Patient/other/$summary",
        "Questionnaire/f/$populate?subject=Patient/other",
        f"{STORY}?encounter=Encounter/others",
        f"{KNOWN}?questionnaire={FORM}&encounter=others",
    ],
)
def test_of_another_patient_an_app_hears_what_it_hears_of_nobody(ward: Ward, path: str) -> None:
    def asked(address: str) -> tuple[int, str]:
        answer = ward.call("GET", address, None, Authorization=f"Bearer {ward.annas}")
        return answer.status_code, told(answer)["diagnostics"]

    status, diagnostics = asked(path)
    assert status == 404
    assert (status, diagnostics.replace("other", "never")) == asked(path.replace("other", "never"))


def test_the_log_holds_nothing_of_the_patients(ward: Ward) -> None:
    for path, body, _ in WRONG:
        ward.call("GET" if body is None else "POST", path, body)
    log = ward.process.log.read_text("utf-8")
    assert SECRET not in log
    assert "ERROR" not in log


def told(answer: httpx.Response) -> Resource:
    """Return the first issue of a failure that is told as FHIR wants it, without what is secret."""
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert SECRET not in answer.text
    issue: Resource = outcome["issue"][0]
    assert len(issue["diagnostics"].split()) > 2
    return issue
