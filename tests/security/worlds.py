"""Worlds: what others than Ann have, generated, and one in which they have a bit of everything.

Others' things refer to hers, by every reference that puts nothing into her compartment.
"""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.security.ann import (
    KINDS,
    LOINC,
    PROBLEMS,
    RELEASE,
    RESTRICTED,
    VALUE_SET,
    VITAL,
    Kind,
    Resource,
    coded,
    ref,
)

_sometimes = st.booleans()
_codes = st.sampled_from(("8867-4", "c", "m", "zzz"))
_days = st.sampled_from(("1999-01-01", "2020-06-01", "2021-01-01", "2030-01-01"))


def _maybe(**more: st.SearchStrategy[Any]) -> st.SearchStrategy[Resource]:
    """Draw some of these members."""
    return st.fixed_dictionaries({}, optional=more)


def _refs(*targets: str) -> st.SearchStrategy[Any]:
    return st.lists(st.sampled_from(targets).map(ref), min_size=1, max_size=2)


def _observation(id_: str) -> st.SearchStrategy[Resource]:
    fixed = {"resourceType": "Observation", "id": id_, "status": "final",
             "subject": ref("Patient/b")}  # fmt: skip
    return st.builds(
        lambda code, more: {**fixed, "code": coded(code), **more},
        _codes,
        _maybe(
            category=st.just([{"coding": [VITAL]}]),
            effectiveDateTime=_days,
            valueQuantity=st.integers(50, 80).map(lambda n: {"value": n, "unit": "/min"}),
            encounter=st.sampled_from(("Encounter/e0", "Encounter/k0")).map(ref),
            performer=_refs("Practitioner/p0", "Practitioner/q0", "Organization/w0"),
            focus=_refs("Patient/a", "Encounter/e0"),
            hasMember=_refs("Observation/o0", "Observation/o2", "Observation/h1"),
            derivedFrom=_refs("Observation/o1", "Observation/h0"),
            identifier=st.sampled_from("19").map(lambda v: [{"system": "s", "value": v}]),
            contained=st.just([{"resourceType": "Device", "id": "d",
                                "deviceName": [{"name": "Meter", "type": "other"}]}]),
            device=st.just(ref("#d")),
        ),
    )  # fmt: skip


def _of(type_: str, id_: str, **more: st.SearchStrategy[Any]) -> st.SearchStrategy[Resource]:
    return _maybe(**more).map(lambda found: {"resourceType": type_, "id": id_, **found})


def _with(part: Resource, made: st.SearchStrategy[Resource]) -> st.SearchStrategy[Resource]:
    return made.map(lambda one: {**part, **one})


_POOL: dict[str, st.SearchStrategy[Resource]] = {
    "Patient/b": _of(
        "Patient", "b",
        identifier=st.sampled_from(("a", "b", "1")).map(lambda v: [{"system": "s", "value": v}]),
        name=st.sampled_from(("Adams", "Zoe")).map(lambda n: [{"family": n}]),
        birthDate=st.sampled_from(("1980-01-01", "1970-01-01")),
        generalPractitioner=_refs("Practitioner/p0", "Practitioner/q0"),
        managingOrganization=st.just(ref("Organization/g0")),
    ),
    **{f"Observation/{id_}": _observation(id_) for id_ in ("h0", "h1", "h2")},
    "Condition/d0": _with(
        {"subject": ref("Patient/b")},
        _of("Condition", "d0", code=_codes.map(coded), encounter=st.just(ref("Encounter/e0")),
            evidence=_refs("Observation/o0").map(lambda found: [{"detail": found}])),
    ),
    "Encounter/k0": _with(
        {"status": "finished", "class": {"code": "AMB"}, "subject": ref("Patient/b")},
        _of("Encounter", "k0", partOf=st.just(ref("Encounter/e0")),
            serviceProvider=st.just(ref("Organization/g0"))),
    ),
    "List/m0": _with(
        {"status": "current", "mode": "working", "code": PROBLEMS, "subject": ref("Patient/b")},
        _of("List", "m0", entry=_refs("Observation/o0", "Condition/c0", "Patient/a").map(
            lambda found: [{"item": item} for item in found])),
    ),
    "Practitioner/q0": _of("Practitioner", "q0", name=st.just([{"family": "Poe"}])),
    "Organization/w0": _with(
        {"name": "General"}, _of("Organization", "w0", partOf=st.just(ref("Organization/g0")))
    ),
    "Binary/z0": _with({"contentType": "text/plain"},
                       _of("Binary", "z0", securityContext=st.just(ref("Patient/b")))),
    "DocumentReference/s0": _with(
        {"status": "current", "subject": ref("Patient/b"),
         "content": [{"attachment": {"url": "Binary/n0"}}]},
        _of("DocumentReference", "s0", relatesTo=st.just(
            [{"code": "replaces", "target": ref("DocumentReference/r0")}])),
    ),
    "Provenance/v0": st.just(
        {"resourceType": "Provenance", "id": "v0", "target": [ref("Observation/o0")],
         "recorded": "2026-01-01T00:00:00Z", "agent": [{"who": ref("Practitioner/p0")}]}),
    "AuditEvent/u0": st.just(
        {"resourceType": "AuditEvent", "id": "u0", "recorded": "2026-01-01T00:00:00Z",
         "type": {"code": "rest"}, "agent": [{"requestor": True, "who": ref("Practitioner/p0")}],
         "source": {"observer": {"display": "x"}}, "entity": [{"what": ref("Observation/o0")}]}),
    "ValueSet/y0": st.just(
        {"resourceType": "ValueSet", "id": "y0", "status": "active", "url": VALUE_SET,
         "compose": {"include": [{"system": LOINC, "concept": [{"code": "8867-4"}]}]}}),
    "Medication/t1": st.just({"resourceType": "Medication", "id": "t1", "code": coded("m")}),
}  # fmt: skip


def _labelled(resource: Resource) -> Resource:
    return {**resource, "meta": {"security": [RESTRICTED]}}


def _held(resource: Resource) -> Resource:
    held = {"url": RELEASE, "extension": [{"url": "hold", "valueCode": "review"}]}
    return {**resource, "extension": [held]}


def _later(resource: Resource) -> Resource:
    at = {"url": RELEASE, "extension": [{"url": "at", "valueInstant": "2027-01-01T00:00:00Z"}]}
    return {**resource, "extension": [at]}


def _uncategorised(resource: Resource) -> Resource:
    return {name: value for name, value in resource.items() if name != "category"}


_OWN_BUT_HIDDEN = {"label": _labelled, "held": _held, "later": _later, "other": _uncategorised}


@dataclass(frozen=True)
class World:
    """``before`` and ``after``: what others have, written before and after Ann's; in the order of
    writing, a resource twice for two versions.  ``gone``: what was deleted of it."""

    kind: Kind
    before: tuple[Resource, ...]
    after: tuple[Resource, ...]
    gone: tuple[str, ...]


@st.composite
def worlds(draw: st.DrawFn, kinds: tuple[Kind, ...] = KINDS) -> World:
    """Draw a world; of what is hidden at least a half is there."""
    kind = draw(st.sampled_from(kinds))
    names = draw(st.lists(st.sampled_from(tuple(_POOL)), min_size=8, max_size=24))
    made: list[Resource] = []
    own: set[str] = set()  # things of Ann's that are hidden stay hers: nothing was ever open
    for name in names:
        resource = draw(_POOL[name])
        hideable = resource["resourceType"] in kind.types and kind.hides
        if name in own or (hideable and all(_name(m) != name for m in made) and draw(_sometimes)):
            own.add(name)
            hide = _OWN_BUT_HIDDEN[draw(st.sampled_from(kind.hides))]
            resource = hide({**resource, "subject": ref("Patient/a")})
        made.append(resource)
    cut = draw(st.integers(0, len(made)))
    gone = draw(
        st.lists(st.sampled_from(sorted({_name(m) for m in made})), unique=True, max_size=2)
    )
    return World(kind, tuple(made[:cut]), tuple(made[cut:]), tuple(gone))


def _name(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _b(type_: str, id_: str, **more: Any) -> Resource:
    return {"resourceType": type_, "id": id_, "subject": ref("Patient/b"), **more}


_B_OBSERVATION: Resource = {"status": "final", "code": coded("8867-4")}

FULL: tuple[Resource, ...] = (
    {"resourceType": "Practitioner", "id": "q0", "name": [{"family": "Poe"}]},
    {"resourceType": "Organization", "id": "w0", "name": "General"},
    {"resourceType": "Patient", "id": "b", "identifier": [{"system": "s", "value": "b"}],
     "name": [{"family": "Zoe"}], "birthDate": "1970-01-01",
     "generalPractitioner": [ref("Practitioner/p0")],
     "managingOrganization": ref("Organization/g0")},
    _b("Observation", "h0", **_B_OBSERVATION, effectiveDateTime="2020-06-01",
       category=[{"coding": [VITAL]}], valueQuantity={"value": 65, "unit": "/min"},
       hasMember=[ref("Observation/o0"), ref("Observation/o2")], focus=[ref("Patient/a")],
       encounter=ref("Encounter/k0"), performer=[ref("Practitioner/p0")],
       identifier=[{"system": "s", "value": "9"}],
       contained=[{"resourceType": "Device", "id": "d",
                   "deviceName": [{"name": "Meter", "type": "other"}]}], device=ref("#d")),
    _b("Observation", "h1", status="final", code=coded("zzz"), effectiveDateTime="2030-01-01",
       derivedFrom=[ref("Observation/o1")], hasMember=[ref("Observation/o1")],
       meta={"security": [RESTRICTED], "tag": [{"code": "x"}]}),
    _b("Condition", "d0", code=coded("c"), encounter=ref("Encounter/e0"),
       evidence=[{"detail": [ref("Observation/o0")]}]),
    _b("Encounter", "k0", status="finished", **{"class": {"code": "AMB"}},
       partOf=ref("Encounter/e0"), meta={"security": [RESTRICTED]}),
    _b("List", "m0", status="current", mode="working", code=PROBLEMS,
       entry=[{"item": ref("Observation/o0")}, {"item": ref("Condition/c0")}]),
    {"resourceType": "Binary", "id": "z0", "contentType": "text/plain", "data": "QQ==",
     "securityContext": ref("Patient/b")},
    _b("DocumentReference", "s0", status="current",
       content=[{"attachment": {"url": "Binary/n0"}}],
       relatesTo=[{"code": "replaces", "target": ref("DocumentReference/r0")}]),
    {"resourceType": "Provenance", "id": "v0", "target": [ref("Observation/o0")],
     "recorded": "2026-01-01T00:00:00Z", "agent": [{"who": ref("Practitioner/p0")}]},
    {"resourceType": "AuditEvent", "id": "u0", "recorded": "2026-01-01T00:00:00Z",
     "type": {"code": "rest"}, "agent": [{"requestor": True, "who": ref("Practitioner/p0")}],
     "source": {"observer": {"display": "x"}}, "entity": [{"what": ref("Observation/o0")}]},
    {"resourceType": "ValueSet", "id": "y0", "status": "active", "url": VALUE_SET,
     "compose": {"include": [{"system": LOINC, "concept": [{"code": "8867-4"}]}]}},
    {"resourceType": "Medication", "id": "t1", "code": coded("m")},
    {"resourceType": "AllergyIntolerance", "id": "i0", "patient": ref("Patient/b"),
     "code": coded("m"), "recordedDate": "2025-06-01", "recorder": ref("Practitioner/p0")},
    {"resourceType": "Composition", "id": "j0", "status": "final", "type": coded("c"),
     "subject": ref("Patient/b"), "date": "2026-01-01", "title": "Of Zoe",
     "author": [ref("Practitioner/p0")],
     "section": [{"code": coded("c"), "entry": [ref("Observation/o0"), ref("Observation/h0")]}]},
    _b("QuestionnaireResponse", "a1", status="completed", authored="2025-06-01",
       questionnaire="http://forms.example/f1", source=ref("Patient/b"), item=[
           {"linkId": "rate", "answer": [{"valueQuantity": {"value": 90, "unit": "/min"}}]}]),
    _b("DiagnosticReport", "e1", status="final", code=coded("c"),
       basedOn=[ref("ServiceRequest/r1")]),
    {"resourceType": "ConceptMap", "id": "c1", "url": "http://map.example/c1", "status": "active",
     "group": [{"source": LOINC, "target": "http://other.example", "element": [
         {"code": "8867-4", "target": [{"code": "pulse", "equivalence": "equivalent"}]}]}]},
)  # fmt: skip


def full(kind: Kind) -> World:
    """Return the world in which others have a bit of everything, and Ann what is hidden of hers."""
    hidden = [_hidden(kind, name, at) for at, name in enumerate(_HIDEABLE) if kind.hides]
    return World(kind, FULL[:5], (*FULL[5:], *hidden), ())


_HIDEABLE = ("h2", "h3", "h4", "h5")


def _hidden(kind: Kind, id_: str, at: int) -> Resource:
    made = _b("Observation", id_, **_B_OBSERVATION, effectiveDateTime="2020-08-01",
              category=[{"coding": [VITAL]}], encounter=ref("Encounter/e0"),
              hasMember=[ref("Observation/o0")])  # fmt: skip
    hide = _OWN_BUT_HIDDEN[kind.hides[at % len(kind.hides)]]
    return hide({**made, "subject": ref("Patient/a")})
