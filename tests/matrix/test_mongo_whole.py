"""Every question of the matrix, asked of MongoDB: the normal run asks it one of seven."""

from collections.abc import Awaitable, Callable

import pytest

from tests.matrix import (
    test_chains,
    test_composites,
    test_contained,
    test_filters,
    test_matrix,
    test_sorts,
    test_words_and_places,
)
from tests.matrix.record import Record

OF_EACH_TYPE: dict[str, Callable[[str, Record], Awaitable[None]]] = {
    "parameters": test_matrix.test_every_parameter_prefix_and_modifier_equals_both_oracles,
    "words": test_words_and_places.test_words_of_contents_are_found,
    "chains": test_chains.test_chains_and_has_equal_both_oracles,
    "chains to all": test_chains.test_a_chain_without_a_type_goes_to_all_that_can_be_asked,
    "filters": test_filters.test_a_filter_finds_what_the_plain_form_finds,
    "joined filters": test_filters.test_filters_join_negate_and_follow,
    "sorts": test_sorts.test_every_parameter_sorts_as_both_oracles_say,
    "chained sorts": test_sorts.test_every_reference_carries_a_chained_sort,
    "sorts by several": test_sorts.test_several_keys_sort_one_within_the_other,
}


@pytest.mark.soak
@pytest.mark.parametrize("type_", test_matrix.TYPES)
@pytest.mark.parametrize("asked", OF_EACH_TYPE)
async def test_mongo_answers_every_question_of_a_type(
    type_: str, asked: str, mongo_record: Record
) -> None:
    await OF_EACH_TYPE[asked](type_, mongo_record)


@pytest.mark.soak
@pytest.mark.parametrize("type_", test_words_and_places.WITH_TEXT)
async def test_mongo_finds_words(type_: str, mongo_record: Record) -> None:
    await test_words_and_places.test_words_of_narratives_are_found(type_, mongo_record)


@pytest.mark.soak
@pytest.mark.parametrize("type_", test_contained.INSIDE)
async def test_mongo_finds_what_contains(type_: str, mongo_record: Record) -> None:
    await test_contained.test_what_holds_a_contained_resource_is_found_by_it(type_, mongo_record)


@pytest.mark.soak
async def test_mongo_finds_places_and_lists(mongo_record: Record) -> None:
    await test_words_and_places.test_distances_agree_with_a_sphere(mongo_record)
    await test_words_and_places.test_members_of_lists_are_found(mongo_record)


@pytest.mark.soak
@pytest.mark.parametrize(("type_", "code"), test_composites.PLACES)
async def test_mongo_finds_composites(type_: str, code: str, mongo_record: Record) -> None:
    await test_composites.test_a_composite_is_met_by_one_element(type_, code, mongo_record)
