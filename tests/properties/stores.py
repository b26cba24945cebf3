"""Fill a store, ask it page by page, and tell what the oracle would answer."""

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from server.access.context import SYSTEM, AccessContext
from server.access.narrow import decide, limit
from server.search import reach
from server.search.match import Candidate, Moment, matches, names_of
from server.search.query import Query, SortKey
from server.search.rows import IndexRows
from server.store.mongo import chains, plan, settle, values
from server.store.port import Store
from tests import mongod
from tests.contract.conftest import STORES
from tests.contract.made import START, Clock, deletion, index, put

SECOND = 1_000_000

HERE = [name for name in STORES if name != "mongo"]
"""Stores in this process.  A server is asked fewer examples, and all of them by ``make soak``."""


@dataclass
class Live:
    """What the oracle knows of a resource."""

    resource: dict[str, Any]
    rows: IndexRows
    updated: int
    born: int
    rid: int

    @property
    def candidate(self) -> Candidate:
        return Candidate(self.resource, self.rows, self.updated)


Commits = list[list[dict[str, Any]]]
Place = tuple[str, str]
Alive = dict[Place, Live]


def long_lists_in_mongodb(patch: pytest.MonkeyPatch, reached: int = 0) -> None:
    """Let every list count as long, so that it is walked; and chains that lead to more than
    ``reached``, texts and places be asked of batches of two."""
    patch.setattr(chains, "FEW", -1)
    patch.setattr(chains, "MANY", 0)
    patch.setattr(settle, "SHORT", -1)
    patch.setattr(settle, "MANY", 0)
    patch.setattr(settle, "MOST", 1)
    patch.setattr(settle, "MERGED", 2)
    patch.setattr(chains, "MAX_REACHED", reached)
    patch.setattr(values, "MAX_TEXTS", 0)
    patch.setattr(values, "MAX_PLACES", 0)
    patch.setattr(settle, "FIRST_BATCH", 2)
    patch.setattr(settle, "LARGEST_BATCH", 2)
    patch.setattr(plan, "MANY", 0)


@asynccontextmanager
async def opened(make: Callable[[Path, Clock], Store], clock: Clock) -> AsyncIterator[Store]:
    with tempfile.TemporaryDirectory() as folder:
        store = make(Path(folder), clock)
        try:
            yield store
        finally:
            await store.close()
            mongod.clean_up(store)


async def fill(store: Store, clock: Clock, made: Commits, removed: set[int]) -> Alive:
    """Commit everything, a second apart, and delete what was written in the ``removed`` places."""
    live: Alive = {}
    first: dict[Place, tuple[int, int]] = {}
    count = 0
    for commit in made:
        for resource, version in zip(
            commit, await store.commit([put(resource) for resource in commit]), strict=True
        ):
            place = (version.type, version.id)
            born, rid = first.setdefault(place, (version.at, version.seq))
            live[place] = Live(resource, index(resource)[0], version.at, born, rid)
            count += 1
            if count in removed:
                await store.commit([deletion(*place)])
                del live[place]
        clock.at += SECOND
    assert clock.at >= START
    return live


class _World:
    """Live resources, among which references lead on."""

    def __init__(self, live: Alive) -> None:
        self.live = live

    def named(self, target: int) -> list[Candidate]:
        return [
            one.candidate
            for one in self.live.values()
            if target in names_of(one.resource, one.rows)
        ]

    def of_type(self, type_: str) -> list[Candidate]:
        return [one.candidate for place, one in self.live.items() if place[0] == type_]


def _is_open(one: Live, type_: str, access: AccessContext, world: _World) -> bool:
    said = decide(access, "search", type_, one.rows.keys)
    if said is not None:
        return said
    query = Query((type_,), limit(type_, access, "search"))
    return matches(query, one.resource, one.rows, updated=one.updated, world=world)


class Seen(_World):
    """The world as one caller sees it: what may not be seen does not exist."""

    def __init__(self, live: Alive, access: AccessContext) -> None:
        everything = _World(live)
        self.live = {
            place: one for place, one in live.items() if _is_open(one, place[0], access, everything)
        }


def oracle(
    live: Alive, query: Query, sort: tuple[SortKey, ...], access: AccessContext = SYSTEM
) -> list[Place]:
    seen = Seen(live, access)
    moment = Moment(seen)
    found = [
        (place, one) for place, one in seen.live.items() if moment.matches(query, one.candidate)
    ]
    last = sort[-1].descending if sort else True
    found.sort(key=lambda item: item[1].rid, reverse=last)
    if not sort:
        found.sort(key=lambda item: date_of(item[1]), reverse=True)
    for key in reversed(sort):
        values = {place: reach.sort_value(one.candidate, key, moment) for place, one in found}
        have = [item for item in found if values[item[0]] is not None]
        have.sort(key=lambda item: values[item[0]], reverse=key.descending)
        found = have + [item for item in found if values[item[0]] is None]
    return [place for place, _ in found]


def date_of(one: Live) -> int:
    return one.born if one.rows.date is None else one.rows.date


async def walk(
    store: Store,
    query: Query,
    sort: tuple[SortKey, ...],
    limit: int,
    access: AccessContext = SYSTEM,
) -> list[Place]:
    seen: list[Place] = []
    after = None
    while True:
        page = await store.search(access, query, sort=sort, limit=limit, after=after, deadline_s=60)
        seen += [(version.type, version.id) for version in page.versions]
        assert len(page.versions) <= limit
        after = page.after
        if after is None:
            return seen
