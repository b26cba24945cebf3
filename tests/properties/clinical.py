"""Small random resources and random queries that have a good chance to meet."""

from decimal import Decimal
from typing import Any, get_args

from hypothesis import strategies as st

from server.search.query import (
    AllOf,
    AnyOf,
    DateIs,
    HasKey,
    IdIs,
    Near,
    Not,
    NumberIs,
    Predicate,
    Query,
    SortKey,
    StringIs,
    TextIs,
    TextOp,
    UpdatedIs,
    Words,
)
from server.search.rows import MAX_TIME, MIN_TIME
from tests.contract.made import START

TYPES = ("Patient", "Observation", "Encounter", "Location")
IDS = ("a", "b", "c", "d")
FAMILIES = ("Smith", "Smithson", "Müller", "muller", "Ōe", "o", "\U0010ffff", "Zz Top")
DAYS = ("2020", "2020-05", "2020-05-17", "2020-05-17T10:00:00Z", "2021-01-01T00:00:00.5+01:00")
LOINC = "http://loinc.org"
SAID = ("Body weight", "Weight, body", "bodyweight", "Körper weight 5 kg")
PLACES = ((52.5, 13.4), (52.5, 13.5), (-52.5, 179.9), (-52.5, -179.9), (89.9, 0.0))

_references = st.sampled_from([{"reference": f"Patient/{id_}"} for id_ in IDS])
_codes = st.lists(
    st.sampled_from(
        [{"system": LOINC, "code": "1-8"}, {"code": "1-8"}, {"system": "s", "code": "x"}]
    ),
    max_size=2,
)
_narratives = st.sampled_from(SAID).map(
    lambda said: {
        "status": "generated",
        "div": f"<div xmlns='http://www.w3.org/1999/xhtml'><p>{said}</p> seen</div>",
    }
)
_periods = st.fixed_dictionaries(
    {}, optional={"start": st.sampled_from(DAYS), "end": st.sampled_from(DAYS)}
).filter(bool)
_effective = st.one_of(
    st.just({}),
    st.sampled_from(DAYS).map(lambda day: {"effectiveDateTime": day}),
    _periods.map(lambda period: {"effectivePeriod": period}),
)
_value = st.one_of(
    st.just({}),
    st.sampled_from(["1", "1.0", "10", "5.4"]).map(
        lambda text: {"valueQuantity": {"value": Decimal(text), "code": "mg", "system": "u"}}
    ),
    st.just({"valueQuantity": {"value": Decimal(5), "comparator": "<"}}),
)


def _resource(type_: str, elements: dict[str, Any], *more: Any) -> Any:
    made = st.fixed_dictionaries(
        {"resourceType": st.just(type_), "id": st.sampled_from(IDS)}, optional=elements
    )
    return st.tuples(made, *more).map(
        lambda parts: {name: value for part in parts for name, value in part.items()}
    )


patients = _resource(
    "Patient",
    {
        "gender": st.sampled_from(["male", "female"]),
        "birthDate": st.sampled_from(["1980", "1980-02", "1981-03-04"]),
        "name": st.lists(
            st.sampled_from(FAMILIES).map(lambda family: {"family": family}), min_size=1, max_size=2
        ),
    },
)
observations = _resource(
    "Observation",
    {
        "status": st.just("final"),
        "code": st.tuples(_codes, st.sampled_from(SAID)).map(
            lambda drawn: {"coding": drawn[0], "text": drawn[1]}
        ),
        "subject": _references,
        "text": _narratives,
    },
    _effective,
    _value,
)
encounters = _resource(
    "Encounter",
    {
        "status": st.sampled_from(["planned", "finished"]),
        "subject": _references,
        "period": _periods,
    },
)
locations = _resource(
    "Location",
    {
        "name": st.sampled_from(SAID),
        "position": st.sampled_from(PLACES).map(
            lambda place: {"latitude": Decimal(str(place[0])), "longitude": Decimal(str(place[1]))}
        ),
    },
)
resources = st.one_of(patients, observations, encounters, locations)

_KEYS = (
    *TYPES,
    "Patient|gender|c|male",
    "Patient|gender|?",
    "Patient|name|?",
    "Observation|date|?",
    "Observation|code|c|1-8",
    f"Observation|code|s|{LOINC}|1-8",
    "Observation|code|s||1-8",
    "Observation|subject|r|Patient/a",
    "Observation|subject|r|Patient/b",
    "Observation|subject|?",
    "Encounter|status|c|planned",
    "Encounter|subject|r|Patient/a",
    "compartment|Patient/a",
    "compartment|Patient/b",
    "Observation|code|c|nobody",
)
_OPS = st.sampled_from(["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"])
_YEAR = 1_577_836_800_000_000  # 2020-01-01
_DAY = 86_400_000_000
_spans = st.sampled_from(
    [
        (_YEAR, _YEAR + 366 * _DAY),
        (_YEAR + 137 * _DAY, _YEAR + 138 * _DAY),
        (_YEAR + 137 * _DAY, _YEAR + 137 * _DAY + 36_000_000_000),
        (MIN_TIME, _YEAR),
        (_YEAR, MAX_TIME),
        (315_532_800_000_000, 347_155_200_000_000),
    ]
)
_moments = st.sampled_from(
    [(START, START + 1000), (START, START + 5_000_000), (START + 2_000_000, START + 2_001_000)]
)
_sizes = st.sampled_from([(1.0, 1.0), (0.5, 1.5), (0.95, 1.05), (5.0, 10.0), (9.5, 10.5)])
_texts = st.lists(
    st.sampled_from(["smith", "mu", "muller", "o", "th", "\U0010ffff", "zz t", "e"]),
    min_size=1,
    max_size=3,
    unique=True,
).map(tuple)

_said = st.lists(
    st.sampled_from(["body weight", "body", "weight", "y w", "korper", "kg", ""]),
    min_size=1,
    max_size=2,
    unique=True,
).map(tuple)

_leaves: st.SearchStrategy[Predicate] = st.one_of(
    st.lists(st.sampled_from(_KEYS), min_size=1, max_size=3, unique=True).map(
        lambda keys: HasKey(tuple(keys))
    ),
    st.builds(
        StringIs,
        st.just("Patient"),
        st.sampled_from(["name", "family"]),
        st.sampled_from(get_args(TextOp)),
        _texts,
    ),
    st.builds(
        TextIs,
        st.just("Observation"),
        st.just("code:text"),
        st.sampled_from(get_args(TextOp)),
        _said,
    ),
    st.builds(
        Words,
        st.sampled_from(["text", "content"]),
        st.lists(
            st.sampled_from(
                [("body",), ("weight",), ("body", "weight"), ("weig*",), ("body", "w*"), ("b*",)]
            ),
            min_size=1,
            max_size=2,
        ).map(tuple),
    ),
    st.builds(
        lambda place, metres: Near("Location", "near", *place, metres),
        st.sampled_from(PLACES),
        st.sampled_from([0.0, 5_000.0, 14_000.0, 10_000_000.0, 20_100_000.0]),
    ),
    st.builds(
        lambda place, op, span: DateIs(*place, op, *span),
        st.sampled_from([("Observation", "date"), ("Encounter", "date"), ("Patient", "birthdate")]),
        _OPS,
        _spans,
    ),
    st.builds(
        lambda op, size, unit: NumberIs("Observation", "value-quantity", op, *size, unit),
        _OPS,
        _sizes,
        st.sampled_from(["", "u|mg", "|mg", "|kg"]),
    ),
    st.lists(st.sampled_from([*IDS, "z"]), max_size=3, unique=True).map(lambda i: IdIs(tuple(i))),
    st.builds(lambda op, moment: UpdatedIs(op, *moment), _OPS, _moments),
)


def _deeper(inner: st.SearchStrategy[Predicate]) -> st.SearchStrategy[Predicate]:
    some = st.lists(inner, max_size=3).map(tuple)
    return st.one_of(some.map(AllOf), some.map(AnyOf), inner.map(Not))


predicates = st.recursive(_leaves, _deeper, max_leaves=6)
queries = st.builds(
    Query,
    st.lists(st.sampled_from(TYPES), min_size=1, max_size=3, unique=True).map(tuple),
    st.one_of(
        st.just(AllOf(())), predicates, st.lists(_leaves, max_size=3).map(lambda x: AllOf(tuple(x)))
    ),
)

_WRITTEN = {
    "Patient": [
        ("gender", "male"),
        ("gender:not", "male,female"),
        ("birthdate", "ge1980-02"),
        ("birthdate", "1980"),
        ("birthdate", "ne1980"),
        ("birthdate:missing", "true"),
        ("name", "Mü,smi"),
        ("name:contains", "th"),
        ("family:exact", "Smith"),
        ("_id", "a,b,z"),
        ("_lastUpdated", "gt2026-01-02T03:04:06Z"),
        ("_sort", "-birthdate,_id"),
        ("_sort", "family"),
    ],
    "Observation": [
        ("code", "1-8"),
        ("code", f"{LOINC}|1-8,s|"),
        ("code", "|1-8"),
        ("code:not", "x"),
        ("subject", "Patient/a"),
        ("patient", "b,c"),
        ("date", "ge2020-05-17"),
        ("date", "lt2020-05-17T10:00:00Z"),
        ("date", "ap2020-05"),
        ("date", "sa2020-05"),
        ("value-quantity", "lt10"),
        ("value-quantity", "5.4|u|mg"),
        ("value-quantity", "ge1||mg"),
        ("code:text", "weight"),
        ("_text", "body weight*"),
        ("_content", "weight or körper"),
        ("_content", '"body weight"'),
        ("_filter", "date po 2020-05 or code eq 1-8"),
        ("_filter", "not (date co 2020-05-17T10:00:00Z) and value-quantity lt 10"),
        ("_filter", "subject ne Patient/a"),
        ("subject:missing", "false"),
        ("_sort", "-date"),
        ("_sort", "date"),
        ("_sort", "-code,date"),
    ],
    "Location": [
        ("near", "52.5|13.4|7|km"),
        ("near", "-52.5|180|20|km"),
        ("name:contains", "weight"),
        ("_filter", "name ew weight"),
        ("_sort", "-name"),
    ],
    "Encounter": [
        ("status", "planned"),
        ("subject", "Patient/a"),
        ("date", "eq2020"),
        ("date", "eb2021"),
        ("date:missing", "true"),
        ("_sort", "date"),
        ("_sort", "-_lastUpdated"),
    ],
}
texts = st.sampled_from(TYPES).flatmap(
    lambda type_: st.tuples(
        st.just(type_),
        st.lists(
            st.sampled_from(_WRITTEN[type_]),
            max_size=3,
            unique_by=lambda pair: "_sort" if pair[0] == "_sort" else repr(pair),
        ),
    )
)

_COMMON = (("_id", "id"), ("_lastUpdated", "updated"))
_SORTS = {
    "Patient": (
        *_COMMON,
        ("birthdate", "date"),
        ("family", "string"),
        ("name", "string"),
        ("gender", "token"),
    ),
    "Observation": (
        *_COMMON,
        ("date", "date"),
        ("date", "date"),
        ("value-quantity", "quantity"),
        ("code", "token"),
        ("subject", "reference"),
    ),
    "Encounter": (*_COMMON, ("date", "date"), ("status", "token")),
    "Location": (*_COMMON, ("name", "string")),
}


def sorts(types: tuple[str, ...]) -> st.SearchStrategy[tuple[SortKey, ...]]:
    """Return orders that all of the types have."""
    known = [set(_SORTS[type_]) for type_ in types]
    shared = sorted(set.intersection(*known))
    key = st.builds(
        lambda place, descending: SortKey(place[0], place[1], descending),  # type: ignore[arg-type]
        st.sampled_from(shared),
        st.booleans(),
    )
    return st.lists(key, max_size=2, unique_by=lambda key: key.param).map(tuple)
