"""Permits that say more than a compartment: granular scopes, labels, release, what is shared."""

from typing import Any

import pytest

from server.access.context import SHARED, SYSTEM, AccessContext, Permit
from server.access.narrow import limit
from server.search.extract import indexed
from server.search.query import (
    EVERYTHING,
    AllOf,
    HasKey,
    Hop,
    InCompartmentOf,
    Not,
    Predicate,
    Query,
    ReferredBy,
    Refers,
    SortKey,
)
from server.search.rows import IndexRows
from server.store.port import Store, Version
from tests.contract.limited import (
    RESTRICTED,
    VITALS,
    holding,
    labelled,
    mentioned_by,
    moment,
    released,
    shared_with,
)
from tests.contract.made import deletion, ids, put

CLEARED = Permit("*", compartment="Patient/a")
UNCLEARED = Permit("*", compartment="Patient/a", hidden=(RESTRICTED,))
OF_VITALS = Permit("Observation", compartment="Patient/a", where=VITALS)
IN_2026 = Permit("*", compartment="Patient/a", released=moment(2026))
OBSERVATIONS = Query(("Observation",))


def patient(id_: str = "a", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id_, **more}


def observation(id_: str, category: str = "vital-signs", subject: str = "a") -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "category": [{"coding": [{"code": category}]}],
        "code": {"coding": [{"code": "x"}]},
        "subject": {"reference": f"Patient/{subject}"},
    }


def practitioner(id_: str, family: str = "Silva") -> dict[str, Any]:
    return {"resourceType": "Practitioner", "id": id_, "name": [{"family": family}]}


async def numbers(store: Store, access: AccessContext, id_: str = "o") -> list[int]:
    """Return the numbers of the Observation's versions that are seen, the same by each way."""
    history = await store.history(access, "Observation", id_, limit=9)
    seen = [v.number for v in history]
    of_type = [v for v in await store.history(access, "Observation", limit=99) if v.id == id_]
    of_all = [v for v in await store.history(access, limit=99) if v.id == id_]
    fed = [v for v in await store.changes(access, limit=99) if v.id == id_]
    asked = [await store.vread(access, "Observation", id_, n) for n in range(9, 0, -1)]
    for way in (of_type, of_all, fed[::-1], [v for v in asked if v is not None]):
        assert [v.number for v in way] == seen
    latest = await store.read(access, "Observation", id_)
    many = await store.read_many(access, [("Observation", id_)])
    assert list(many.values()) == ([latest] if latest is not None and latest.body else [])
    found = await store.search(access, OBSERVATIONS, limit=9)
    assert (id_ in ids(found.versions)) == bool(many)
    assert (latest is not None and latest.number in seen) == (latest is not None)
    return seen


async def keep(store: Store, *resources: dict[str, Any]) -> list[Version]:
    return await store.commit([put(resource) for resource in resources])


async def test_a_granular_permit_opens_what_it_names(store: Store) -> None:
    await keep(store, observation("o"), observation("lab", "laboratory"))

    assert await numbers(store, holding(OF_VITALS)) == [1]
    assert await numbers(store, holding(OF_VITALS), "lab") == []
    assert await numbers(store, holding(OF_VITALS), "absent") == []


async def test_a_past_version_is_judged_by_its_own_content(store: Store) -> None:
    await keep(store, observation("o", "laboratory"))
    await keep(store, observation("o", "vital-signs"))

    assert await numbers(store, holding(OF_VITALS)) == [2]
    labs = Permit(
        "*", compartment="Patient/a", where=HasKey(("Observation|category|c|laboratory",))
    )
    assert await numbers(store, holding(OF_VITALS, labs)) == [2, 1]
    assert await numbers(store, holding(labs)) == []  # the latest is none of these


async def test_a_label_hides_the_versions_before_it_too(store: Store) -> None:
    await keep(store, observation("o"))
    await keep(store, labelled(observation("o")))

    assert await numbers(store, holding(UNCLEARED)) == []
    assert await numbers(store, holding(CLEARED)) == [2, 1]
    assert await numbers(store, holding(UNCLEARED, OF_VITALS)) == [2, 1]


async def test_a_label_that_was_taken_off_hides_only_the_versions_that_bear_it(
    store: Store,
) -> None:
    await keep(store, labelled(observation("o")))
    await keep(store, observation("o"))

    assert await numbers(store, holding(UNCLEARED)) == [2]


async def test_a_label_of_another_code_hides_nothing(store: Store) -> None:
    await keep(store, labelled(observation("o"), "N"))

    assert await numbers(store, holding(UNCLEARED)) == [1]


async def test_what_is_not_yet_released_is_not_there(store: Store) -> None:
    await keep(store, released(observation("o"), "2026-01-02T00:00:00Z"))

    assert await numbers(store, holding(IN_2026)) == []
    later = Permit("*", compartment="Patient/a", released=moment(2027))
    assert await numbers(store, holding(later)) == [1]
    assert await numbers(store, holding(CLEARED)) == [1]


async def test_what_is_held_without_an_end_is_never_released(store: Store) -> None:
    await keep(store, released(observation("o"), None))

    later = Permit("*", compartment="Patient/a", released=moment(2999))
    assert await numbers(store, holding(later)) == []


async def test_a_hold_hides_the_versions_before_it_too(store: Store) -> None:
    await keep(store, observation("o"))
    await keep(store, released(observation("o"), "2025-01-01T00:00:00Z"))
    assert await numbers(store, holding(IN_2026)) == [2, 1]

    await keep(store, released(observation("o"), None))
    assert await numbers(store, holding(IN_2026)) == []


async def test_what_is_released_later_stays_hidden_in_its_past(store: Store) -> None:
    await keep(store, released(observation("o"), None))
    await keep(store, released(observation("o"), "2025-01-01T00:00:00Z"))

    assert await numbers(store, holding(IN_2026)) == [2]


@pytest.mark.parametrize(
    ("permit", "first", "seen"),
    [
        (OF_VITALS, observation("o"), [2, 1]),
        (OF_VITALS, observation("o", "laboratory"), []),
        (UNCLEARED, labelled(observation("o")), []),
        (IN_2026, released(observation("o"), "2025-01-01T00:00:00Z"), [2, 1]),
        (IN_2026, released(observation("o"), None), []),
    ],
)
async def test_a_deletion_is_judged_by_the_version_before_it(
    store: Store, permit: Permit, first: dict[str, Any], seen: list[int]
) -> None:
    await keep(store, first)
    await store.commit([deletion("Observation", "o")])

    assert await numbers(store, holding(permit)) == seen


async def test_a_label_on_a_resource_that_was_deleted_in_between_hides_all_of_it(
    store: Store,
) -> None:
    await keep(store, observation("o"))
    await store.commit([deletion("Observation", "o")])
    await keep(store, labelled(observation("o")))

    assert await numbers(store, holding(UNCLEARED)) == []
    assert await numbers(store, holding(CLEARED)) == [3, 2, 1]


async def test_the_deletion_of_what_never_was_is_hidden_when_marks_do_not_say(
    store: Store,
) -> None:
    await store.commit([deletion("Observation", "o")])

    assert await numbers(store, holding(Permit("Observation", where=VITALS))) == []
    assert await numbers(store, holding(Permit("Observation"))) == [1]


@pytest.mark.parametrize("permit", [CLEARED, UNCLEARED, OF_VITALS, IN_2026])
async def test_a_move_leaves_each_compartment_the_versions_that_were_in_it(
    store: Store, permit: Permit
) -> None:
    await keep(store, observation("o"))
    await keep(store, observation("o", subject="b"))

    assert await numbers(store, holding(permit)) == [1]
    assert await numbers(store, holding(Permit("*", compartment="Patient/b"))) == [2]
    assert await numbers(store, holding(permit, Permit("*", compartment="Patient/c"))) == [1]


async def test_what_is_hidden_after_a_move_is_hidden_before_it(store: Store) -> None:
    await keep(store, observation("o"))
    await keep(store, labelled(observation("o", subject="b")))

    assert await numbers(store, holding(UNCLEARED)) == []
    child = Permit("*", compartment="Patient/b")
    assert await numbers(store, holding(UNCLEARED, child)) == [2]


async def test_what_patients_share_is_seen_where_the_own_record_refers_to_it(
    store: Store,
) -> None:
    own = {**observation("o"), "performer": [{"reference": "Practitioner/p"}]}
    other = {**observation("x", subject="b"), "performer": [{"reference": "Practitioner/q"}]}
    await keep(store, patient(), practitioner("p"), practitioner("q"), practitioner("r"))
    await keep(store, own, other)
    access = holding(*shared_with("Patient/a"))
    places = [("Practitioner", id_) for id_ in "pqr"]

    assert [id_ for t, id_ in places if await store.read(access, t, id_)] == ["p"]
    assert list(await store.read_many(access, places)) == [("Practitioner", "p")]
    found = await store.search(access, Query(("Practitioner",)), limit=9)
    assert ids(found.versions) == ["p"]
    assert await store.count(access, Query(("Practitioner", "Observation"))) == 2
    assert ids(await store.history(access, "Practitioner", limit=9)) == ["p"]
    assert ids(await store.changes(access, limit=9)) == ["a", "p", "o"]
    named = [SortKey("_id", "id")]
    every = Query(("Practitioner", "Observation", "Patient"))
    assert ids((await store.search(access, every, sort=named, limit=9)).versions) == ["a", "o", "p"]


async def test_what_nobody_refers_to_any_more_is_not_shared_any_more(store: Store) -> None:
    own = {**observation("o"), "performer": [{"reference": "Practitioner/p"}]}
    access = holding(*shared_with("Patient/a"))
    await keep(store, practitioner("p"), own)
    await keep(store, practitioner("p", "Souza"))
    assert [v.number for v in await store.history(access, "Practitioner", limit=9)] == [2, 1]

    await keep(store, observation("o"))

    assert await store.history(access, "Practitioner", limit=9) == []
    assert await store.read(access, "Practitioner", "p") is None


async def test_a_shared_resource_that_was_deleted_is_gone_to_those_who_still_refer_to_it(
    store: Store,
) -> None:
    own = {**observation("o"), "performer": [{"reference": "Practitioner/p"}]}
    await keep(store, practitioner("p"), practitioner("q"), own)
    await store.commit([deletion("Practitioner", "p"), deletion("Practitioner", "q")])
    access = holding(*shared_with("Patient/a"))

    gone = await store.read(access, "Practitioner", "p")
    assert gone is not None
    assert gone.body is None
    assert await store.read(access, "Practitioner", "q") is None
    assert [v.number for v in await store.history(access, "Practitioner", limit=9)] == [2, 1]
    assert await store.count(access, Query(("Practitioner",))) == 0


async def test_what_is_named_by_its_canonical_address_is_shared(store: Store) -> None:
    url = "http://q.test/1"
    questions = {"resourceType": "Questionnaire", "id": "q", "url": url, "status": "active"}
    answers = {
        "resourceType": "QuestionnaireResponse",
        "id": "r",
        "status": "completed",
        "questionnaire": url,
        "subject": {"reference": "Patient/a"},
    }
    await keep(store, questions, {**questions, "id": "other", "url": "http://q.test/2"}, answers)
    access = holding(*shared_with("Patient/a"))

    assert await store.read(access, "Questionnaire", "q") is not None
    assert await store.read(access, "Questionnaire", "other") is None
    assert ids((await store.search(access, Query(("Questionnaire",)), limit=9)).versions) == ["q"]


async def test_a_limit_of_hops_is_asked_of_the_live_record(store: Store) -> None:
    """Past versions and deletions lead where their own references lead."""
    friends = AllOf((Refers("Observation", "subject", Query(("Patient",), _MALE)), VITALS))
    access = holding(Permit("Observation", where=friends), Permit("Patient"))
    await keep(store, patient(gender="male"), observation("o"), observation("x", subject="b"))
    await keep(store, observation("o"), observation("x", subject="b"))
    assert await numbers(store, access) == [2, 1]
    assert await numbers(store, access, "x") == []

    await store.commit([deletion("Observation", "o")])
    assert await numbers(store, access) == [3, 2, 1]

    await keep(store, patient(gender="female"))
    assert await numbers(store, access) == []


async def test_an_unlimited_permit_beside_limited_ones_sees_everything(store: Store) -> None:
    await keep(store, observation("o"), observation("lab", "laboratory"))
    await keep(store, labelled(observation("o")))
    access = holding(UNCLEARED, OF_VITALS, IN_2026, Permit("Observation"))

    assert await numbers(store, access) == [2, 1]
    assert await numbers(store, access, "lab") == [1]
    assert await numbers(store, SYSTEM) == [2, 1]


async def test_labels_are_hidden_at_every_hop(store: Store) -> None:
    hidden = labelled(patient(gender="male"))
    await keep(store, hidden, observation("o"))
    access = holding(Permit("*", hidden=(RESTRICTED,)))
    of_men = Query(("Observation",), Refers("Observation", "subject", Query(("Patient",), _MALE)))

    assert await store.count(holding(Permit("*")), of_men) == 1
    assert await store.count(access, of_men) == 0
    assert await store.count(access, Query(("Observation",), Not(of_men.where))) == 1


async def test_shared_types_are_limited_by_labels_too(store: Store) -> None:
    own = {**observation("o"), "performer": [{"reference": "Practitioner/p"}]}
    await keep(store, labelled(practitioner("p")), own)
    limit = Permit(SHARED, where=mentioned_by("Patient/a"), hidden=(RESTRICTED,))

    assert await store.read(holding(limit), "Practitioner", "p") is None
    assert await store.count(holding(limit), Query(("Practitioner",))) == 0
    assert await store.count(holding(Permit(SHARED)), Query(("Practitioner",), EVERYTHING)) == 1


_MALE = HasKey(("Patient|gender|c|male",))


def stay(id_: str, subject: str, ward: str = "w") -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": id_,
        "status": "finished",
        "class": {"code": "AMB"},
        "subject": {"reference": f"Patient/{subject}"},
        "serviceProvider": {"reference": f"Organization/{ward}"},
    }


def binary(id_: str, patient: str) -> dict[str, Any]:
    context = {"reference": f"Patient/{patient}"}
    return {"resourceType": "Binary", "id": id_, "contentType": "x/y", "securityContext": context}


_STAYS = Query(("Encounter",), HasKey(("Encounter|service-provider|r|Organization/w",)))
OF_WARD = InCompartmentOf(Query(("Patient",), ReferredBy(_STAYS, "patient")))
WARD = holding(Permit("*", where=OF_WARD))


async def seen_by(store: Store, access: AccessContext, *types: str) -> list[str]:
    """Return what a search finds, by id; counts and reads must say the same."""
    every = Query(types or ("Patient", "Observation", "Encounter", "Binary", "Practitioner"))
    page = await store.search(access, every, sort=[SortKey("_id", "id")], limit=99)
    assert await store.count(access, every) == len(page.versions)
    places = [(one.type, one.id) for one in page.versions]
    assert list(await store.read_many(access, places)) == places
    return ids(page.versions)


async def test_a_compartment_of_those_that_a_query_finds_opens_what_is_in_it(store: Store) -> None:
    await keep(store, patient("a"), patient("b"), practitioner("p"))
    await keep(store, stay("ea", "a"), stay("eb", "b", "elsewhere"))
    await keep(store, observation("oa"), observation("ob", subject="b"))
    await keep(store, binary("fa", "a"), binary("fb", "b"))

    assert await seen_by(store, WARD) == ["a", "ea", "fa", "oa"]
    assert await seen_by(store, WARD, "Binary") == ["fa"]
    assert await store.read(WARD, "Observation", "ob") is None
    assert ids(await store.history(WARD, limit=9)) == ["fa", "oa", "ea", "a"]
    assert ids(await store.changes(WARD, limit=9)) == ["a", "ea", "oa", "fa"]


async def test_who_comes_and_goes_opens_and_closes_a_record_at_once(store: Store) -> None:
    await keep(store, patient("a"), patient("b"), observation("oa"), observation("ob", subject="b"))
    assert await seen_by(store, WARD) == []

    await keep(store, stay("ea", "a"))
    assert await seen_by(store, WARD) == ["a", "ea", "oa"]

    await keep(store, stay("eb", "b"))
    assert await seen_by(store, WARD) == ["a", "b", "ea", "eb", "oa", "ob"]

    await keep(store, stay("ea", "a", "elsewhere"))
    assert await seen_by(store, WARD) == ["b", "eb", "ob"]

    await store.commit([deletion("Patient", "b")])
    assert await seen_by(store, WARD) == []


async def test_a_move_between_patients_is_seen_at_once(store: Store) -> None:
    await keep(store, patient("a"), patient("b"), stay("ea", "a"), observation("o", subject="b"))
    assert await numbers(store, WARD) == []

    await keep(store, observation("o"))
    assert await numbers(store, WARD) == [2]

    await keep(store, observation("o", subject="b"))
    assert await numbers(store, WARD) == [2]


async def test_what_is_not_a_live_patient_opens_no_compartment(store: Store) -> None:
    await keep(store, stay("ea", "a"), observation("oa"))

    assert await seen_by(store, WARD) == []


async def test_a_sort_through_what_is_closed_feels_nothing_of_it(store: Store) -> None:
    await keep(store, patient("a"), stay("ea", "a"), stay("eb", "b"), patient("b"))
    await keep(store, stay("eb", "b", "elsewhere"), observation("ob", subject="b"))
    one = {**observation("o1"), "hasMember": [{"reference": "Observation/ob"}]}
    await keep(store, one, observation("o2"))
    through = Hop("has-member", Query(("Observation",)))
    by_member = SortKey("_id", "id", descending=True, through=(through,))

    page = await store.search(WARD, OBSERVATIONS, sort=[by_member], limit=9)
    assert ids(page.versions) == ["o2", "o1"]
    page = await store.search(SYSTEM, OBSERVATIONS, sort=[by_member], limit=9)
    assert ids(page.versions) == ["o1", "o2", "ob"]


async def test_what_a_record_begins_to_refer_to_is_shared_at_once(store: Store) -> None:
    access = holding(*shared_with("Patient/a"))
    by = [{"reference": "Practitioner/p"}]
    await keep(store, patient(), practitioner("q"))
    assert await seen_by(store, access, "Practitioner") == []

    await keep(store, {**observation("o"), "performer": by})
    assert await seen_by(store, access, "Practitioner") == []
    await keep(store, practitioner("p"))
    assert await seen_by(store, access, "Practitioner") == ["p"]
    await keep(store, {**observation("x", subject="b"), "performer": by})
    assert await seen_by(store, access, "Practitioner") == ["p"]

    await keep(store, {**observation("o", subject="b"), "performer": by})
    assert await seen_by(store, access, "Practitioner") == []


async def test_an_address_that_a_record_refers_to_is_shared_by_whoever_has_it(store: Store) -> None:
    url = "http://q.test/1"
    questions = {"resourceType": "Questionnaire", "id": "q", "url": "http://q.test/2"}
    answers = {
        "resourceType": "QuestionnaireResponse",
        "id": "r",
        "questionnaire": url,
        "subject": {"reference": "Patient/a"},
    }
    await keep(store, questions, answers)
    access = holding(*shared_with("Patient/a"))
    assert await seen_by(store, access, "Questionnaire") == []

    await keep(store, {**questions, "url": url})
    assert await seen_by(store, access, "Questionnaire") == ["q"]

    await keep(store, questions)
    assert await seen_by(store, access, "Questionnaire") == []


async def test_what_callers_with_different_rights_see_is_kept_apart(store: Store) -> None:
    by = [{"reference": "Practitioner/p"}]
    await keep(store, patient(), practitioner("p"), labelled({**observation("o"), "performer": by}))
    cleared, uncleared = (
        holding(Permit(SHARED, where=mentioned_by("Patient/a", limit_of(permit))))
        for permit in (CLEARED, UNCLEARED)
    )

    for _ in range(2):
        assert await seen_by(store, cleared, "Practitioner") == ["p"]
        assert await seen_by(store, uncleared, "Practitioner") == []


def event(id_: str, *about: str) -> dict[str, Any]:
    return {
        "resourceType": "AuditEvent",
        "id": id_,
        "type": {"code": "rest"},
        "recorded": "2024-01-01T00:00:00Z",
        "entity": [{"what": {"reference": one}} for one in ("Patient/a", *about)],
    }


async def test_what_tells_of_a_result_that_is_held_is_not_there_while_it_is(store: Store) -> None:
    await keep(store, patient(), released(observation("o"), None), observation("open"))
    await keep(store, event("made", "Observation/o/_history/1"), event("seen", "Observation/o"))
    await keep(store, event("both", "Observation/o", "Observation/open"))
    await keep(store, event("other", "Observation/open"), event("search"))
    access = holding(Permit("AuditEvent", compartment="Patient/a", released=moment(2026)))
    clinician = holding(Permit("AuditEvent", compartment="Patient/a"))
    every = ["both", "made", "other", "search", "seen"]

    assert await seen_by(store, access, "AuditEvent") == ["other", "search"]
    assert await seen_by(store, clinician, "AuditEvent") == every
    assert await store.read(access, "AuditEvent", "made") is None
    assert ids(await store.history(access, "AuditEvent", limit=9)) == ["search", "other"]
    assert ids(await store.changes(access, limit=9)) == ["other", "search"]

    await keep(store, released(observation("o"), "2026-02-01T00:00:00Z"))
    assert await seen_by(store, access, "AuditEvent") == ["other", "search"]

    await keep(store, released(observation("o"), "2025-12-31T00:00:00Z"))
    assert await seen_by(store, access, "AuditEvent") == every


def limit_of(permit: Permit) -> Predicate:
    return limit("Observation", holding(permit), "read")


async def test_rows_made_anew_move_what_is_in_a_compartment(store: Store) -> None:
    """What is found for a limit is not kept from before, and is asked of rows as they are now."""

    def moved(resource: dict[str, Any]) -> tuple[IndexRows, tuple[str, ...]]:
        if resource["id"] == "ob":
            return indexed(observation("ob", subject="a"))
        return indexed(observation("oa", subject="b") if resource["id"] == "oa" else resource)

    await keep(store, patient("a"), patient("b"), stay("ea", "a"))
    await keep(store, observation("oa"), observation("ob", subject="b"), observation("o"))
    assert await seen_by(store, WARD) == ["a", "ea", "o", "oa"]

    store.use_index(moved, "moved")
    while await store.reindex():
        pass
    assert await seen_by(store, WARD, "Observation") == ["o", "ob"]

    store.use_index(indexed, "back")
    while await store.reindex():
        pass
    assert await seen_by(store, WARD, "Observation") == ["o", "oa"]
