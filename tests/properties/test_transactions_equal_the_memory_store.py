"""Commits that wait together and are written together do what they do one after the other.

SQLite takes what waits into one transaction and puts off what it adds; the memory store does each
commit by itself.  Both are told the same in the same order, must answer the same, and hold the same
afterwards.  Some commits fail half-way, which nobody else may notice.
"""

import asyncio
from dataclasses import dataclass, replace
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from server.access.context import SYSTEM, AccessContext
from server.audit.audit_event import Event, audit_event
from server.fhir.errors import VersionConflict
from server.search.query import HasKey, Query
from server.search.rows import IndexRows
from server.store.port import CommitConflict, Expect, OutboxWrite, RecordWrite, Store, Write
from server.store.sqlite import tables
from tests.contract.conftest import STORES
from tests.contract.made import START, Clock, deletion, put
from tests.properties.clinical import IDS, TYPES, queries, resources, sorts
from tests.properties.stores import SECOND, opened, walk

Broken = Literal["", "date", "text", "words", "none"]
Asked = tuple[Query, tuple[Any, ...], int]

ALL_TYPES = (*TYPES, "Questionnaire", "AuditEvent")
FAILURES = (OverflowError, UnicodeEncodeError, AssertionError)
LABELS = ("http://l|R", "http://l|V")
_BY = AccessContext("user/1", "app", ())


@dataclass(frozen=True)
class Told:
    """The arguments of one commit; ``broken``: how a last write is that fails half-way."""

    writes: tuple[Write, ...]
    expect: tuple[Expect, ...] = ()
    records: tuple[RecordWrite, ...] = ()
    broken: Broken = ""


_questionnaires = st.fixed_dictionaries(
    {
        "resourceType": st.just("Questionnaire"),
        "id": st.sampled_from(IDS),
        "url": st.sampled_from(["http://q.test/1", "Questionnaire/a", "Patient/b"]),
    }
)
_conditions = st.sampled_from(
    [{}, {}, {}, {"must_be_new": True}, {"if_version": 0}, {"if_version": 1}, {"if_version": 2}]
)
_puts = st.builds(
    lambda resource, more: put(resource, **more), st.one_of(resources, _questionnaires), _conditions
)
_deletions = st.builds(deletion, st.sampled_from(TYPES), st.sampled_from(IDS))
_events = st.builds(
    lambda n, patient, data, labels: audit_event(
        Event(START, "C", "create", _BY, patient, data, labels=labels), f"e{n}", "http://x.test"
    ),
    st.integers(0, 3),
    st.sampled_from([None, "Patient/a", "Patient/b"]),
    st.sampled_from([(), (("Patient/a/_history/1", ""),), (("urn:uuid:1", ""), ("Basic/a", ""))]),
    st.sampled_from([(), LABELS[:1], LABELS]),
)
_expects = st.builds(
    lambda key, type_, ids: Expect(key, Query((type_,), HasKey((key,))), ids),
    st.sampled_from(["Patient|gender|c|male", "Observation|code|c|1-8", "Encounter|status|?"]),
    st.sampled_from(TYPES),
    st.sampled_from([frozenset[str](), frozenset("a"), frozenset("ab")]),
)
_records = st.builds(
    lambda key, value, if_rev: RecordWrite("k", key, value, if_rev=if_rev),
    st.sampled_from(["1", "2"]),
    st.sampled_from([b"v", b"w", None]),
    st.sampled_from([None, None, 0, 1, 2]),
)
_told = st.builds(
    Told,
    st.lists(
        st.one_of(_puts, _puts, _puts, _deletions, _events),
        max_size=4,
        unique_by=lambda write: (write.type, write.id),
    ).map(tuple),
    st.one_of(st.just(()), st.just(()), _expects.map(lambda one: (one,))),
    st.one_of(st.just(()), _records.map(lambda one: (one,))),
    st.sampled_from(["", "", "", "", "", "", "", "date", "text", "words", "none"]),
)
_batches = st.lists(st.lists(_told, min_size=1, max_size=8), min_size=1, max_size=4)
_asked = queries.flatmap(
    lambda query: st.tuples(st.just(query), sorts(query.types), st.integers(1, 4))
)


@pytest.mark.parametrize("most", [1000, 3])
@given(batches=_batches, searches=st.lists(_asked, min_size=3, max_size=6))
@settings(
    max_examples=15,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
async def test_commits_of_one_transaction_do_what_they_do_alone(
    most: int, batches: list[list[Told]], searches: list[Asked]
) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_MOST_PUT_OFF", most)
        async with (
            opened(STORES["memory"], clock) as alone,
            opened(STORES["sqlite"], clock) as together,
        ):
            for batch in batches:
                expected = ["broken" if one.broken else await outcome(alone, one) for one in batch]
                found = await asyncio.gather(*[outcome(together, one) for one in batch])
                assert found == expected
                clock.at += SECOND
            assert await content(together) == await content(alone)
            for query, sort, limit in searches:
                seen = await walk(together, query, sort, limit)
                assert seen == await walk(alone, query, sort, limit)
            assert await together.verify() == []


def broken(told: Told) -> list[Write]:
    """Return the writes without conditions, the last with rows that no file can hold."""
    writes = [replace(one, if_version=None, must_be_new=False) for one in told.writes]
    last = put({"resourceType": "Basic", "id": "a"}, if_version=None)
    place = {(one.type, one.id): one for one in writes if one.body is not None}
    if place:
        last = place.popitem()[1]
        writes.remove(last)
    rows: dict[Broken, IndexRows | None] = {
        "": last.rows if isinstance(last.rows, IndexRows) else None,
        "date": IndexRows(frozenset(), date=2**80),
        "text": IndexRows(frozenset({1}), strings=((1, "\ud800"),)),
        "words": IndexRows(frozenset({1}), narrative="\ud800", content="x"),
        "none": None,
    }
    return [*writes, replace(last, rows=rows[told.broken])]


async def outcome(store: Store, told: Told) -> object:
    """Return the versions that a commit makes, or the class of what it is refused with."""
    try:
        if told.broken:
            return await store.commit(broken(told))
        outbox = [OutboxWrite("t", b"")] if told.writes else []
        return await store.commit(
            told.writes, expect=told.expect, records=told.records, outbox=outbox
        )
    except FAILURES:
        return "broken"
    except (VersionConflict, CommitConflict) as error:
        return type(error)


async def content(store: Store) -> list[object]:
    return [
        await store.changes(SYSTEM, limit=1000),
        [
            await store.read(SYSTEM, type_, id_)
            for type_ in (*TYPES, "Questionnaire")
            for id_ in IDS
        ],
        [await store.history(SYSTEM, type_, "a", limit=100) for type_ in TYPES],
        await store.find_records("k"),
        await store.outbox(),
    ]
