"""``_filter`` asks the same questions: it must find what the plain form finds.

The plain forms are compared to the second oracle in ``test_matrix.py``.
"""

import json
from collections.abc import Callable, Iterator

import pytest

from server.fhir.definitions import SearchParameter
from tests.matrix import naive
from tests.matrix.naive import fold, plain, prefixed
from tests.matrix.questions import Asked, sampled
from tests.matrix.record import Place, Record
from tests.matrix.test_matrix import TYPES, applies, asked_parameters

SHOWN = 12
PAIRS = 5  # of filters that are joined, of one type


@pytest.mark.parametrize("type_", TYPES)
async def test_a_filter_finds_what_the_plain_form_finds(type_: str, record: Record) -> None:
    different: list[str] = []
    for turn, parameter in enumerate(asked_parameters(type_), TYPES.index(type_)):
        if parameter.code.startswith("_") and turn % 4:
            continue  # what every type has, types ask in turn
        for text, expected in forms(record, type_, parameter, turn):
            different += await record.differences(type_, "_filter", text, expected)

    assert different[:SHOWN] == []


@pytest.mark.parametrize("type_", TYPES)
async def test_filters_join_negate_and_follow(type_: str, record: Record) -> None:
    everything = {one.place for one in record.of_type(type_)}
    turn = TYPES.index(type_)
    own = [p for p in asked_parameters(type_) if not p.code.startswith("_")] or asked_parameters(
        type_
    )
    known = [list(forms(record, type_, p, turn)) for p in own[: 2 * PAIRS]]
    tests = [some[0] for some in known if some]
    different: list[str] = []
    for (left, found), (right, others) in list(zip(tests[::2], tests[1::2], strict=False))[:PAIRS]:
        for text, expected in (
            (f"{left} and {right}", found & others),
            (f"{left} or {right}", found | others),
            (f"not({left})", everything - found),
            (f"{left} or {right} and not({left})", (found | others) & (everything - found)),
            (f"{left} or ({right} and not({left}))", found | (others & (everything - found))),
        ):
            different += await record.differences(type_, "_filter", text, expected)

    assert different[:SHOWN] == []


def forms(
    record: Record, type_: str, parameter: SearchParameter, turn: int
) -> Iterator[tuple[str, set[Place]]]:
    """Yield filters by one parameter, and what the second oracle finds by their plain forms."""
    for asked_plainly in sampled(record.questions(type_, parameter), 12, turn):
        made = _FORMS[parameter.type](parameter, asked_plainly)
        if made is not None and applies(parameter, asked_plainly):
            op, value, raw, modifier = made
            text = f"{parameter.code} {op} {json.dumps(value, ensure_ascii=False)}"
            yield text, record.naive(type_, parameter, modifier, raw)
    if parameter.code not in ("_id", "_lastUpdated"):
        for value, missing in (("true", "false"), ("false", "true")):
            yield f"{parameter.code} pr {value}", record.naive(type_, parameter, "missing", missing)


Form = tuple[str, str, str, str | None] | None
"""Operator and value of a filter; value and modifier of the plain form."""


def _ordered(parameter: SearchParameter, one: Asked) -> Form:
    op, text = prefixed(one.raw)
    if one.modifier is not None or "," in one.raw:
        return None
    return op, text, one.raw, None


def _token(parameter: SearchParameter, one: Asked) -> Form:
    """``eq`` finds the code in lower and in upper case too."""
    parts = naive.split(one.raw, "|")
    if one.modifier is not None or "," in one.raw.replace("\\,", "") or "\\|" in one.raw:
        return None
    *system, code = parts
    cases = dict.fromkeys((code, code.lower(), code.upper()))
    if parameter.code == "_id":
        cases = {code: None}  # ids have their case
    raw = ",".join("|".join([*system, case]) for case in cases)
    return "eq", one.raw.replace("\\,", ","), raw, None


def _string(parameter: SearchParameter, one: Asked) -> Form:
    if one.modifier == "exact" or "," in one.raw.replace("\\,", "") or not fold(plain(one.raw)):
        return None
    op = "co" if one.modifier == "contains" else "sw"
    return None if one.modifier == "missing" else (op, plain(one.raw), one.raw, one.modifier)


def _reference(parameter: SearchParameter, one: Asked) -> Form:
    if one.modifier is not None or "," in one.raw:
        return None
    return "re", one.raw, one.raw, None


def _uri(parameter: SearchParameter, one: Asked) -> Form:
    if one.modifier is not None or "," in one.raw:
        return None
    return "eq", plain(one.raw), one.raw, None


_FORMS: dict[str, Callable[[SearchParameter, Asked], Form]] = {
    **dict.fromkeys(("date", "number", "quantity"), _ordered),
    "token": _token,
    "string": _string,
    "reference": _reference,
    "uri": _uri,
}


async def test_the_case_of_a_code_that_has_a_bar_does_not_matter(record: Record) -> None:
    asked_as_stored = record.oracle_of("Person", "_filter", 'identifier eq "a\\\\|b,c"')
    assert asked_as_stored
    in_capitals = record.oracle_of("Person", "_filter", 'identifier eq "A\\\\|B,C"')
    assert in_capitals == asked_as_stored
