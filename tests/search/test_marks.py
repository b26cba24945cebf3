"""Marks among the compartments: labels, release, and compartments that R4 does not know of."""

from typing import Any

import pytest

from server.search.extract import compartments, index_rows, indexed
from server.search.marks import RELEASE_URL, labels, release
from server.search.rows import MAX_TIME, hash64, param_hash

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
DAY = 86_400_000_000


def labelled(*security: dict[str, str]) -> dict[str, Any]:
    return {"resourceType": "Flag", "id": "f", "meta": {"security": list(security)}}


def released(**parts: str) -> dict[str, Any]:
    names = {"at": "valueInstant", "until": "valueInstant", "hold": "valueCode"}
    said = [{"url": name, names[name]: value} for name, value in parts.items()]
    extension = [{"url": "http://else.test"}, {"url": RELEASE_URL, "extension": said}]
    return {"resourceType": "Flag", "id": "f", "extension": extension}


@pytest.mark.parametrize(
    ("security", "marks"),
    [
        ({"system": CONFIDENTIALITY, "code": "R"}, (f"label|{CONFIDENTIALITY}|R",)),
        ({"system": ACT, "code": "HIV"}, (f"label|{ACT}|HIV",)),
        ({"system": "http://else.test", "code": "R"}, ()),
        # in doubt hidden
        ({"code": "R"}, (f"label|{ACT}|R", f"label|{CONFIDENTIALITY}|R")),
        ({"system": CONFIDENTIALITY, "code": "secret"}, (f"label|{CONFIDENTIALITY}|V",)),
        ({"system": ACT}, (f"label|{CONFIDENTIALITY}|V",)),
        ({"display": "not for everybody"}, (f"label|{CONFIDENTIALITY}|V",)),
    ],
)
def test_labels_are_marks(security: dict[str, str], marks: tuple[str, ...]) -> None:
    resource = labelled(security)
    assert compartments(resource) == marks
    assert {hash64(f"compartment|{mark}") for mark in marks} <= index_rows(resource).keys
    assert indexed(resource) == (index_rows(resource), marks)


def test_labels_are_told_without_repeats_in_order() -> None:
    both = {"system": CONFIDENTIALITY, "code": "R"}, {"system": ACT, "code": "SEX"}
    assert labels(labelled(*both, *both)) == (f"{ACT}|SEX", f"{CONFIDENTIALITY}|R")


@pytest.mark.parametrize(
    ("parts", "moment"),
    [
        ({"at": "1970-01-02T00:00:00Z"}, DAY),
        ({"at": "1970-01-02T00:00:00Z", "hold": "x", "until": "1970-01-03T00:00:00Z"}, 2 * DAY),
        ({"at": "1970-01-04T00:00:00Z", "hold": "x", "until": "1970-01-03T00:00:00Z"}, 3 * DAY),
        ({"hold": "x", "until": "1970-01-02T01:00:00+01:00"}, DAY),
        ({"hold": "x"}, MAX_TIME),
        ({"at": "1970-01-02T00:00:00Z", "hold": "x"}, MAX_TIME),
        # in doubt never
        ({}, MAX_TIME),
        ({"at": "tomorrow"}, MAX_TIME),
    ],
)
def test_a_release_is_a_mark_and_a_row(parts: dict[str, str], moment: int) -> None:
    resource = released(**parts)
    rows, marks = indexed(resource)
    assert release(resource) == moment
    assert marks == ("release",)
    assert rows.dates == ((param_hash("Resource", "_release"), moment, moment + 1),)
    assert hash64("compartment|release") in rows.keys


def test_without_the_extension_there_is_no_release() -> None:
    resource = {"resourceType": "Flag", "id": "f", "extension": [{"url": "http://else.test"}]}
    assert release(resource) is None
    assert compartments(resource) == ()


@pytest.mark.parametrize(
    ("resource", "entered"),
    [
        ({"resourceType": "Task", "for": {"reference": "Patient/p"}}, ("Patient/p",)),
        ({"resourceType": "Task", "owner": {"reference": "Patient/p"}}, ()),
        ({"resourceType": "Task", "for": {"reference": "Group/p"}}, ()),
        (
            {"resourceType": "Device", "patient": {"reference": "http://me.test/Patient/p"}},
            ("Device/x", "Patient/p"),
        ),
        (
            {"resourceType": "Binary", "securityContext": {"reference": "Patient/p"}},
            ("Patient/p",),
        ),
        ({"resourceType": "Binary", "securityContext": {"reference": "DocumentReference/d"}}, ()),
        ({"resourceType": "Binary", "contentType": "text/plain"}, ()),
    ],
)
def test_tasks_devices_and_binaries_are_in_the_compartment_of_their_patient(
    resource: dict[str, Any], entered: tuple[str, ...]
) -> None:
    assert compartments({"id": "x", **resource}, "http://me.test") == entered


def test_a_bundle_bears_the_labels_of_what_is_in_it() -> None:
    inside = labelled({"system": CONFIDENTIALITY, "code": "V"})
    bundle = {"resourceType": "Bundle", "id": "b", "entry": [{"resource": inside}, {}]}
    assert compartments(bundle) == (f"label|{CONFIDENTIALITY}|V",)
