"""One record that a caller sees, and generated others around it that the caller must not feel.

The record (:data:`RECORD`) is of patient a, with practitioners and an organization.  Around it come
resources of other patients and, for each kind of caller, resources of patient a that are hidden
from such a caller.  What is seen points at them, and they point at what is seen.
"""

from typing import Any

from hypothesis import strategies as st

from server.access.context import AccessContext, Permit, shared_types
from server.access.narrow import narrow
from server.search.query import (
    AllOf,
    DateIs,
    InCompartmentOf,
    Mentioned,
    Not,
    Query,
    ReferredBy,
)
from server.store.port import Write
from tests.contract.limited import (
    RESTRICTED,
    VITALS,
    holding,
    labelled,
    moment,
    patient_types,
    released,
    shared_with,
)
from tests.contract.made import deletion, put

Resource = dict[str, Any]
Commit = list[Write]


def _ref(place: str) -> dict[str, str]:
    return {"reference": place}


def _observation(id_: str, patient: str = "a", **more: Any) -> Resource:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "category": [{"coding": [{"code": more.pop("category", "vital-signs")}]}],
        "code": {"coding": [{"code": more.pop("code", "x")}]},
        "subject": _ref(f"Patient/{patient}"),
        **more,
    }


def _practitioner(id_: str, name: str) -> Resource:
    return {"resourceType": "Practitioner", "id": id_, "name": [{"text": name}]}


def _patient(id_: str, name: str, **more: Any) -> Resource:
    return {"resourceType": "Patient", "id": id_, "name": [{"text": name}], **more}


def _general_practitioner(id_: str) -> list[dict[str, str]]:
    return [_ref(f"Practitioner/{id_}")]


def _encounter(id_: str, patient: str, status: str, start: str) -> Resource:
    return {
        "resourceType": "Encounter",
        "id": id_,
        "status": status,
        "subject": _ref(f"Patient/{patient}"),
        "period": {"start": start},
    }


RECORD: list[list[Resource | tuple[str, str]]] = [
    [
        _patient("a", "Ann", gender="female", generalPractitioner=[_ref("Practitioner/p1")]),
        _practitioner("p1", "Ann"),
        _practitioner("p2", "Bo"),
        _practitioner("p3", "Cy"),
        {"resourceType": "Organization", "id": "o1", "name": "Bo"},
        _encounter("e1", "a", "finished", "2020-01-01"),
    ],
    [
        _observation(
            "m1",
            effectiveDateTime="2020-01-01",
            hasMember=[_ref("Observation/x1")],
            encounter=_ref("Encounter/x1"),
            performer=[_ref("Practitioner/p2")],
        ),
        _observation(
            "m2", code="y", hasMember=[_ref("Observation/m1")], encounter=_ref("Encounter/e1")
        ),
    ],
    [
        labelled(_observation("m3", effectiveDateTime="2018", encounter=_ref("Encounter/x2")), "N"),
        released(_observation("m4", hasMember=[_ref("Observation/x2")]), "2025-01-01T00:00:00Z"),
        _observation("m1", code="y", hasMember=[_ref("Observation/x1"), _ref("Observation/m2")]),
    ],
    [("Observation", "m4"), _observation("m5", performer=[_ref("Organization/o1")])],
]
"""Commits, in their order; a tuple is a deletion."""

OTHERS = st.one_of(
    st.builds(
        _patient,
        st.sampled_from(["b", "c"]),
        st.sampled_from(["Ann", "Dee"]),
        gender=st.sampled_from(["male", "female"]),
        generalPractitioner=st.sampled_from(["p1", "p3"]).map(
            lambda p: [_ref(f"Practitioner/{p}")]
        ),
    ),
    st.builds(
        _encounter,
        st.sampled_from(["x1", "x2"]),
        st.sampled_from(["b", "c"]),
        st.sampled_from(["planned", "finished"]),
        st.sampled_from(["2019", "2021"]),
    ),
    st.builds(
        lambda target: {
            "resourceType": "Provenance",
            "id": "x",
            "recorded": "2020-01-01T00:00:00Z",
            "target": [_ref(f"Observation/{target}")],
            "agent": [{"who": _ref("Practitioner/p3")}],
        },
        st.sampled_from(["m1", "m2"]),
    ),
    st.builds(
        lambda result, by: {
            "resourceType": "DiagnosticReport",
            "id": "x",
            "status": "final",
            "code": {"text": "x"},
            "subject": _ref("Patient/b"),
            "result": [_ref(f"Observation/{result}")],
            "performer": [_ref(f"Practitioner/{by}")],
        },
        st.sampled_from(["m1", "m3"]),
        st.sampled_from(["p1", "p3"]),
    ),
    st.just(_practitioner("x", "Cy")),
)


def _observations(patient: str, **fixed: Any) -> st.SearchStrategy[Resource]:
    return st.builds(
        lambda id_, code, day, member, by: _observation(
            id_,
            patient,
            code=code,
            effectiveDateTime=day,
            hasMember=[_ref(f"Observation/{member}")],
            performer=[_ref(f"Practitioner/{by}")],
            **fixed,
        ),
        st.sampled_from(["x1", "x2", "x3"]),
        st.sampled_from(["x", "y"]),
        st.sampled_from(["2017", "2020-02", "2026"]),
        st.sampled_from(["m1", "m2", "x1"]),
        st.sampled_from(["p1", "p2", "p3"]),
    )


_OWN = Permit("*", compartment="Patient/a")
_UNCLEARED = Permit("*", compartment="Patient/a", hidden=(RESTRICTED,))
_PATIENT = Permit("*", compartment="Patient/a", hidden=(RESTRICTED,), released=moment(2026))
_GRANULAR = Permit("Observation", compartment="Patient/a", where=VITALS)


def _with_shared(*own: Permit) -> AccessContext:
    """Return a caller who sees as well what the record that is open refers to, and no more."""
    seen = narrow(Query(patient_types()), holding(*own), "read")
    shared = Permit("several", where=Mentioned(seen), types=shared_types())
    return holding(*own, shared)


def _of_department() -> AccessContext:
    """Return a caller who sees the patients with an Encounter that begins in 2020.

    The Encounters around it begin in other years.
    """
    since, before = (DateIs("Encounter", "date", "sa", 0, moment(year)) for year in (2020, 2021))
    begun = Query(("Encounter",), AllOf((since, Not(before))))
    patients = Query(("Patient",), ReferredBy(begun, "patient"))
    clinical = Permit("several", where=InCompartmentOf(patients), types=frozenset(patient_types()))
    return holding(clinical, Permit("Practitioner"), Permit("Organization"))


_LABS = _observations("a", category="laboratory")
_RESTRICTED = _observations("a").map(labelled)
_HELD = st.one_of(
    _observations("a").map(lambda one: released(one, None)),
    _observations("a").map(lambda one: released(one, "2027-01-01T00:00:00Z")),
)

CALLERS: dict[str, tuple[AccessContext, st.SearchStrategy[Resource]]] = {
    "of a compartment": (holding(_OWN), OTHERS | _observations("b")),
    "of a compartment and what it shares": (
        holding(*shared_with("Patient/a")),
        OTHERS | _observations("b"),
    ),
    "with a granular scope": (
        _with_shared(
            Permit("Patient", compartment="Patient/a"),
            Permit("Encounter", compartment="Patient/a"),
            _GRANULAR,
        ),
        OTHERS | _observations("b") | _LABS,
    ),
    "without clearance": (_with_shared(_UNCLEARED), OTHERS | _observations("c") | _RESTRICTED),
    "before the release": (
        _with_shared(_PATIENT),
        OTHERS | _observations("b") | _RESTRICTED | _HELD,
    ),
    "of a department": (
        _of_department(),
        OTHERS.filter(lambda one: one["resourceType"] != "Practitioner") | _observations("b"),
    ),
    "of all Practitioners": (
        holding(_OWN, Permit("Practitioner"), Permit("Organization")),
        OTHERS.filter(lambda one: one["resourceType"] != "Practitioner") | _observations("b"),
    ),
}
"""Kinds of callers, each with what is hidden from them."""


_POINTING: list[Resource] = [
    _patient("b", "Dee", gender="male", generalPractitioner=[_ref("Practitioner/p3")]),
    _encounter("x1", "b", "planned", "2021"),
    _encounter("x2", "b", "finished", "2019"),
]


def _pointing(patient: str, **more: Any) -> Resource:
    return _observation(
        "x1",
        patient,
        effectiveDateTime="2017",
        hasMember=[_ref("Observation/m1")],
        performer=[_ref("Practitioner/p3")],
        **more,
    )


LOUD: list[tuple[AccessContext, Commit]] = [
    (CALLERS["of all Practitioners"][0], [*map(put, _POINTING), put(_pointing("b"))]),
    (CALLERS["with a granular scope"][0], [put(_pointing("a", category="laboratory"))]),
]
"""Callers, and hidden resources that say the loudest: all that is seen points at them or is
pointed at by them."""


def around(hidden: st.SearchStrategy[Resource]) -> st.SearchStrategy[list[Commit]]:
    """Return what is committed before each commit of the record, and behind the last."""
    write = hidden.flatmap(
        lambda one: st.sampled_from(
            [put(one), put(one), deletion(str(one["resourceType"]), str(one["id"]))]
        )
    )
    commit = st.lists(write, max_size=4, unique_by=lambda write: (write.type, write.id))
    return st.lists(commit, min_size=len(RECORD) + 1, max_size=len(RECORD) + 1)


def own_commit(place: int) -> Commit:
    """Return a commit of the record."""
    return [deletion(*one) if isinstance(one, tuple) else put(one) for one in RECORD[place]]
