"""What is made fast is what the generic walk makes: rows, compartments, valid R4."""

from dataclasses import replace
from itertools import product

import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from server.access.context import AccessContext, Permit, Trace
from server.audit.audit_event import Event, audit_event, resource
from server.audit.codes import KINDS
from server.audit.provenance import Targets, provenance, sent
from server.audit.provenance import resource as provenance_resource
from server.fhir import json as fhir_json
from server.search import extract
from server.search.catalog import Catalog
from server.search.rows import Framed, IndexRows, whole
from server.store.port import Write
from server.store.presence import presences
from server.store.stored import splice
from server.validation import check

BASE = "http://fhir.test/fhir"
AT = 1_767_323_045_678_901
ANNA = AccessContext(
    "user/anna",
    "app",
    (Permit("*"),),
    person="Practitioner/anna",
    trace=Trace("req-1", "10.0.0.1", purpose=("TREAT",)),
)
CALLERS = (
    ANNA,
    replace(ANNA, person=None),
    replace(ANNA, person="Patient/a"),
    replace(ANNA, principal="client/app"),
    replace(ANNA, trace=None),
    AccessContext("-", "-", ()),
)
CONFIDENTIAL = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality|R"
LABELS = ((), (CONFIDENTIAL, "http://terminology.hl7.org/CodeSystem/v3-ActCode|HIV"), ("|x",))
DATA = (
    (),
    (("Observation/1/_history/2", ""),),
    (("Patient/a/_history/2", ""),),
    (("Patient/a/_history/2", "1"), ("Observation/2", "3")),
    (("urn:uuid:7", ""), ("client/my-app", "")),
)


def in_order(found: IndexRows | Framed | None) -> IndexRows:
    """The order of rows carries nothing."""
    assert found is not None
    rows = whole(found)
    return replace(rows, dates=tuple(sorted(rows.dates)), references=tuple(sorted(rows.references)))


def is_what_the_walk_makes(write: Write) -> None:
    assert write.body is not None
    stored = fhir_json.loads(splice(write.body, 1, AT))
    check(stored)
    rows, compartments = extract.indexed(stored, BASE)
    assert in_order(write.rows) == in_order(rows)
    if isinstance(write.rows, Framed):
        parts = (write.rows.frame.keys, write.rows.own, write.rows.others, write.rows.within)
        assert sum(map(len, parts)) == len(write.rows.keys)
    assert write.compartments == compartments


@pytest.mark.parametrize("interaction", KINDS)
def test_the_rows_of_an_event_are_those_of_the_walk(interaction: str) -> None:
    for access, patient, data, labels, why in product(
        CALLERS, (None, "Patient/a", "Patient/b"), DATA, LABELS, ("", "403 Forbidden")
    ):
        query = "Observation?code=x" if interaction.startswith("search") else None
        event = Event(AT, "R", interaction, access, patient, data, query, labels, "0", why)
        is_what_the_walk_makes(audit_event(event, "id-1", BASE))


@pytest.mark.parametrize("interaction", KINDS)
def test_an_event_is_an_audit_event_to_others_as_well(interaction: str) -> None:
    event = Event(AT, "E", interaction, ANNA, "Patient/a", DATA[1], "Observation?code=x")

    write = audit_event(event, "id-1", BASE)

    assert write.body is not None
    stored = splice(write.body, 1, AT)
    assert AuditEvent.model_validate_json(stored).action == "E"
    assert fhir_json.loads(stored) == {
        **resource(event, BASE),
        "id": "id-1",
        "meta": {"versionId": "1", "lastUpdated": "2026-01-02T03:04:05.678Z"},
    }


def test_added_search_parameters_are_followed() -> None:
    (parameter,) = [p for p in Catalog().parameters("AuditEvent").values() if p.code == "outcome"]
    catalog = Catalog([replace(parameter, code="fate", url="http://x.test/fate")])
    event = Event(AT, "R", "read", ANNA, "Patient/a", DATA[1])

    write = audit_event(event, "id-1", BASE, catalog)

    assert write.rows is not None
    assert write.rows.keys - audit_event(event, "id-1", BASE).rows.keys  # type: ignore[union-attr]


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("methods", [("POST",), ("DELETE", "PUT")])
def test_the_rows_of_a_provenance_are_those_of_the_walk_and_of_its_patient(
    labels: tuple[str, ...], methods: tuple[str, ...]
) -> None:
    versions = (("Observation/x", 3), ("Patient/b", 1))
    targets = Targets(versions, methods, ("Patient/b",), labels)

    made = provenance(ANNA, targets, "id-2", recorded=AT, base_url=BASE)
    is_what_the_walk_makes(made)

    same = sent(provenance_resource(ANNA, targets, recorded=AT), targets, "id-2", base_url=BASE)
    assert in_order(same.rows) == in_order(made.rows)
    alone = replace(targets, versions=versions[:1])
    assert "Patient/b" in provenance(ANNA, alone, "id", recorded=AT, base_url=BASE).compartments


def test_an_event_takes_few_rows_of_its_own() -> None:
    """What very many events share is filed once for all of them."""
    event = Event(AT, "R", "read", ANNA, "Patient/a", DATA[1])

    rows = audit_event(event, "id-1", BASE).rows

    assert rows is not None
    assert len(rows.keys) == 60
    assert len(rows.keys - presences("AuditEvent")) == 16


def test_no_key_stands_twice_when_a_caller_names_its_request_like_what_it_asks_for() -> None:
    caller = replace(ANNA, trace=Trace("urn:uuid:7", "10.0.0.1"))

    rows = audit_event(Event(AT, "R", "read", caller, None, (("urn:uuid:7", ""),)), "1", BASE).rows

    assert isinstance(rows, Framed)
    assert len(rows.own) == len(set(rows.own))
