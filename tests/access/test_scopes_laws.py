"""What holds for all scopes: subset is a partial order, intersection its greatest lower bound.

The model: a scope is the set of (level, type, letter, resource) that it lets through, where a
resource of the model is the set of values that it has.
"""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from server.access.scopes import Scope, Scopes, intersect, narrowed, parse

VALUES = ("a", "b", "c")
RESOURCES = [frozenset(v for v, has in zip(VALUES, bits, strict=True) if has)
             for bits in product((False, True), repeat=3)]  # fmt: skip
TYPES = ("Observation", "Condition")

letters = st.sets(st.sampled_from("cruds"), min_size=1).map(
    lambda some: "".join(letter for letter in "cruds" if letter in some)
)
alternatives = st.lists(st.sampled_from(VALUES), min_size=1, max_size=2).map(",".join)
queries = st.lists(alternatives, max_size=2).map(
    lambda all_: "&".join(f"category={one}" for one in all_)
)


@st.composite
def texts(draw: st.DrawFn) -> str:
    level = draw(st.sampled_from(("patient", "user")))
    type_ = draw(st.sampled_from((*TYPES, "*")))
    if draw(st.booleans()):
        return f"{level}/{type_}.{draw(st.sampled_from(('read', 'write', '*')))}"
    query = draw(queries)
    return f"{level}/{type_}.{draw(letters)}{'?' if query else ''}{query}"


some = st.lists(texts() | st.sampled_from(("openid", "launch/patient")), max_size=4).map(
    lambda words: parse(" ".join(words))
)


def lets(scope: Scope) -> set[tuple[object, ...]]:
    types = (*TYPES, "Other") if scope.type == "*" else (scope.type,)
    met = [
        one
        for one in RESOURCES
        if all(any(v in one for v in text.split(",")) for _, text in scope.query)
    ]
    return {(scope.level, *rest) for rest in product(types, scope.letters, met)}


def world(scopes: Scopes) -> set[object]:
    return {*scopes.others}.union(*map(lets, scopes.resources))


@given(some)
def test_everything_is_a_subset_of_itself(one: Scopes) -> None:
    assert one.covers(one)


@given(some, some)
def test_a_subset_lets_nothing_else_through(one: Scopes, other: Scopes) -> None:
    if other.covers(one):
        assert world(one) <= world(other)


@given(some, some, some)
def test_subset_is_transitive(a: Scopes, b: Scopes, c: Scopes) -> None:
    if b.covers(a) and c.covers(b):
        assert c.covers(a)


@given(texts(), texts())
def test_two_scopes_that_cover_each_other_are_equal(a: str, b: str) -> None:
    (one,), (other,) = parse(a).resources, parse(b).resources
    if one.covers(other) and other.covers(one):
        assert one == other


@given(some, some)
def test_an_intersection_lets_through_what_both_do_and_nothing_else(
    one: Scopes, other: Scopes
) -> None:
    assert world(intersect(one, other)) == world(one) & world(other)


@given(some, some)
def test_an_intersection_is_a_subset_of_both(one: Scopes, other: Scopes) -> None:
    both = intersect(one, other)
    assert one.covers(both)
    assert other.covers(both)


@given(some, some, some)
def test_whatever_is_a_subset_of_both_is_one_of_the_intersection(
    lower: Scopes, one: Scopes, other: Scopes
) -> None:
    lower = intersect(lower, intersect(one, other))
    if one.covers(lower) and other.covers(lower):
        assert intersect(one, other).covers(lower)


@given(some)
def test_what_is_written_is_read_as_the_same(one: Scopes) -> None:
    assert parse(one.text) == one


@given(some, some)
def test_what_is_granted_is_written_so_that_it_is_read_as_the_same(a: Scopes, b: Scopes) -> None:
    granted = intersect(a, b)
    assert parse(granted.text) == granted


@given(some, some)
def test_a_refresh_never_widens(granted: Scopes, wanted: Scopes) -> None:
    assert world(narrowed(granted, intersect(wanted, granted))) <= world(granted)
