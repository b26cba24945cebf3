"""No source, no sentence: what a sentence says is in the versions that it cites.

The extractor here is written without the code that makes the sentences: it takes a finished text
apart and looks for each piece in the JSON of the cited versions.
"""

import bz2
import json
import random
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.continuity.story.sentence import Sentence
from server.continuity.story.tell import Story
from tests.continuity.story_house import bodies, sentences, told
from tests.continuity.story_record import ADA_HERSELF, HOME, PEOPLE, RECORD, Resource

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
WORDS = Path(__file__).parents[2] / "server" / "continuity" / "story" / "words" / "en.yaml"
NEGATIONS = re.compile(
    r"\b(no|not|never|without|refuted|ruled out|none|nothing|denies)\b", re.IGNORECASE
)
CODED = re.compile(  # how R4 says no by a code or a flag
    r'not-done|not-taken|refuted|"doNotPerform": true|"valueBoolean": false|716186003'
)
PROVEN = ("recorded", "quoted", "family", "conflict")


@cache
def frame(audience: str) -> set[str]:
    """Return every word that the texts of a register bring along."""

    def walk(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [word for one in value.values() for word in walk(one)]
        return re.findall(r"[^\W\d_]+", re.sub(r"\{\w+\}", " ", str(value)).lower())

    read = yaml.load(WORDS.read_text("utf-8"), Loader=yaml.BaseLoader)
    codes = {"criticality", "utc"}
    return set(walk(read[audience])) | {month.lower() for month in MONTHS} | codes


def unproven(sentence: Sentence, sources: dict[str, Resource], audience: str) -> list[str]:
    """Return the dates, numbers, words and negations that no cited version has."""
    cited = [sources[one.reference] for one in sentence.sources]
    said = " ".join(json.dumps(one, ensure_ascii=False) for one in cited)
    text, missing = sentence.text, []

    def take(pattern: str, written: Any) -> None:
        nonlocal text
        for found in re.finditer(pattern, text):
            if written(found) not in said:
                missing.append(found[0])
        text = re.sub(pattern, " ", text)

    def month(name: str) -> str:
        return f"{MONTHS.index(name) + 1:02d}"

    names = "|".join(MONTHS)
    take(rf"\b(\d\d?) ({names}) (\d{{4}})", lambda m: f"{m[3]}-{month(m[2])}-{int(m[1]):02d}")
    take(rf"({names}) (\d{{4}})", lambda m: f"{m[2]}-{month(m[1])}")
    take(r"at (\d\d:\d\d)", lambda m: f"T{m[1]}")
    take(r"\(UTC([+-]\d\d:\d\d)\)", lambda m: m[1])
    numbers = set(re.findall(r"\d+(?:\.\d+)?", said))
    missing += [one for one in re.findall(r"\d+(?:\.\d+)?", text) if one not in numbers]
    known = frame(audience) | set(re.findall(r"[^\W\d_]+", said.lower()))
    missing += [one for one in re.findall(r"[^\W\d_]+", text.lower()) if one not in known]
    if (negated := NEGATIONS.search(sentence.text)) and not (
        re.search(rf"\b{negated[0]}\b", said, re.IGNORECASE) or CODED.search(said)
    ):
        missing.append(negated[0])
    return missing


def all_unproven(made: Story, audience: str) -> dict[str, list[str]]:
    sources = bodies(made)
    return {
        one.text: missing
        for one in sentences(made)
        if one.kind in PROVEN and (missing := unproven(one, sources, audience))
    }


@pytest.mark.parametrize("audience", ["clinician", "patient"])
async def test_each_number_date_name_and_negation_is_in_a_version_that_is_cited(
    audience: str,
) -> None:
    made = await told([*RECORD, *HOME], audience=audience, since=1)
    assert all_unproven(made, audience) == {}
    assert len(sentences(made)) > 40


def test_the_extractor_finds_what_was_planted() -> None:
    source = {"resourceType": "Condition", "code": {"text": "Asthma"}, "recordedDate": "2026-03-03"}
    from server.continuity.statement import Source

    cited = (Source("Condition", "a", 1),)
    for planted in ("Asthma; 4 March 2026.", "Asthma, 5 times.", "Diabetes.", "Not done: Asthma."):
        sentence = Sentence(planted, cited)
        assert unproven(sentence, {cited[0].reference: source}, "clinician"), planted
    true = Sentence("Asthma; author unknown, 3 March 2026.", cited)
    assert unproven(true, {cited[0].reference: source}, "clinician") == []


@pytest.mark.parametrize("seed", range(25))
async def test_records_with_anything_missing_are_told_and_true(seed: int) -> None:
    """Elements are taken away and moved about at random; nothing is invented in their place."""
    rng = random.Random(seed)
    record = [_damaged(one, rng) for one in (*RECORD, *HOME[::4])]
    for audience in ("clinician", "patient"):
        made = await told(record, audience=audience, since=1)
        assert all_unproven(made, audience) == {}


def _damaged(resource: Resource, rng: random.Random) -> Resource:
    kept = ("resourceType", "id", "subject", "patient", "participant")
    made: Resource = json.loads(json.dumps(resource))
    for name in [name for name in made if name not in kept]:
        if rng.random() < 0.3:
            del made[name]
        elif rng.random() < 0.1 and isinstance(made[name], list):
            made[name] = []
        elif rng.random() < 0.1 and isinstance(made[name], dict):
            made[name].pop(rng.choice(sorted(made[name])), None)
    return made


async def test_removing_a_source_removes_its_sentences() -> None:
    whole = sentences(await told(RECORD))
    for gone in RECORD:
        name = f"{gone['resourceType']}/{gone['id']}"
        if gone in (ADA_HERSELF, *PEOPLE):
            continue
        left = await told([one for one in RECORD if one is not gone])
        cited = {source.reference for one in sentences(left) for source in one.sources}
        assert not any(one.startswith(f"{name}/") for one in cited), name
        others = {one.text for one in whole if not _cites(one, name)}
        assert others <= {one.text for one in sentences(left)} | MOVED.get(name, set()), name


# Without its report the order is no decision of the past, but waits for its result.
MOVED = {
    "DiagnosticReport/count": {
        "Order: Blood count (active); ordered by Dr Jane Roe, 1 January 2026."
    }
}


def _cites(sentence: Sentence, name: str) -> bool:
    return any(f"{one.type}/{one.id}" == name for one in sentence.sources)


def withdrawn(resource: Resource) -> Resource:
    error = {"coding": [{"system": "http://x", "code": "entered-in-error"}]}
    match resource["resourceType"]:
        case "Condition" | "AllergyIntolerance":
            return {**resource, "verificationStatus": error}
        case "Goal":
            return {**resource, "lifecycleStatus": "entered-in-error"}
        case _:
            return {**resource, "status": "entered-in-error"}


async def test_an_entry_in_error_is_never_told() -> None:
    for gone in RECORD:
        if gone in (ADA_HERSELF, *PEOPLE) or gone["resourceType"] == "RelatedPerson":
            continue
        record = [withdrawn(one) if one is gone else one for one in RECORD]
        made = await told(record)
        name = f"{gone['resourceType']}/{gone['id']}"
        assert not any(_cites(one, name) for one in sentences(made)), name


@pytest.mark.parametrize("audience", ["clinician", "patient"])
async def test_synthetic_patients_are_told_true_and_whole(shared_data: Path, audience: str) -> None:
    files = sorted((shared_data / "synthea").glob("*.json.bz2"))
    assert len(files) > 9
    for file in files:
        record, patient = _synthea(file)
        made = await told(record, patient=patient, audience=audience, since=1)
        assert all_unproven(made, audience) == {}
        assert dropped(made) == []
        assert len(sentences(made)) > 30


def dropped(made: Story) -> list[str]:
    """Return the sentences that lack a value, a comparator or a side of the result they tell."""
    sources = bodies(made)
    found = []
    for one in sentences(made):
        entry = sources[one.sources[0].reference]
        if one.kind == "recorded" and entry["resourceType"] == "Observation":
            parts = [entry, *entry.get("component", [])]
            quantities = [part["valueQuantity"] for part in parts if "valueQuantity" in part]
            said = [f"{q.get('comparator', '')}{q['value']}" for q in quantities]
            said += [entry["bodySite"]["text"]] if "bodySite" in entry else []
            found += [one.text for text in said if text not in one.text]
    return found


def _synthea(file: Path) -> tuple[list[Resource], str]:
    """Return a record with its people, references made local."""
    bundle = json.loads(bz2.decompress(file.read_bytes()))
    names = {e["fullUrl"]: f"{e['resource']['resourceType']}/{e['resource']['id']}"
             for e in bundle["entry"]}  # fmt: skip
    text = json.dumps([entry["resource"] for entry in bundle["entry"]])
    text = re.sub(r'"(urn:uuid:[^"]+)"', lambda m: f'"{names.get(m[1], m[1])}"', text)
    record = {f"{one['resourceType']}/{one['id']}": one for one in json.loads(text)}
    patient = next(one["id"] for one in record.values() if one["resourceType"] == "Patient")
    return list(record.values()), patient
