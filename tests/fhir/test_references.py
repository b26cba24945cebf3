import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.fhir.references import Reference, reference_type, rewrite, split_reference

BASE = "http://me.test/fhir"
URN = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Patient/a", Reference("Patient", "a")),
        ("Patient/a/_history/2", Reference("Patient", "a", "2")),
        ("Patient/a#part", Reference("Patient", "a", fragment="part")),
        (f"{BASE}/Patient/a", Reference("Patient", "a")),
        (f"{BASE}/Patient/a/_history/2", Reference("Patient", "a", "2")),
        ("http://me.test/fhirs/Patient/a", Reference(url="http://me.test/fhirs/Patient/a")),
        (
            "http://else.test/Patient/a/_history/2",
            Reference(url="http://else.test/Patient/a", version="2"),
        ),
        (URN, Reference(url=URN)),
        ("urn:oid:1.2.3", Reference(url="urn:oid:1.2.3")),
        ("http://x/ValueSet/a|2", Reference(url="http://x/ValueSet/a", version="2")),
        ("#inside", Reference(fragment="inside")),
        ("#", Reference(fragment="")),
        ("Patient?identifier=s|1", Reference("Patient", query="identifier=s|1")),
        ("Patient/" + "a" * 65, Reference(url="Patient/" + "a" * 65)),
        ("", Reference(url="")),
    ],
)
def test_every_form_of_a_reference(text: str, named: Reference) -> None:
    assert split_reference(text, BASE) == named


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    assert split_reference(text, BASE) is not None


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("Patient/a", "Patient"),
        ("http://else.test/Patient/a/_history/1", "Patient"),
        ("Group?name=a", "Group"),
        ("#a", None),
        (URN, None),
    ],
)
def test_the_type_that_a_reference_states(text: str, type_: str | None) -> None:
    assert reference_type(text) == type_


def test_rewriting_touches_links_and_nothing_else() -> None:
    sent = {
        "resourceType": "Library",
        "url": URN,
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": URN}],
        "subjectReference": {"reference": f"{URN}#part", "display": URN},
        "relatedArtifact": [{"type": "documentation", "document": {"url": URN}}],
        "extension": [{"url": "x", "valueUri": URN}, {"url": "x", "valueString": URN}],
    }
    assert rewrite(sent, {URN: "Binary/7"}) == {
        "resourceType": "Library",
        "url": URN,
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": URN}],
        "subjectReference": {"reference": "Binary/7#part", "display": URN},
        "relatedArtifact": [{"type": "documentation", "document": {"url": "Binary/7"}}],
        "extension": [{"url": "x", "valueUri": "Binary/7"}, {"url": "x", "valueString": URN}],
    }


def test_rewriting_leaves_what_was_sent_as_it_was() -> None:
    sent = {"resourceType": "Observation", "subject": {"reference": URN}, "code": {"text": "a"}}
    made = rewrite(sent, {URN: "Patient/7"})
    assert sent["subject"] == {"reference": URN}
    assert made["code"] is sent["code"]
    assert rewrite(sent, {"urn:uuid:other": "Patient/7"}) is sent
