"""The algebra of SMART scopes.  SMART App Launch 2.2.0, scopes-and-launch-context.html."""

import pytest

from server.access.scopes import (
    BeyondGrant,
    Scope,
    Scopes,
    beyond,
    intersect,
    narrowed,
    parse,
    union,
)

LAB = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"


def scope(text: str) -> Scope:
    (found,) = parse(text).resources
    return found


@pytest.mark.smart(369, 370)
@pytest.mark.parametrize(
    ("text", "level", "type_", "letters", "query"),
    [
        ("patient/Observation.rs", "patient", "Observation", "rs", ()),
        ("user/*.cruds", "user", "*", "cruds", ()),
        ("system/Patient.r", "system", "Patient", "r", ()),
        (f"patient/Observation.rs?category={LAB}", "patient", "Observation", "rs", (LAB,)),
        ("patient/Observation.rs?category=a%7Cb", "patient", "Observation", "rs", ("a|b",)),
    ],
)
def test_a_scope_says_level_type_interactions_and_conditions(
    text: str, level: str, type_: str, letters: str, query: tuple[str, ...]
) -> None:
    found = scope(text)
    assert (found.level, found.type, found.letters) == (level, type_, letters)
    assert found.query == tuple(("category", value) for value in query)
    assert found.text == text


@pytest.mark.smart(128, 369)
@pytest.mark.parametrize(
    ("v1", "v2"),
    [
        ("patient/Observation.read", "patient/Observation.rs"),
        ("patient/Observation.write", "patient/Observation.cud"),
        ("patient/*.*", "patient/*.cruds"),
    ],
)
def test_a_scope_of_version_1_means_what_one_of_version_2_does(v1: str, v2: str) -> None:
    assert parse(v1) == parse(v2)


@pytest.mark.smart(129)
@pytest.mark.parametrize(
    "text",
    [
        "patient/Observation.sr",  # out of order
        "patient/Observation.rr",
        "patient/Observation.rx",
        "patient/Observation.execute",
        "patient/Observation.",
        "patient/Observation",
        "patient/Unknown.rs",
        "patient/observation.rs",
        "everyone/Observation.rs",
        "patient/Observation.read?category=x",  # version 1 has no conditions
        "patient/Observation.rs?",
        "patient/Observation.rs?category",
        "patient/Observation.rs?category=",
        "patient/Observation.rs?category=%ff",
        "patient/Observation.rs\\",
        "launch/unknown",
        "email",
        "admin/",
        "*",
    ],
)
def test_what_is_not_understood_is_dropped_and_told(text: str) -> None:
    found = parse(f"openid {text}")
    assert found.of == ("openid",)
    assert found.dropped == (text,)


def test_the_scopes_that_are_not_for_resources_are_kept_as_sent() -> None:
    text = (
        "launch launch/patient launch/encounter launch/imagingstudy?role=x openid fhirUser "
        "profile offline_access online_access admin/tellonce introspect"
    )
    found = parse(text)
    assert (found.text, found.dropped, found.resources) == (text, (), ())


def test_a_scope_parameter_that_is_too_long_says_nothing() -> None:
    assert parse("openid " * 2_000) == Scopes()


def test_more_scopes_than_the_limit_are_dropped() -> None:
    found = parse(" ".join(f"patient/Observation.rs?code=c{n}" for n in range(201)))
    assert len(found.of) == 200
    assert found.dropped == ("patient/Observation.rs?code=c200",)


@pytest.mark.parametrize(
    ("inner", "outer", "told"),
    [
        ("patient/Observation.r", "patient/Observation.rs", True),
        ("patient/Observation.rs", "patient/Observation.r", False),
        ("patient/Observation.rs", "patient/*.rs", True),
        ("patient/*.rs", "patient/Observation.rs", False),
        ("patient/Observation.rs", "user/Observation.rs", False),
        ("patient/Observation.rs", "system/*.cruds", False),
        ("patient/Observation.rs?category=a", "patient/Observation.rs", True),
        ("patient/Observation.rs", "patient/Observation.rs?category=a", False),
        ("patient/Observation.rs?category=a", "patient/Observation.rs?category=a,b", True),
        ("patient/Observation.rs?category=a,b", "patient/Observation.rs?category=a", False),
        ("patient/Observation.rs?code:not=a", "patient/Observation.rs?code:not=a,b", False),
        ("patient/Observation.rs", "patient/Observation.r patient/Observation.s", True),
        ("patient/Observation.read", "patient/Observation.cruds", True),
        ("openid", "openid fhirUser", True),
        ("launch/patient?role=x", "launch/patient", True),
        ("admin/tellonce", "admin/other", False),
        ("", "", True),
    ],
)
def test_subset(inner: str, outer: str, told: bool) -> None:
    assert parse(outer).covers(parse(inner)) is told
    assert bool(beyond(parse(inner), parse(outer))) is not told


@pytest.mark.smart(78, 145, 250, 259)
@pytest.mark.parametrize(
    ("wanted", "allowed", "granted"),
    [
        ("patient/*.rs", "patient/*.cruds", "patient/*.rs"),
        ("patient/*.cruds", "patient/Observation.rs", "patient/Observation.rs"),
        (
            "patient/*.rs",
            "patient/Observation.rs patient/Patient.r",
            "patient/Observation.rs patient/Patient.r",
        ),
        (
            "patient/Observation.rs",
            "patient/Observation.rs?category=lab",
            "patient/Observation.rs?category=lab",
        ),
        (
            "patient/Observation.rs?category=lab",
            "patient/Observation.rs",
            "patient/Observation.rs?category=lab",
        ),
        (
            "patient/Observation.rs?status=final",
            "patient/Observation.rs?category=lab",
            "patient/Observation.rs?category=lab&status=final",
        ),
        (
            "patient/Observation.rs?category=a",
            "patient/Observation.rs?category=b",
            "patient/Observation.rs?category=a&category=b",
        ),
        ("patient/Observation.cruds", "patient/Observation.r patient/Observation.s", "RS"),
        ("patient/Observation.rs", "user/Observation.rs", ""),
        ("patient/Observation.r", "patient/Observation.s", ""),
        ("openid fhirUser admin/tellonce", "openid fhirUser", "openid fhirUser"),
        ("patient/Observation.rs patient/*.rs", "patient/*.rs", "SAME"),
    ],
)
def test_what_is_wanted_and_allowed_is_granted(wanted: str, allowed: str, granted: str) -> None:
    granted = {"RS": "patient/Observation.rs", "SAME": wanted}.get(granted, granted)
    assert intersect(parse(wanted), parse(allowed)).text == granted


@pytest.mark.smart(127)
@pytest.mark.parametrize(
    ("wanted", "allowed", "granted"),
    [
        ("patient/*.read", "patient/*.cruds", "patient/*.read"),
        ("patient/*.*", "patient/*.rs", "patient/*.read"),
        ("patient/*.read", "patient/Observation.cruds", "patient/Observation.read"),
        ("patient/*.rs", "patient/*.read", "patient/*.rs"),
        ("patient/*.write", "patient/*.cu", "patient/*.cu"),  # version 1 has no word for it
    ],
)
def test_what_was_asked_in_version_1_is_answered_in_it(
    wanted: str, allowed: str, granted: str
) -> None:
    assert intersect(parse(wanted), parse(allowed)).text == granted


@pytest.mark.smart(109, 114)
def test_a_refresh_that_asks_for_nothing_gets_what_was_granted() -> None:
    granted = parse("openid patient/Observation.rs")
    assert narrowed(granted, parse("")).text == "openid patient/Observation.rs"


def test_a_refresh_may_ask_for_less() -> None:
    granted = parse("openid patient/*.rs offline_access")
    assert narrowed(granted, parse("patient/Observation.r")).text == "patient/Observation.r"


@pytest.mark.parametrize("wanted", ["patient/Observation.u", "fhirUser", "patient/Nothing.r"])
def test_a_refresh_may_not_ask_for_more(wanted: str) -> None:
    with pytest.raises(BeyondGrant, match=f"not granted before: {wanted}"):
        narrowed(parse("openid patient/*.rs"), parse(f"openid {wanted}"))


@pytest.mark.smart(164, 165)
@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("patient/Observation.rs", True),
        ("launch/patient", True),
        ("user/*.rs launch", False),
        ("openid", False),
    ],
)
def test_a_patient_is_needed_for_patient_scopes_also_without_launch_patient(
    text: str, needed: bool
) -> None:
    assert parse(text).needs_patient is needed


def test_a_condition_with_blanks_is_written_so_that_it_stays_one_scope() -> None:
    asked, allowed = "patient/Observation.rs?code:text=a%20b", "patient/Observation.r"
    granted = intersect(parse(asked), parse(allowed))
    assert granted.text == "patient/Observation.r?code:text=a%20b"
    assert parse(granted.text) == granted


def test_a_union_leaves_nothing_out() -> None:
    found = union(parse("openid patient/Patient.r"), parse("patient/Patient.r patient/*.r"))
    assert found.text == "openid patient/Patient.r patient/*.r"
