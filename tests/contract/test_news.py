"""Who follows the change feed is woken by what is committed."""

import asyncio
import time

from server.store.mongo import MongoStore
from server.store.news import News, RecordNews
from server.store.port import RecordWrite, Store, Version
from tests import mongod
from tests.contract.made import Clock, index, patient, put

NEW = RecordWrite("word", "a", b"1")
EVENT = {"resourceType": "AuditEvent", "id": "e"}
PLACES = enumerate(("Patient", "AuditEvent"), start=1)


async def test_what_was_committed_before_is_told_at_once(store: Store) -> None:
    (made,) = await store.commit([patient("a")])
    assert await store.news(0, 30.0) == made.seq


async def test_who_waits_is_woken_by_a_commit(store: Store) -> None:
    (first,) = await store.commit([patient("a")])
    waiting = asyncio.create_task(store.news(first.seq, 30.0))
    await asyncio.sleep(0.01)
    (second,) = await store.commit([patient("b")])
    async with asyncio.timeout(10):
        assert await waiting == second.seq


async def test_who_waits_in_vain_is_told_so_in_time(store: Store) -> None:
    (made,) = await store.commit([patient("a")])
    begun = time.monotonic()
    assert await store.news(made.seq, 0.02) == made.seq
    assert time.monotonic() - begun >= 0.02


async def test_nobody_is_woken_by_an_audit_event() -> None:
    news = News()
    (patient_, event) = (Version(t, "x", 1, n, 0, "PUT", b"{}") for n, t in PLACES)
    news.committed([patient_, event])
    assert await news.wait(0, 1.0) == 1


async def test_on_mongodb_who_waits_is_woken_by_another_process(clock: Clock) -> None:
    here = mongod.new_store(clock)
    there = MongoStore(mongod.url(), here.database, now=clock, index=index, fingerprint="1")
    try:
        heard = (await here.commit([patient("a")]))[0].seq
        for id_ in ("b", "c"):  # the second by a stream that is open for sure
            waiting = asyncio.create_task(here.news(heard, 30.0))
            await asyncio.sleep(0.01)
            (made,) = await there.commit([patient(id_)])
            async with asyncio.timeout(10):
                heard = await waiting
            assert heard == made.seq
        await there.commit([put(EVENT)])
        assert await here.news(heard, 0.1) == heard
    finally:
        await there.close()
        await here.close()
        mongod.clean_up(here)


async def test_who_waits_for_records_is_woken_by_one_that_is_put(store: Store) -> None:
    heard = await store.record_news("word", 0, 0.01)
    waiting = asyncio.create_task(store.record_news("word", heard, 30.0))
    await asyncio.sleep(0.01)
    await store.commit([], records=[NEW])
    async with asyncio.timeout(10):
        assert await waiting > heard


async def test_of_records_of_other_kinds_and_of_what_goes_nobody_is_told() -> None:
    news = RecordNews()
    await news.wait("word", 0, 0.0)
    news.committed([RecordWrite("words", "a", b"1"), RecordWrite("word", "a", None)])
    assert await news.wait("word", 0, 0.0) == 0
    news.committed([NEW, RecordWrite("word", "b", b"1")])
    assert await news.wait("word", 0, 30.0) == 1


async def test_who_waits_for_records_in_vain_looks_in_time(store: Store) -> None:
    begun = time.monotonic()
    assert await store.record_news("word", 0, 0.02) == 0
    assert time.monotonic() - begun >= 0.02


async def test_on_mongodb_who_waits_for_records_is_woken_by_another_process(clock: Clock) -> None:
    here = mongod.new_store(clock)
    there = MongoStore(mongod.url(), here.database, now=clock, index=index, fingerprint="1")
    try:
        heard = await here.record_news("word", 0, 30.0)  # it is listened to from now on
        assert heard == 1
        waiting = asyncio.create_task(here.record_news("word", heard, 30.0))
        await there.commit([], records=[RecordWrite("words", "a", b"1"), NEW])
        async with asyncio.timeout(10):
            assert await waiting == 2
        await there.commit([], records=[RecordWrite("word", "a", None)])
        begun = time.monotonic()
        assert await here.record_news("word", 2, 0.02) == 2  # nobody is told of what went
        assert time.monotonic() - begun >= 0.08  # and who is told of all looks less often
    finally:
        await there.close()
        await here.close()
        mongod.clean_up(here)


async def test_a_store_on_mongodb_that_is_closed_listens_no_more(clock: Clock) -> None:
    before = asyncio.all_tasks()  # of a store that other tests share, too
    store = mongod.new_store(clock)
    await store.record_news("word", 0, 0.01)
    await store.close()
    assert await store.record_news("other", 0, 0.01) == 0
    await asyncio.sleep(0)
    begun = (one.get_name() for one in asyncio.all_tasks() - before)
    assert [name for name in begun if "store-" in name] == []
    mongod.clean_up(store)
