"""Small random resources that refer to each other, and random questions about what they reach."""

from collections.abc import Callable
from typing import Any, get_args

from hypothesis import strategies as st

from server.access.context import SHARED, AccessContext, Permit
from server.search.query import (
    EVERYTHING,
    AllOf,
    AnyOf,
    HasKey,
    Hop,
    IdIs,
    InCompartmentOf,
    Mentioned,
    Not,
    Predicate,
    Query,
    ReferredBy,
    Refers,
    SortKey,
    StringIs,
    TextOp,
)
from tests.contract.limited import RESTRICTED, labelled, mentioned_by, moment, released, shared_with
from tests.contract.made import within

IDS = ("a", "b")
NAMES = ("Ann", "Bo", "Anna Bo")
URLS = ("http://q.test/1", "http://q.test/2")


def _to(*types: str) -> st.SearchStrategy[dict[str, Any]]:
    places = [f"{type_}/{id_}" for type_ in types for id_ in IDS]
    return st.sampled_from(places).map(lambda place: {"reference": place})


def _some(one: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(one, min_size=1, max_size=2)


_names = _some(st.sampled_from(NAMES).map(lambda name: {"text": name}))
_ELEMENTS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "Patient": {
        "gender": st.sampled_from(["male", "female"]),
        "name": _names,
        "generalPractitioner": _some(_to("Practitioner", "Organization")),
        "managingOrganization": _to("Organization"),
    },
    "Practitioner": {"name": _names},
    "Organization": {"name": st.sampled_from(NAMES), "partOf": _to("Organization")},
    "Observation": {
        "status": st.just("final"),
        "code": st.sampled_from(["x", "y"]).map(lambda code: {"coding": [{"code": code}]}),
        "subject": st.one_of(_to("Patient"), _to("Patient"), _to("Group")),
        "performer": _some(_to("Practitioner", "Patient")),
        "hasMember": _some(_to("Observation")),
    },
    "Group": {"member": _some(_to("Patient").map(lambda reference: {"entity": reference}))},
    "Questionnaire": {
        "url": st.sampled_from(URLS),
        "version": st.just("1"),
        "title": st.sampled_from(NAMES),
    },
    "QuestionnaireResponse": {
        "questionnaire": st.sampled_from([*URLS, f"{URLS[0]}|1"]),
        "subject": _to("Patient"),
    },
}


def _resource(type_: str, id_: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return a resource that states nearly all of its elements: chains are to lead somewhere."""
    elements = st.fixed_dictionaries(_ELEMENTS[type_])
    left_out = st.sampled_from(["", "", "", *_ELEMENTS[type_]])
    return st.tuples(elements, left_out, st.sampled_from(_MARKED)).map(
        lambda drawn: drawn[2](
            {
                "resourceType": type_,
                "id": id_,
                **{name: value for name, value in drawn[0].items() if name != drawn[1]},
            }
        )
    )


_MARKED: list[Callable[[dict[str, Any]], dict[str, Any]]] = [
    *(lambda resource: resource,) * 6,
    labelled,
    lambda resource: labelled(resource, "N"),
    lambda resource: released(resource, "2025-01-01T00:00:00Z"),
    lambda resource: released(resource, None),
]


_PLACES = [(type_, id_) for type_ in _ELEMENTS for id_ in IDS]
worlds = st.tuples(*(_resource(type_, id_) for type_, id_ in _PLACES)).flatmap(
    lambda made: st.permutations(made)
)
"""Two resources of each type, in the order of writing."""

changes = st.lists(st.sampled_from(_PLACES).flatmap(lambda place: _resource(*place)), max_size=3)


_LINKS = (
    ("Patient", "general-practitioner", ("Practitioner", "Organization")),
    ("Patient", "organization", ("Organization",)),
    ("Organization", "partof", ("Organization",)),
    ("Observation", "subject", ("Patient", "Group")),
    ("Observation", "patient", ("Patient",)),
    ("Observation", "performer", ("Practitioner", "Patient")),
    ("Observation", "has-member", ("Observation",)),
    ("Group", "member", ("Patient",)),
    ("QuestionnaireResponse", "questionnaire", ("Questionnaire",)),
    ("QuestionnaireResponse", "subject", ("Patient",)),
)
_TYPES = tuple(dict.fromkeys(type_ for link in _LINKS for type_ in (link[0], *link[2])))

_leaves: st.SearchStrategy[Predicate] = st.one_of(
    st.just(EVERYTHING),
    st.sampled_from(
        [
            "Patient|gender|c|male",
            "Patient|gender|?",
            "Observation|code|c|x",
            "Observation|subject|r|Patient/a",
            "Patient",
            "Organization",
        ]
    ).map(lambda key: HasKey((key,))),
    st.builds(
        lambda type_, op, value: StringIs(type_, "name", op, (value,)),
        st.sampled_from(["Patient", "Practitioner", "Organization"]),
        st.sampled_from(get_args(TextOp)),
        st.sampled_from(["ann", "bo", "anna bo"]),
    ),
    st.sampled_from(IDS).map(lambda id_: IdIs((id_,))),
)


def _deeper(inner: st.SearchStrategy[Predicate]) -> st.SearchStrategy[Predicate]:
    some = st.lists(inner, min_size=1, max_size=2).map(tuple)
    refers = st.builds(
        lambda link, where: Refers(link[0], link[1], Query(link[2], where)),
        st.sampled_from(_LINKS),
        inner,
    )
    referred = st.builds(
        lambda link, where: ReferredBy(Query((link[0],), where), link[1]),
        st.sampled_from(_LINKS),
        inner,
    )
    mentioned = st.builds(
        lambda types, where: Mentioned(Query(types, where)),
        st.sampled_from(
            [("Observation",), ("Patient", "QuestionnaireResponse"), ("Group", "Observation")]
        ),
        inner,
    )
    inside = inner.map(lambda where: InCompartmentOf(Query(("Patient",), where)))
    return st.one_of(
        refers,
        referred,
        refers,
        referred,
        mentioned,
        inside,
        some.map(AllOf),
        some.map(AnyOf),
        inner.map(Not),
    )


_predicates = st.recursive(_leaves, _deeper, max_leaves=5)
queries = st.builds(
    Query,
    st.one_of(
        st.sampled_from(_TYPES).map(lambda type_: (type_,)),
        st.lists(st.sampled_from(_TYPES), min_size=2, max_size=4, unique=True).map(tuple),
    ),
    _predicates,
)

_WRITTEN = {
    "Observation": [
        ("subject.name", "ann"),
        ("subject:Patient.gender", "male"),
        ("subject:Patient.gender:not", "male"),
        ("patient.general-practitioner.name", "bo"),
        ("patient.general-practitioner:Practitioner.name:contains", "bo"),
        ("patient.organization.partof.name", "ann"),
        ("patient._has:Group:member:_id", "a"),
        ("performer.name:exact", "Bo"),
        ("has-member.has-member.code", "x"),
        ("has-member.subject._id", "a,b"),
        ("subject.name:missing", "true"),
        ("_has:Observation:has-member:code", "y"),
        ("_filter", 'subject[gender eq male].name co "bo" or code eq x'),
        ("_filter", "not (performer.name sw ann) and subject pr true"),
        ("_sort", "subject:Patient.name"),
        ("_sort", "-performer.name,code"),
        ("_sort", "patient.general-practitioner:Organization.partof.name"),
        ("_sort", "-has-member.code"),
        ("_sort", "-has-member._lastUpdated"),
    ],
    "Patient": [
        ("_has:Observation:patient:code", "x,y"),
        ("_has:Observation:subject:performer.name", "ann"),
        ("_has:Observation:patient:_has:Observation:has-member:code", "x"),
        ("_has:Group:member:_id", "a"),
        ("_has:QuestionnaireResponse:patient:questionnaire.title", "ann"),
        ("_has:Observation:performer:subject:Patient._id", "b"),
        ("general-practitioner.name", "bo"),
        ("organization.partof.partof.name", "ann"),
        ("_filter", "general-practitioner:Practitioner.name eq bo"),
        ("_sort", "organization.name"),
        ("_sort", "-general-practitioner:Practitioner.name,_id"),
    ],
    "QuestionnaireResponse": [
        ("questionnaire.title", "bo"),
        ("questionnaire:Questionnaire.url", URLS[0]),
        ("patient.name", "ann"),
        ("_sort", "-questionnaire.title"),
    ],
    "Questionnaire": [
        ("_has:QuestionnaireResponse:questionnaire:subject", "Patient/a"),
        ("_has:QuestionnaireResponse:questionnaire:patient.gender", "male"),
    ],
}
texts = st.sampled_from(sorted(_WRITTEN)).flatmap(
    lambda type_: st.tuples(
        st.just(type_),
        st.lists(
            st.sampled_from(_WRITTEN[type_]),
            min_size=1,
            max_size=2,
            unique_by=lambda pair: "_sort" if pair[0] == "_sort" else repr(pair),
        ),
    )
)

_SORTS: dict[str, list[SortKey]] = {
    "Observation": [
        SortKey("name", "string", through=(Hop("subject", Query(("Patient",))),)),
        SortKey("name", "string", through=(Hop("performer", Query(("Practitioner", "Patient"))),)),
        SortKey("code", "token", through=(Hop("has-member", Query(("Observation",))),)),
        SortKey(
            "name",
            "string",
            through=(
                Hop("patient", Query(("Patient",))),
                Hop("general-practitioner", Query(("Practitioner", "Organization"))),
            ),
        ),
        SortKey(
            "_id",
            "id",
            through=(Hop("subject", Query(("Patient",), HasKey(("Patient|gender|c|male",)))),),
        ),
    ],
    "Patient": [
        SortKey("name", "string", through=(Hop("organization", Query(("Organization",))),)),
    ],
}


def sorts(types: tuple[str, ...]) -> st.SearchStrategy[tuple[SortKey, ...]]:
    """Return orders of one type by what it reaches; no order for several types."""
    known = _SORTS.get(types[0], []) if len(types) == 1 else []
    if not known:
        return st.just(())
    key = st.builds(
        lambda key, descending: SortKey(key.param, key.kind, descending, key.through),
        st.sampled_from(known),
        st.booleans(),
    )
    return st.lists(key, max_size=2, unique_by=repr).map(tuple)


_HIDDEN = (RESTRICTED,)
_OF_MEN = InCompartmentOf(Query(("Patient",), HasKey(("Patient|gender|c|male",))))
_SHARED_WITH_A = Permit(SHARED, where=mentioned_by("Patient/a"))


def _permits(*permits: Permit) -> AccessContext:
    return AccessContext("user/1", "app", permits)


callers = st.sampled_from(
    [
        within("Patient/a"),
        within("Patient/a", "Patient/b"),
        _permits(
            Permit("*", compartment="Patient/a"), Permit("Practitioner"), Permit("Questionnaire")
        ),
        _permits(Permit("Observation"), Permit("Patient", compartment="Patient/b")),
        _permits(Permit("Patient"), Permit("Organization")),
        _permits(Permit("Patient"), Permit("Observation", compartment="Patient/a")),
        _permits(*shared_with("Patient/a")),
        _permits(_SHARED_WITH_A),
        _permits(Permit("*", where=_OF_MEN), Permit("Organization")),
        _permits(Permit("Patient"), Permit("Observation", where=_OF_MEN, hidden=_HIDDEN)),
        _permits(
            Permit("*", compartment="Patient/a"),
            Permit(SHARED, where=mentioned_by("Patient/b"), hidden=_HIDDEN),
        ),
        _permits(Permit("*", hidden=_HIDDEN)),
        _permits(Permit("*", compartment="Patient/a", hidden=_HIDDEN, released=moment(2026))),
        _permits(
            Permit("*", compartment="Patient/b", released=moment(2026)),
            Permit("Observation", where=HasKey(("Observation|code|c|x",))),
            _SHARED_WITH_A,
        ),
    ]
)
