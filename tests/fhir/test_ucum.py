"""Units: what a code means, and that nothing is rounded on the way."""

from decimal import Decimal
from fractions import Fraction
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.fhir.ucum import (
    Canonical,
    InvalidUnit,
    NotComparable,
    canonical,
    comparable,
    convert,
    parse,
)
from server.fhir.ucum_table import table
from tests.pace import cost_s

CODES = sorted(table().units)
SPECIAL = {code for code in CODES if table().units[code].function}
TEMPERATURES = {"Cel", "[degF]", "[degRe]"}
RATIO = [code for code in CODES if code not in SPECIAL]


def test_the_table_is_the_whole_one() -> None:
    assert table().version == "2.2"
    assert len(table().units) == 312
    assert len(table().prefixes) == 24


@pytest.mark.parametrize("code", CODES)
def test_every_unit_is_what_its_definition_says(code: str) -> None:
    unit, made = table().units[code], parse(code)

    procedure = unit.arbitrary and unit.definition == "1"
    if unit.is_base or procedure or code in SPECIAL - TEMPERATURES:
        assert made == Canonical(Fraction(1), code)
    else:
        defined = parse(unit.definition)
        assert (made.factor, made.unit) == (unit.value * defined.factor, defined.unit)
        assert bool(made.offset) is (code in TEMPERATURES)


@pytest.mark.parametrize(
    ("code", "factor", "unit"),
    [
        ("1", "1", "1"),
        ("%", "0.01", "1"),
        ("10*3/ul", "1e12", "m-3"),
        ("10^-3", "0.001", "1"),
        ("10*+3", "1000", "1"),
        ("kg", "1000", "g"),
        ("[lb_av]", "453.59237", "g"),
        ("[oz_av]", "28.349523125", "g"),
        ("[in_i]", "0.0254", "m"),
        ("[ft_us]", "1200/3937", "m"),
        ("L", "0.001", "m3"),
        ("dL", "0.0001", "m3"),
        ("mm[Hg]", "133322", "g.m-1.s-2"),
        ("N", "1000", "g.m.s-2"),
        ("kg.m/s2", "1000", "g.m.s-2"),
        ("m.kg.s-2", "1000", "g.m.s-2"),
        ("kg/m.s2", "1000", "g.m-1.s2"),
        ("kg/(m.s2)", "1000", "g.m-1.s-2"),
        ("mmol/(8.h.kg)", "6.02214076e20/28800/1000", "g-1.s-1"),
        ("mmol/L", "6.02214076e23", "m-3"),
        ("S", "0.001", "C2.g-1.m-2.s"),
        ("[ly]", "9460730472580800", "m"),
        ("/min", "1/60", "s-1"),
        ("{beats}/min", "1/60", "s-1"),
        ("/min{beats}", "1/60", "s-1"),
        ("{score}", "1", "1"),
        ("1{score}", "1", "1"),
        ("[iU]/L", "1000", "[iU].m-3"),
        ("m[IU]/mL", "1000", "[iU].m-3"),
        ("m/m", "1", "1"),
        ("m0", "1", "1"),
        ("cd", "1", "cd"),
        ("dar", "10", "m2"),
        ("daar", "1000", "m2"),
        ("mo", "2629800", "s"),
        ("a", "31557600", "s"),
        ("dB", "0.1", "B"),
        ("dB[10.nV]", "0.1", "B[10.nV]"),
        ("[pH]", "1", "[pH]"),
        ("[m/s2/Hz^(1/2)]", "1", "[m/s2/Hz^(1/2)]"),
        ("pH", "1e-9", "C-2.g.m2"),
        ("Kibit", "1024", "1"),
    ],
)
def test_the_meaning_of_codes(code: str, factor: str, unit: str) -> None:
    first, *divisors = (Fraction(each) for each in factor.split("/"))

    assert parse(code) == Canonical(first / prod(divisors), unit)


@pytest.mark.parametrize(
    ("code", "column", "words"),
    [
        ("", 1, "a unit is expected"),
        ("m/", 3, "a unit is expected"),
        ("m//s", 3, "a unit is expected"),
        ("(/m)", 2, "a unit is expected"),
        ("lb", 1, "'lb' is not a unit of UCUM"),
        ("KG", 1, "'KG' is not a unit"),
        ("kkg", 1, "'kkg' is not a unit"),
        ("kmin", 1, "'kmin' is not a unit"),
        ("mol/iU", 5, "'iU' is not a unit"),
        ("mmol/kg[H20]", 6, "'kg[H20]' is not a unit"),
        ("g/12h", 5, "'.' or '/' or the end"),
        ("10+3/ul", 3, "'.' or '/' or the end"),
        ("{a}rad2{b}", 4, "'.' or '/' or the end"),
        ("ug(8.h)", 3, "'.' or '/' or the end"),
        ("(m)2", 4, "'.' or '/' or the end"),
        ("m)", 2, "no '('"),
        ("(m", 3, "')' is expected"),
        ("m s", 2, "'.' or '/' or the end"),
        (" m", 1, "a unit is expected"),
        ("m ", 2, "'.' or '/' or the end"),
        ("{a b}", 1, "an annotation"),
        ("m{a", 2, "an annotation"),
        ("rad2{錠}", 5, "an annotation"),
        ("µg", 1, "a unit is expected"),
        ("m²", 2, "'.' or '/' or the end"),
        ("1/0", 3, "greater than zero"),
        ("m100", 2, "an exponent beyond 99"),
        ("Cel/min", 5, "no multiple"),
        ("g/Cel", 3, "no multiple"),
        ("Cel2", 4, "no multiple"),
        ("g.[pH]", 3, "no multiple"),
        ("Ym99.Ym99", 1, "too large or too small"),
        ("10*-99.10*-99.10*-99.10*-99", 1, "too large or too small"),
        ("m." * 150 + "m", 257, "longer than 256"),
        ("(" * 120 + "m" + ")" * 119, 241, "')' is expected"),
    ],
)
def test_what_is_not_ucum_is_refused_with_its_column(code: str, column: int, words: str) -> None:
    with pytest.raises(InvalidUnit) as caught:
        parse(code)

    assert words in str(caught.value)
    assert caught.value.column == column
    assert canonical(code) is None


@pytest.mark.parametrize(
    ("value", "source", "target", "outcome"),
    [
        ("1", "[lb_av]", "kg", "0.45359237"),
        ("6.3", "s/mm", "s/m", "6300"),
        ("37", "Cel", "[degF]", "98.6"),
        ("98.6", "[degF]", "Cel", "37"),
        ("0", "K", "Cel", "-273.15"),
        ("-40", "Cel", "[degF]", "-40"),
        ("80", "[degRe]", "Cel", "100"),
        ("1500", "mCel", "K", "274.65"),
        ("1", "[gal_us]", "L", "3.785411784"),
        ("1", "m[Hg]", "g.s-2.m-1", "133322000"),
        ("30", "dB", "B", "3"),
        ("120", "{beats}/min", "Hz", "2"),
        ("1", "[mi_i]", "km", "1.609344"),
        ("1", "atm", "kPa", "101.325"),
        ("1", "kcal", "kJ", "4.184"),
    ],
)
def test_published_equalities(value: str, source: str, target: str, outcome: str) -> None:
    assert convert(Decimal(value), source, target) == Fraction(outcome)


def test_what_measures_something_else_is_not_comparable() -> None:
    assert comparable("kg", "[lb_av]")
    assert comparable("Cel", "K")
    assert not comparable("kg", "L")
    assert not comparable("[iU]", "1")
    assert not comparable("[iU]", "[arb'U]")
    assert not comparable("[pH]", "1")
    assert not comparable("B[V]", "V")
    assert not comparable("kg", "lb")
    with pytest.raises(NotComparable, match="kg is g in base units, L is m3"):
        convert(1, "kg", "L")
    with pytest.raises(InvalidUnit, match="'lb'"):
        convert(1, "kg", "lb")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6), st.sampled_from(CODES))
def test_a_value_comes_back_from_base_units_as_it_was(value: Decimal, code: str) -> None:
    made = parse(code)

    assert made.back(made.of(value)) == value


codes = st.builds(
    lambda atoms: "".join(f"{operator}{atom}{power}" for operator, atom, power in atoms)[1:],
    st.lists(
        st.tuples(
            st.sampled_from("./"), st.sampled_from(RATIO), st.sampled_from(["", "2", "-1", "+3"])
        ),
        min_size=1,
        max_size=5,
    ),
)


@given(codes)
def test_base_units_are_a_code_that_means_itself(code: str) -> None:
    made = canonical(code)
    if made is not None:  # not too large
        assert parse(made.unit) == Canonical(Fraction(1), made.unit)


@given(codes, codes)
def test_a_quotient_is_a_product_with_the_inverse(one: str, other: str) -> None:
    quotient, inverse = canonical(f"({one})/({other})"), canonical(f"({one}).(1/({other}))")

    assert quotient == inverse


@given(st.text(alphabet="mgskLK%[]{}()./0123456789+-*^'_ é", max_size=20))
def test_no_text_does_more_than_be_refused(code: str) -> None:
    made = canonical(code)

    assert made is None or made.factor > 0


def test_a_code_seen_before_takes_less_than_ten_microseconds() -> None:
    canonical("mmol/(8.h.kg)")

    def ten_thousand_times() -> None:
        for _ in range(10_000):
            canonical("mmol/(8.h.kg)")

    assert cost_s(ten_thousand_times, 0.1) < 0.1
