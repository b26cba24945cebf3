"""Every reference parameter followed: to what it names, on from there, and back by ``_has``."""

from collections.abc import Iterator

import pytest

from server.fhir import definitions
from server.fhir.definitions import SearchParameter
from tests.matrix import naive_chain
from tests.matrix.questions import Asked, spread
from tests.matrix.record import Place, Record
from tests.matrix.test_matrix import TYPES, applies, asked_parameters

SHOWN = 12
TARGETS = 2  # types followed from each parameter
ENDS = 2  # parameters asked at the end of each chain


@pytest.mark.parametrize("type_", TYPES)
async def test_chains_and_has_equal_both_oracles(type_: str, record: Record) -> None:
    different: list[str] = []
    for turn, parameter in enumerate(references(type_)):
        for target in targets(record, type_, parameter):
            for end, one, met in ends(record, target, turn):
                name = f"{parameter.code}:{target}.{end}"
                second = naive_chain.referring(record, type_, parameter, met)
                different += await record.differences(type_, name, one.raw, second)
            for name, raw, second in two_hops(record, type_, parameter, target, turn):
                different += await record.differences(type_, name, raw, second)
            for end, one, met in ends(record, type_, turn):
                name = f"_has:{type_}:{parameter.code}:{end}"
                by = naive_chain.referred(record, type_, parameter, met)
                second = {place for place in by if place[0] == target}
                different += await record.differences(target, name, one.raw, second)

    assert different[:SHOWN] == []


@pytest.mark.parametrize("type_", TYPES)
async def test_a_chain_without_a_type_goes_to_all_that_can_be_asked(
    type_: str, record: Record
) -> None:
    different: list[str] = []
    for parameter in references(type_):
        allowed = parameter.target or TYPES
        met = {
            place
            for target in allowed
            for place in record.naive(target, by_code(target, "_id"), None, "m1,m2")
        }
        second = naive_chain.referring(record, type_, parameter, met)
        if len(allowed) <= 100:
            different += await record.differences(type_, f"{parameter.code}._id", "m1,m2", second)

    assert different[:SHOWN] == []


def references(type_: str) -> list[SearchParameter]:
    return [one for one in asked_parameters(type_) if one.type == "reference"]


def targets(record: Record, type_: str, parameter: SearchParameter) -> list[str]:
    """Return types to which resources really refer."""
    found = {
        place[0]
        for one in record.of_type(type_)
        for place in naive_chain.named(record, one, parameter)
        if not parameter.target or place[0] in parameter.target
    }
    return spread(found, TARGETS)


def ends(record: Record, type_: str, turn: int) -> Iterator[tuple[str, Asked, set[Place]]]:
    """Yield ``code[:modifier]``, a question, and what the second oracle finds by it."""
    known = asked_parameters(type_)
    for step in range(ENDS):
        parameter = known[(turn * ENDS + step) % len(known)]
        asked = record.questions(type_, parameter)
        asked = [one for one in asked if applies(parameter, one) and asked_in_chain(one)]
        one = asked[(turn * 7 + step * 3) % len(asked)]
        name = parameter.code if one.modifier is None else f"{parameter.code}:{one.modifier}"
        yield name, one, record.naive(type_, parameter, one.modifier, one.raw)


def asked_in_chain(one: Asked) -> bool:
    return "\\" not in one.raw


def two_hops(
    record: Record, type_: str, parameter: SearchParameter, target: str, turn: int
) -> Iterator[tuple[str, str, set[Place]]]:
    """Yield a chain over two references, and one from here through ``_has``."""
    onwards = references(target)
    for again in onwards[turn % len(onwards) :][:1] if onwards else []:
        for last in targets(record, target, again)[:1]:
            for end, one, met in ends(record, last, turn + 1):
                middle = naive_chain.referring(record, target, again, met)
                second = naive_chain.referring(record, type_, parameter, middle)
                yield f"{parameter.code}:{target}.{again.code}:{last}.{end}", one.raw, second
    for end, one, met in list(ends(record, type_, turn + 2))[:1]:
        by = naive_chain.referred(record, type_, parameter, met)
        second = naive_chain.referring(record, type_, parameter, {p for p in by if p[0] == target})
        yield f"{parameter.code}:{target}._has:{type_}:{parameter.code}:{end}", one.raw, second


def by_code(type_: str, code: str) -> SearchParameter:
    return definitions.search_parameters(type_)[code]


async def test_a_canonical_with_a_version_names_no_other_version(record: Record) -> None:
    """R4 references.html#canonical."""
    refers = by_code("QuestionnaireResponse", "questionnaire")
    stated = {
        one.place: {value.data for value in record.values(refers, one)}
        for one in record.of_type("QuestionnaireResponse")
    }
    wanted = {
        f"{q.resource['url']}|{q.resource['version']}"
        for q in record.of_type("Questionnaire")
        if "version" in q.resource and "url" in q.resource
    }
    bare = {address.partition("|")[0] for address in wanted}
    found = record.oracle_of("QuestionnaireResponse", "questionnaire.version:missing", "false")
    assert set(found) == {p for p, addresses in stated.items() if addresses & (wanted | bare)}


async def test_the_second_oracle_follows_types_and_ids(record: Record) -> None:
    subject = by_code("Observation", "subject")
    named = [
        naive_chain.named(record, one, subject)
        for one in record.of_type("Observation")
        if one.resource.get("subject", {}).get("reference") == "Patient/m1"
    ]
    assert named
    assert all(places == {("Patient", "m1")} for places in named)
