"""What a message changes in the record, and what it must leave alone."""

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.plan import Identity, PlannedResource, Update
from server.feeds.merge import FUTURE_US, Merged, create, merge, precedence
from server.feeds.ownership import dump, load

NEVER = -1  # nobody edited the resource but feeds


def says(
    type_: str = "Patient", update: Update = "authoritative", deletes: str = "", **values: Any
) -> PlannedResource:
    """What a message says: everything it names, it touched."""
    return PlannedResource(
        "label",
        type_,
        values,
        Identity(),
        frozenset(values),
        frozenset(deletes.split()),
        update=update,
    )


def told(*words: tuple[str, int, PlannedResource]) -> Merged:
    """The record after (feed, time, words), the first of them creating it."""
    (feed, at, first), *others = words
    done = create("p", first, feed, at)
    for feed, at, planned in others:
        done = merge(done.resource, NEVER, done.owned, planned, feed, at)
    return done


def values(done: Merged) -> dict[str, Any]:
    return {k: v for k, v in done.resource.items() if k not in ("resourceType", "id")}


DOE, ROE = {"family": "Doe"}, {"family": "Roe"}


def test_the_first_message_makes_the_resource() -> None:
    done = told(("adt", 1, says(name=[DOE], gender="female")))
    assert done.changed
    assert done.resource == {
        "resourceType": "Patient",
        "id": "p",
        "name": [DOE],
        "gender": "female",
    }


def test_the_same_message_again_changes_nothing() -> None:
    words = says(name=[DOE, ROE], gender="female", birthDate="1970")
    done = told(("adt", 1, words), ("adt", 2, words))
    assert not done.changed


def test_empty_keeps() -> None:
    done = told(
        ("adt", 1, says(gender="female", birthDate="1970")), ("adt", 2, says(gender="male"))
    )
    assert values(done) == {"gender": "male", "birthDate": "1970"}


def test_a_null_deletes() -> None:
    done = told(
        ("adt", 1, says(birthDate="1970", gender="male")), ("adt", 2, says(deletes="gender"))
    )
    assert values(done) == {"birthDate": "1970"}


def test_a_null_deletes_every_form_of_a_choice() -> None:
    done = told(("adt", 1, says(deceasedBoolean=True)), ("adt", 2, says(deletes="deceased")))
    assert values(done) == {}


def test_another_form_of_a_choice_replaces_the_first() -> None:
    done = told(
        ("lab", 1, says("Observation", valueString="high")),
        ("lab", 1, says("Observation", valueQuantity={"value": 7})),
    )
    assert values(done) == {"valueQuantity": {"value": 7}}


def test_a_form_that_is_said_is_not_deleted_with_its_rivals() -> None:
    done = told(
        ("adt", 1, says(deceasedBoolean=True)),
        ("adt", 2, says(deceasedDateTime="2026-01-01", deletes="deceasedBoolean")),
    )
    assert values(done) == {"deceasedDateTime": "2026-01-01"}


def test_a_new_value_takes_the_primitive_s_extensions_along() -> None:
    unknown = {"extension": [{"url": "u", "valueCode": "unknown"}]}
    done = told(("adt", 1, says(_birthDate=unknown)), ("adt", 2, says(birthDate="1970")))
    assert values(done) == {"birthDate": "1970"}


def test_an_older_message_never_overwrites() -> None:
    done = told(("adt", 5, says(gender="female")), ("adt", 4, says(gender="male")))
    assert values(done) == {"gender": "female"}
    assert done.warnings == ("Patient.gender kept: the message is older",)


def test_an_older_message_of_another_feed_never_overwrites() -> None:
    done = told(("adt", 5, says(gender="female")), ("old", 4, says(gender="male")))
    assert values(done) == {"gender": "female"}


def test_an_older_message_still_fills_what_nobody_said() -> None:
    done = told(
        ("adt", 5, says(gender="female")), ("adt", 4, says(gender="male", birthDate="1970"))
    )
    assert values(done) == {"gender": "female", "birthDate": "1970"}


def test_an_older_message_does_not_bring_back_what_was_deleted() -> None:
    done = told(
        ("adt", 3, says(gender="female")),
        ("adt", 5, says(deletes="gender")),
        ("adt", 4, says(gender="male")),
    )
    assert values(done) == {}


def test_repeats_replace_the_whole_list_of_the_feed() -> None:
    done = told(("adt", 1, says(name=[DOE, ROE])), ("adt", 2, says(name=[{"text": "X"}])))
    assert values(done) == {"name": [{"text": "X"}]}


def test_repeats_replace_the_list_of_this_feed_only() -> None:
    done = told(
        ("adt", 1, says(telecom=[{"value": "1"}])),
        ("crm", 2, says(telecom=[{"value": "2"}])),
        ("adt", 3, says(telecom=[{"value": "3"}])),
    )
    assert values(done) == {"telecom": [{"value": "3"}, {"value": "2"}]}


def number(value: str, use: str = "") -> dict[str, str]:
    return {"system": "urn:x", "value": value, **({"use": use} if use else {})}


def test_an_identifier_that_is_left_out_stays() -> None:
    done = told(
        ("lab", 1, says(identifier=[number("placer"), number("filler")])),
        ("lab", 2, says(identifier=[number("filler", "official")])),
        ("lab", 3, says(identifier=[number("filler", "official"), number("third")])),
    )
    assert values(done)["identifier"] == [
        number("placer"),
        number("filler", "official"),
        number("third"),
    ]


def test_one_number_in_two_roles_stays_in_both() -> None:
    words = says(identifier=[number("1", "usual"), number("1", "official")])
    done = told(("lab", 1, words), ("lab", 2, words), ("lab", 3, says(identifier=[number("2")])))
    assert values(done)["identifier"] == [
        number("1", "usual"),
        number("1", "official"),
        number("2"),
    ]


def test_an_identifier_of_an_older_message_is_added_and_renews_nothing() -> None:
    done = told(
        ("lab", 5, says(identifier=[number("filler", "official")])),
        ("lab", 1, says(identifier=[number("placer"), number("filler")])),
    )
    assert values(done)["identifier"] == [number("filler", "official"), number("placer")]


A, B, C = ({"reference": f"Observation/{name}"} for name in "abc")


@pytest.mark.parametrize("times", [(1, 2), (2, 1)], ids=["later", "late"])
def test_a_report_that_is_sent_in_parts_keeps_all_its_results(times: tuple[int, int]) -> None:
    """A laboratory resends only the lines that are new; nothing says that the others fell."""
    first, second = times
    done = told(
        ("lab", first, says("DiagnosticReport", result=[A, B])),
        ("lab", second, says("DiagnosticReport", result=[B, C])),
    )
    assert sorted(r["reference"] for r in done.resource["result"]) == [
        "Observation/a",
        "Observation/b",
        "Observation/c",
    ]


def test_a_null_takes_the_feed_s_identifiers_away() -> None:
    done = told(("lab", 1, says(identifier=[number("1")])), ("lab", 2, says(deletes="identifier")))
    assert values(done) == {}


def test_an_item_that_two_feeds_name_stays_when_one_drops_it() -> None:
    done = told(
        ("adt", 1, says(telecom=[{"value": "1"}])),
        ("crm", 2, says(telecom=[{"value": "1"}])),
        ("adt", 3, says(deletes="telecom")),
    )
    assert values(done) == {"telecom": [{"value": "1"}]}


def test_an_item_that_was_there_before_the_feed_is_not_the_feed_s_to_drop() -> None:
    by_portal = {"resourceType": "Patient", "id": "p", "telecom": [{"value": "1"}]}
    first = merge(by_portal, 1, {}, says(telecom=[{"value": "1"}, {"value": "2"}]), "adt", 2)
    second = merge(first.resource, NEVER, first.owned, says(deletes="telecom"), "adt", 3)
    assert values(first) == {"telecom": [{"value": "1"}, {"value": "2"}]}
    assert values(second) == {"telecom": [{"value": "1"}]}


def test_what_was_edited_later_than_the_message_stays() -> None:
    first = told(("adt", 1, says(gender="female")))
    edited = {**first.resource, "gender": "other"}
    done = merge(edited, 10, first.owned, says(gender="male"), "adt", 9)
    assert values(done) == {"gender": "other"}


def test_a_message_newer_than_the_edit_wins() -> None:
    first = told(("adt", 1, says(gender="female")))
    edited = {**first.resource, "gender": "other"}
    done = merge(edited, 10, first.owned, says(gender="male"), "adt", 11)
    assert values(done) == {"gender": "male"}


def test_a_feed_that_repeats_itself_does_not_undo_an_edit() -> None:
    words = says(gender="female", telecom=[{"value": "old"}])
    first = told(("adt", 1, words))
    edited = {**first.resource, "gender": "other", "telecom": [{"value": "new"}]}
    done = merge(edited, 10, first.owned, words, "adt", 99)
    assert not done.changed
    assert values(done) == {"gender": "other", "telecom": [{"value": "new"}]}


def test_merge_fills_what_is_empty_and_overwrites_nothing() -> None:
    done = told(
        ("adt", 1, says(gender="female", name=[DOE])),
        ("lab", 2, says(update="merge", gender="male", name=[ROE], birthDate="1970")),
    )
    assert values(done) == {"gender": "female", "name": [DOE], "birthDate": "1970"}


def test_merge_renews_what_it_filled_itself() -> None:
    done = told(
        ("adt", 1, says(gender="female")),
        ("lab", 2, says(update="merge", birthDate="1970", name=[DOE])),
        ("lab", 3, says(update="merge", birthDate="1971", name=[ROE])),
    )
    assert values(done) == {"gender": "female", "birthDate": "1971", "name": [ROE]}


def test_agreeing_with_a_value_does_not_make_it_one_s_own() -> None:
    done = told(
        ("adt", 1, says(gender="female")),
        ("lab", 2, says(update="merge", gender="female")),
        ("lab", 3, says(update="merge", gender="male")),
    )
    assert values(done) == {"gender": "female"}


OLD, NEW = {"line": ["Old 1"]}, {"line": ["New 2"]}


def test_a_merge_never_replaces_what_the_same_feed_said_with_authority() -> None:
    done = told(
        ("adt", 8, says(address=[OLD], gender="female")),
        ("adt", 10, says(address=[NEW], gender="male")),
        ("adt", 12, says(update="merge", address=[OLD], gender="female")),
    )
    assert not done.changed
    assert values(done) == {"address": [NEW], "gender": "male"}


def test_authority_replaces_what_was_filled_in_whatever_its_time_and_feed() -> None:
    done = told(
        ("lab", 12, says(update="merge", address=[OLD], gender="female")),
        ("adt", 8, says(address=[NEW], gender="male")),
    )
    assert values(done) == {"address": [NEW], "gender": "male"}


def test_authority_that_agrees_with_what_was_filled_in_takes_it_over() -> None:
    done = told(
        ("adt", 1, says(update="merge", address=[OLD], gender="female")),
        ("adt", 2, says(address=[OLD], gender="female")),
        ("adt", 3, says(update="merge", address=[NEW], gender="male")),
    )
    assert values(done) == {"address": [OLD], "gender": "female"}
    gone = merge(done.resource, NEVER, done.owned, says(deletes="address gender"), "adt", 4)
    assert values(gone) == {}


def test_a_merge_does_not_fill_in_what_authority_deleted() -> None:
    done = told(
        ("adt", 1, says(address=[OLD], gender="female", active=True)),
        ("adt", 2, says(deletes="address gender")),
        ("adt", 3, says(update="merge", address=[OLD], gender="female")),
    )
    assert values(done) == {"active": True}


def test_a_merge_fills_in_what_was_a_default() -> None:
    unsaid = replace(says(gender="unknown", birthDate="1970"), touched=frozenset({"birthDate"}))
    done = told(
        ("adt", 2, unsaid), ("adt", 1, says(update="merge", gender="male", birthDate="1971"))
    )
    assert values(done) == {"gender": "male", "birthDate": "1970"}


def test_a_merge_adds_an_identifier_and_changes_none() -> None:
    done = told(
        ("adt", 1, says(identifier=[number("1", "usual")])),
        ("lab", 2, says(update="merge", identifier=[number("1"), number("2")])),
        ("adt", 3, says(identifier=[number("1", "official")])),
    )
    assert values(done)["identifier"] == [number("1", "official"), number("2")]


def test_what_somebody_edited_after_it_was_filled_in_stays() -> None:
    first = told(("lab", 1, says(update="merge", gender="female")))
    edited = {**first.resource, "gender": "other"}
    late = merge(edited, 10, first.owned, says(update="merge", gender="male"), "lab", 11)
    early = merge(edited, 10, first.owned, says(gender="male"), "adt", 9)
    assert not late.changed
    assert not early.changed


def test_never_leaves_an_existing_resource_alone() -> None:
    done = told(("adt", 1, says(gender="female")), ("adt", 2, says(update="never", gender="male")))
    assert not done.changed


def test_a_constant_that_the_message_did_not_touch_only_fills() -> None:
    constant = replace(says(gender="unknown", active=True), touched=frozenset())
    done = told(("adt", 1, says(gender="female")), ("adt", 2, constant))
    assert values(done) == {"gender": "female", "active": True}


def test_a_period_is_merged_by_its_ends() -> None:
    done = told(
        ("adt", 1, says("Encounter", period={"start": "2026-01-01"})),
        ("adt", 2, says("Encounter", period={"end": "2026-01-03"})),
        ("adt", 3, says("Encounter", period={"start": "2026-01-01"})),
    )
    assert not done.changed
    assert values(done) == {"period": {"start": "2026-01-01", "end": "2026-01-03"}}


def test_an_older_message_still_fills_in_an_end_that_a_period_lacks() -> None:
    done = told(
        ("adt", 3, says("Encounter", period={"end": "2026-01-03"})),
        ("adt", 1, says("Encounter", period={"start": "2026-01-01", "end": "2026-01-09"})),
    )
    assert values(done) == {"period": {"start": "2026-01-01", "end": "2026-01-03"}}


def result(status: str, **values: Any) -> PlannedResource:
    return says("Observation", status=status, **values)


@pytest.mark.parametrize(
    ("first", "then", "left"),
    [
        ("preliminary", "final", "final"),
        ("final", "preliminary", "final"),
        ("final", "corrected", "corrected"),
        ("corrected", "final", "corrected"),
        ("final", "cancelled", "cancelled"),
        ("corrected", "entered-in-error", "entered-in-error"),
        ("entered-in-error", "final", "entered-in-error"),
        ("entered-in-error", "corrected", "corrected"),
    ],
)
def test_the_status_of_a_result_never_goes_back(first: str, then: str, left: str) -> None:
    done = told(("lab", 5, result(first, valueString="a")), ("lab", 5, result(then)))
    assert done.resource["status"] == left


def test_a_late_preliminary_result_changes_no_value() -> None:
    done = told(
        ("lab", 5, result("final", valueString="7")),
        ("lab", 6, result("preliminary", valueString="6")),
    )
    assert values(done) == {"status": "final", "valueString": "7"}
    assert done.warnings == (
        "Observation.status kept: the record holds a later status",
        "Observation.value[x] kept: the record holds a later status",
    )


def test_a_final_result_wins_whatever_its_time() -> None:
    done = told(
        ("lab", 5, result("preliminary", valueString="6")),
        ("lab", 4, result("final", valueString="7")),
    )
    assert values(done) == {"status": "final", "valueString": "7"}


def test_a_time_far_ahead_loses_precedence_and_is_told() -> None:
    at, warning = precedence(1_000_000 + FUTURE_US + 1, 1_000_000)
    assert at == 0
    assert warning == "its time is more than 5 minutes ahead and was not used"
    assert precedence(1_000_000 + FUTURE_US, 1_000_000) == (1_000_000 + FUTURE_US, None)


def test_what_was_said_survives_being_stored() -> None:
    done = told(
        ("adt", 1, says(name=[DOE], gender="female")),
        ("adt", 2, says(name=[ROE])),
        ("lab", 3, says(update="merge", birthDate="1970", name=[ROE])),
    )
    assert load(dump(done.owned)) == done.owned


NAMES = st.lists(st.sampled_from([DOE, ROE, {"text": "X"}]), max_size=3, unique_by=str)
WORDS = st.builds(
    lambda name, gender, deletes: says(
        **({"name": name} if name else {}),
        **({"gender": gender} if gender else {}),
        deletes=" ".join(d for d in deletes if not (d == "gender" and gender)),
    ),
    NAMES,
    st.sampled_from(["male", "female", ""]),
    st.sampled_from([(), ("gender",), ("birthDate",)]),
)


@given(st.lists(WORDS, min_size=1, max_size=4))
def test_messages_of_one_feed_give_the_same_record_in_any_order(
    words: list[PlannedResource],
) -> None:
    timed = [("adt", at, planned) for at, planned in enumerate(words, start=1)]
    wanted = values(told(*timed))
    for order in permutations(timed):
        assert values(told(*order)) == wanted


@given(
    st.lists(WORDS, min_size=1, max_size=2),
    st.lists(st.tuples(st.sampled_from(["adt", "lab"]), WORDS), max_size=2),
    st.permutations((1, 2, 3, 4)),
)
def test_authority_gives_the_same_record_in_any_order_among_results(
    admissions: list[PlannedResource],
    results: list[tuple[str, PlannedResource]],
    times: list[int],
) -> None:
    timed = [("adt", at, words) for at, words in zip(times, admissions, strict=False)]
    filled = [
        (feed, at, replace(words, update="merge"))
        for at, (feed, words) in zip(reversed(times), results, strict=False)
    ]
    said = {name for _, _, words in timed for name in (*words.values, *words.deletes)}
    wanted = values(told(*sorted(timed, key=lambda row: row[1])))
    for order in permutations([*timed, *filled]):
        made = values(told(*order))
        assert {name: made[name] for name in said & made.keys()} == wanted


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), WORDS), min_size=1, max_size=5))
def test_resending_the_latest_words_of_a_feed_changes_nothing(
    words: list[tuple[str, PlannedResource]],
) -> None:
    timed = [(feed, at, planned) for at, (feed, planned) in enumerate(words, start=1)]
    feed, _, latest = timed[-1]
    done = told(*timed)
    again = merge(done.resource, NEVER, done.owned, latest, feed, 99)
    assert not again.changed
    assert again.resource is done.resource


DISCHARGED = {"start": "2026-03-01", "end": "2026-03-05"}


def test_a_cancelled_discharge_takes_the_end_back_and_keeps_the_beginning() -> None:
    done = told(
        ("adt", 1, says("Encounter", status="in-progress", period={"start": "2026-03-01"})),
        ("adt", 2, says("Encounter", status="finished", period={"end": "2026-03-05"})),
        ("adt", 3, says("Encounter", deletes="period.end", status="in-progress")),
    )
    assert values(done) == {"status": "in-progress", "period": {"start": "2026-03-01"}}


def test_a_cancel_that_comes_late_does_not_take_a_newer_discharge_back() -> None:
    done = told(
        ("adt", 1, says("Encounter", status="in-progress", period={"start": "2026-03-01"})),
        ("adt", 5, says("Encounter", status="finished", period={"end": "2026-03-05"})),
        ("adt", 3, says("Encounter", deletes="period.end", status="in-progress")),
    )
    assert values(done) == {"status": "finished", "period": DISCHARGED}
    assert "Encounter.period.end kept: the message is older" in done.warnings


def test_what_is_taken_back_may_leave_nothing() -> None:
    done = told(
        ("adt", 1, says("Encounter", status="finished", period={"end": "2026-03-05"})),
        ("adt", 2, says("Encounter", deletes="period.end", status="in-progress")),
    )
    assert values(done) == {"status": "in-progress"}


def test_a_discharge_after_its_cancel_counts_again() -> None:
    done = told(
        ("adt", 1, says("Encounter", status="finished", period=DISCHARGED)),
        ("adt", 2, says("Encounter", deletes="period.end", status="in-progress")),
        ("adt", 3, says("Encounter", status="finished", period={"end": "2026-03-06"})),
    )
    assert values(done)["period"] == {"start": "2026-03-01", "end": "2026-03-06"}


def test_changed_numbers_take_the_place_of_those_of_this_feed_only() -> None:
    one, two, three = ({"system": "urn:h", "value": value} for value in "123")
    done = told(
        ("adt", 1, says(identifier=[one])),
        ("lab", 2, says(identifier=[three])),
        ("adt", 3, says(identifier=[two], deletes="identifier")),
    )
    assert values(done)["identifier"] == [two, three]
