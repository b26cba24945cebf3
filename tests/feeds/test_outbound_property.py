"""What is emitted, read by the inbound maps, is what it was emitted from.

For every field that the emit maps of a person and of a result cover; where v2 has fewer words than
FHIR, what comes back instead is said here, with its reason.
"""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.emit import Outlet, load_outbound
from mappings.emit_run import Change, World
from mappings.parse import parse
from server.feeds.outbound.envelope import to_message
from tests.feeds.outbound import MAPS, FeedMaps, site

V2 = "http://terminology.hl7.org/CodeSystem/v2-"
WARD = """destination: ward
authorities: {HOSP: "urn:oid:1.2.3"}
messages: [ADT-person, ORU-observation]
"""
YES = {"system": f"{V2}0136", "code": "Y", "display": "Yes"}
FEED = FeedMaps().feed("default")

# Every character but controls, lone surrogates and spaces; "" is v2's word for "delete".
CHARACTERS = st.characters(exclude_categories=["Cc", "Cs", "Z"])
word = st.text(CHARACTERS, min_size=1, max_size=12).filter(lambda text: text != '""')
words = st.lists(word, min_size=1, max_size=3).map(" ".join)
day = st.dates().filter(lambda d: d.year > 1000).map(str)
moment = day.flatmap(
    lambda text: st.sampled_from([f"{text}T08:09:10+01:00", f"{text}T23:00:00.125-05:00"])
)
date = day.flatmap(lambda text: st.sampled_from([text, text[:7], text[:4]]))
number = st.decimals(-(10**9), 10**9, places=3)


def made(required: dict[str, Any], **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    """An element; ``optional`` parts are there or not."""
    return st.fixed_dictionaries(required, optional=optional)


period = st.lists(day, min_size=1, max_size=2, unique=True).map(
    lambda days: dict(zip(("start", "end"), sorted(days), strict=False))
)
coding = made({"code": word, "system": st.sampled_from(["http://loinc.org", "urn:oid:1.9.8"])})
name = made(
    {"family": words},
    # A third would share XPN.3 with the second, and nothing tells two names from one of two words.
    given=st.lists(words, min_size=1, max_size=2),
    prefix=st.lists(word, min_size=1, max_size=1),
    suffix=st.lists(word, min_size=1, max_size=2),
    use=st.sampled_from(["official", "usual", "maiden", "nickname"]),
    period=period,
)
address = made(
    {"city": words},
    line=st.lists(words, min_size=1, max_size=2),  # a third has a place of its own only from 2.7
    state=word,
    postalCode=word,
    country=word,
    district=words,
    use=st.sampled_from(["home", "work", "temp", "billing"]),
    period=period,
)
number_of = st.text("0123456789", min_size=1, max_size=12)
phone = made(
    {"system": st.just("phone"), "value": number_of, "use": st.sampled_from(["home", "mobile"])}
)
mail = made(
    {
        "system": st.just("email"),
        "value": word.map(lambda one: f"{one}@b.c"),
        "use": st.just("home"),
    }
)
person = made(
    {"resourceType": st.just("Patient"), "id": st.just("ada")},
    identifier=st.lists(
        made({"system": st.just("urn:oid:1.2.3"), "value": word}, period=period),
        min_size=1,
        max_size=1,
    ),
    name=st.lists(name, min_size=1, max_size=3),
    address=st.lists(address, min_size=1, max_size=2),
    telecom=st.lists(st.one_of(phone, mail), min_size=1, max_size=3),
    gender=st.sampled_from(["female", "male", "other", "unknown"]),
    birthDate=date,
    multipleBirthInteger=st.integers(1, 9),
    deceasedDateTime=st.one_of(date, moment),
)


@pytest.fixture(scope="module", params=["2.5.1", "2.7", "2.8.2"])
def outlet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outlet:
    folder: Path = tmp_path_factory.mktemp("site")
    text = f"{WARD}version: {request.param}\n"
    return load_outbound([site(folder, text)], MAPS.tables).outlets["ward"]


def read_back(outlet: Outlet, resource: dict[str, Any], **roots: Any) -> dict[str, Any]:
    """Emit a resource as new, and return what the inbound maps make of the message."""
    (route,) = [one for one in outlet.routes if one.map.about == resource["resourceType"]]
    message = outlet.emit(route, Change(World(resource, roots)))
    assert message is not None
    body = to_message(message, outlet.destination, id_="X", at=0)
    plan = MAPS.plan(parse(body), FEED)
    (found,) = [r for r in plan.resources if r.values["resourceType"] == resource["resourceType"]]
    return dict(found.values)


@settings(max_examples=40, deadline=None)
@given(resource=person)
def test_a_person_comes_back(outlet: Outlet, resource: dict[str, Any]) -> None:
    back = read_back(outlet, resource)
    for one in back.get("identifier", ()):
        one.pop("assigner", None)  # the authority's name in v2
        one.pop("type", None)
    for key in resource.keys() - {"id"}:
        assert back.get(key) == resource[key], key


quantity = made(
    {"value": number},
    unit=word,
    comparator=st.sampled_from(["<", "<=", ">", ">="]),
)
limits = st.lists(number, min_size=2, max_size=2).map(
    lambda ends: {"low": {"value": min(ends)}, "high": {"value": max(ends)}}
)
value = st.one_of(
    st.tuples(st.just("valueQuantity"), quantity),
    st.tuples(st.just("valueString"), words),
    st.tuples(
        st.just("valueCodeableConcept"), made({"coding": st.lists(coding, min_size=1, max_size=2)})
    ),
    st.tuples(st.just("valueDateTime"), st.one_of(day, moment)),
    st.tuples(st.just("valueTime"), st.times().map(lambda t: t.isoformat("seconds"))),
    st.tuples(st.just("valuePeriod"), period),
    st.tuples(st.just("valueRange"), limits),
    st.tuples(
        st.just("valueRatio"),
        made({"numerator": made({"value": number}), "denominator": made({"value": number})}),
    ),
)


@settings(max_examples=40, deadline=None)
@given(kind_and_value=value, status=st.sampled_from(["final", "preliminary", "corrected"]))
def test_a_result_comes_back(outlet: Outlet, kind_and_value: Any, status: str) -> None:
    kind, wanted = kind_and_value
    resource = {
        "resourceType": "Observation",
        "id": "k",
        "status": status,
        "code": {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]},
        "subject": {"reference": "Patient/ada"},
        "effectiveDateTime": "2026-01-02T03:04:05+01:00",
        kind: wanted,
    }
    back = read_back(outlet, resource, Patient=[{"resourceType": "Patient", "id": "ada"}])
    for key in ("status", "code", "effectiveDateTime", kind):
        assert back.get(key) == resource[key], key


@pytest.mark.parametrize(
    ("kind", "value", "instead"),
    [
        # Table 0136 is the only yes and no of an OBX.
        ("valueBoolean", True, {"valueCodeableConcept": {"coding": [YES], "text": "Yes"}}),
        # NM is any number.
        ("valueInteger", 7, {"valueQuantity": {"value": 7}}),
        # SN has one end of a range only as a comparison.
        (
            "valueRange",
            {"low": {"value": 7}},
            {"valueQuantity": {"value": 7, "comparator": ">="}},
        ),
    ],
)
def test_what_has_no_type_of_its_own_in_v2_comes_back_as_the_nearest(
    outlet: Outlet, kind: str, value: Any, instead: dict[str, Any]
) -> None:
    resource = {
        "resourceType": "Observation",
        "id": "k",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]},
        "subject": {"reference": "Patient/ada"},
        kind: value,
    }
    back = read_back(outlet, resource, Patient=[{"resourceType": "Patient", "id": "ada"}])
    assert {key: said for key, said in back.items() if key.startswith("value")} == instead
