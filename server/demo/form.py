"""A form that the patient of the demo fills in, and what the next step has to ask after that.

Over the public API, as an app and a ward would: ``$populate``, what she says, ``$extract``, and
``$known-answers``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from server.demo.api import Api

FORM = "Questionnaire/about-you"
URL = f"https://westbruck.example/{FORM}"
_DEFINITIONS = "http://hl7.org/fhir/StructureDefinition/"
_OBSERVED = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-observationExtract"
_KNOWN = "https://tellonce.org/fhir/StructureDefinition/known"
_EARLIER = timedelta(days=6)  # when the clinician wrote down what she denies

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """A question as the next step sees it: its text, its state, and the answers in words."""

    text: str
    state: str
    answers: tuple[str, ...]


async def fill_in(api: Api, patient: str, now: datetime) -> None:
    """Store the form, and what ``patient`` (``Patient/x``) says in it, unless it is there.

    Raises ``OSError`` when the server refuses.
    """
    if (await api.get(f"Questionnaire?url={URL}&_summary=count"))["total"]:
        return
    await api.send("PUT", FORM, questionnaire())
    await api.send("POST", "Observation", await _written_down(api, patient, now - _EARLIER))
    asked = _parameters({"name": "subject", "valueReference": {"reference": patient}})
    found = await api.send("POST", f"{FORM}/$populate", asked)
    (prepared,) = [p["resource"] for p in found["parameter"] if p["name"] == "response"]
    made = await api.send("POST", "QuestionnaireResponse", said(prepared, patient, now))
    commit = _parameters({"name": "commit", "valueBoolean": True})
    await api.send("POST", f"QuestionnaireResponse/{made['id']}/$extract", commit)


async def asked_next(api: Api, patient: str) -> tuple[Question, ...]:
    """Return what is known of each question in the patient's present stay."""
    stays = (await api.get(f"Encounter?subject={patient}&status=in-progress")).get("entry", [])
    during = f"&encounter=Encounter/{stays[0]['resource']['id']}" if stays else ""
    known = await api.get(f"{patient}/$known-answers?questionnaire={URL}{during}")
    return tuple(_question(item["part"]) for item in known["parameter"])


def questionnaire() -> Resource:
    """Return the form."""
    return {
        "resourceType": "Questionnaire",
        "id": FORM.partition("/")[2],
        "url": URL,
        "title": _file()["title"],
        "status": "active",
        "subjectType": ["Patient"],
        "extension": [{"url": _OBSERVED, "valueBoolean": True}],
        "item": [_item(row) for row in _file()["questions"]],
    }


def said(prepared: Resource, patient: str, now: datetime) -> Resource:
    """Return the prepared response as the patient sends it: confirmed, added to, or left open."""
    whose = {"reference": patient}
    items = {item["linkId"]: item for item in prepared.get("item", ())}
    for row in _file()["questions"]:
        item = items.setdefault(row["id"], {"linkId": row["id"], "text": row["text"]})
        if "say" in row:
            item["answer"] = [_number(row["say"])]
        elif "confirm" in row:
            for one in item.get("extension", ()):
                if one["url"] == _KNOWN:
                    one["extension"].append({"url": "confirmed", "valueBoolean": True})
    kept = {key: value for key, value in prepared.items() if key not in ("id", "meta", "text")}
    told = {"status": "completed", "authored": _text(now), "author": whose, "source": whose}
    return {**kept, **told, "item": [items[row["id"]] for row in _file()["questions"]]}


async def _written_down(api: Api, patient: str, at: datetime) -> Resource:
    """Return what a clinician noted, as an Observation."""
    clinicians = (await api.get("Practitioner?_count=1")).get("entry", [])
    by = [{"reference": f"Practitioner/{entry['resource']['id']}"} for entry in clinicians]
    (question,) = [item for item in questionnaire()["item"] if item["linkId"] == "smoking"]
    made: Resource = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": question["code"], "text": "Smoking"},
        "subject": {"reference": patient},
        "effectiveDateTime": _text(at),
        "valueCodeableConcept": {"coding": [_file()["clinician"]["smoking"]]},
    }
    return {**made, "performer": by} if by else made


def _item(row: Mapping[str, Any]) -> Resource:
    made: Resource = {"linkId": row["id"], "type": row["type"], "text": row["text"]}
    if row["type"] == "open-choice":
        made["repeats"] = True
    if "|" in row["meaning"]:
        system, code, name = row["meaning"].split("|")
        return {**made, "code": [{"system": system, "code": code, "display": name}]}
    return {**made, "definition": f"{_DEFINITIONS}{row['meaning']}"}


def _question(parts: list[Resource]) -> Question:
    told = {part["name"]: part for part in parts if part["name"] != "answer"}
    answers = [part["part"] for part in parts if part["name"] == "answer"]
    texts = tuple(_answer(one, both=told["state"]["valueCode"] == "conflict") for one in answers)
    return Question(told["text"]["valueString"], told["state"]["valueCode"], texts)


def _answer(parts: list[Resource], *, both: bool) -> str:
    """Return an answer in words, with who said it where several disagree."""
    told = {part["name"]: part for part in parts}
    (value,) = [v for key, v in told["value"].items() if key.startswith("value")]
    text = _words(value)
    return f"{text} ({told['authorKind']['valueCode']})" if both else text


def _words(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    if "value" in value:
        return f"{value['value']} {value.get('unit', '')}".strip()
    coding = (value.get("coding") or [value])[0]
    return str(value.get("text") or coding.get("display") or coding.get("code", ""))


def _number(say: Mapping[str, Any]) -> Resource:
    """Return an answer of the file, whose values are texts, with its number as one."""
    if "valueQuantity" not in say:
        return {**say}
    quantity = say["valueQuantity"]
    return {"valueQuantity": {**quantity, "value": float(quantity["value"])}}


def _parameters(*parts: Resource) -> Resource:
    return {"resourceType": "Parameters", "parameter": list(parts)}


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


@cache
def _file() -> dict[str, Any]:
    text = (files("server.demo") / "form.yaml").read_text("utf-8")
    return dict(yaml.load(text, Loader=yaml.BaseLoader))  # noqa: S506 - makes strings, no objects
