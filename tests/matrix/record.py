"""The resources that the matrix asks about, in every store, and what the oracle says of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from server.access.context import SYSTEM
from server.fhir import definitions
from server.fhir import json as fhir_json
from server.fhir.dates import instant_text
from server.fhir.definitions import SearchParameter
from server.interactions.prepare import to_write
from server.search import match
from server.search.extract import index_rows
from server.search.match import Candidate, Moment
from server.search.parse import parse_search
from server.search.query import Query, Search, SortKey
from server.search.reach import sort_value
from server.store.port import Store
from tests.conformance.test_official_examples import FAULTY, members
from tests.contract.made import Clock
from tests.matrix import naive
from tests.matrix.generate import generated
from tests.matrix.questions import Asked, questions
from tests.matrix.values import BASE_URL

Place = tuple[str, str]
BATCH = 150  # resources of one commit
BETWEEN = 61_250_000  # µs between commits


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored resource; ``date`` is what it is ordered by without ``_sort``."""

    candidate: Candidate
    date: int
    rid: int


class Record:
    """The same resources in each of ``stores``, and in the oracle's hands."""

    def __init__(self, stores: Mapping[str, Store], every: Mapping[str, int] | None = None) -> None:
        """``every``: of how many questions a store is asked one; all, when it is not there."""
        self.stores = stores
        self._every = every or {}
        self._turn = 0
        self.kept: dict[str, list[Kept]] = {}
        self._named: dict[int, list[Candidate]] = {}
        self._values: dict[tuple[str, str, str], list[naive.Value]] = {}
        self._questions: dict[tuple[str, str], list[Asked]] = {}
        self.notes: dict[str, Any] = {}
        """What the second oracle has worked out of all resources."""
        self.asked = 0
        self.found = 0

    async def fill(self, resources: Sequence[dict[str, Any]], clock: Clock) -> None:
        """Store everything, a while between commits."""
        for begin in range(0, len(resources), BATCH):
            batch = resources[begin : begin + BATCH]
            writes = [to_write(r, base_url=BASE_URL, method="PUT") for r in batch]
            for store in self.stores.values():
                versions = await store.commit(writes)
            for version, resource in zip(versions, batch, strict=True):
                self._keep(resource, version.at, version.seq)
            clock.at += BETWEEN

    def named(self, target: int) -> Iterable[Candidate]:
        """See :meth:`server.search.match.World.named`."""
        return self._named.get(target, ())

    def of_type(self, type_: str) -> Iterable[Candidate]:
        """See :meth:`server.search.match.World.of_type`."""
        return [kept.candidate for kept in self.kept.get(type_, ())]

    def oracle(self, query: Query, sort: Sequence[SortKey] = ()) -> list[Place]:
        """Return what every store must answer, in its order."""
        moment = Moment(self)
        found = [
            kept
            for type_ in query.types
            for kept in self.kept.get(type_, ())
            if _matches(query, kept.candidate, moment)
        ]
        return [kept.candidate.place for kept in _in_order(found, sort, moment)]

    def oracle_of(self, type_: str, name: str, raw: str) -> list[Place]:
        """Return what every store must answer to ``type_?name=raw``."""
        return self.oracle(asked(type_, [(name, raw)]).query)

    def next_asked(self) -> dict[str, Store]:
        """Return the stores whose turn it is to be asked."""
        self._turn += 1
        return {
            name: store
            for name, store in self.stores.items()
            if self._turn % self._every.get(name, 1) == 0
        }

    async def answers(self, query: Query, sort: Sequence[SortKey] = ()) -> dict[str, list[Place]]:
        """Return what each store answers."""
        found = {}
        for name, store in self.next_asked().items():
            page = await store.search(SYSTEM, query, sort=sort, limit=10_000, deadline_s=60)
            assert page.after is None
            found[name] = [(version.type, version.id) for version in page.versions]
        return found

    def values(self, parameter: SearchParameter, one: Candidate) -> list[naive.Value]:
        """Return the values of a parameter as fhirpathpy sees them."""
        place = (*one.place, parameter.code)
        if place not in self._values:
            meta = {**one.resource.get("meta", {}), "lastUpdated": instant_text(one.updated)}
            self._values[place] = naive.values(parameter, {**one.resource, "meta": meta})
        return self._values[place]

    def all_values(self, type_: str, parameter: SearchParameter) -> list[naive.Value]:
        """Return the values that resources of the type have, repeats as well."""
        return [value for one in self.of_type(type_) for value in self.values(parameter, one)]

    def questions(self, type_: str, parameter: SearchParameter) -> list[Asked]:
        """Return what to ask of a parameter of the type."""
        place = (type_, parameter.code)
        if place not in self._questions:
            self._questions[place] = questions(parameter, self.all_values(type_, parameter))
        return self._questions[place]

    def naive(
        self, type_: str, parameter: SearchParameter, modifier: str | None, raw: str
    ) -> set[Place]:
        """Return what the second oracle finds."""
        return {
            one.place
            for one in self.of_type(type_)
            if naive.finds(parameter, self.values(parameter, one), modifier, raw)
        }

    async def differences(
        self, type_: str, name: str, raw: str, second: set[Place] | None = None
    ) -> list[str]:
        """Return how stores differ from the oracle for ``type_?name=raw``, and it from ``second``.

        Answers are compared in order, and every tenth with its count.
        """
        self.asked += 1
        search = asked(type_, [(name, raw)])
        expected = self.oracle(search.query)
        self.found += bool(expected)
        url = f"{type_}?{name}={raw}"
        wrong = [
            f"{url}: {store} found {found}, the oracle {expected}"
            for store, found in (await self.answers(search.query)).items()
            if found != expected
        ]
        if self.asked % 10 == 0:
            stores = self.next_asked().items()
            counts = {name: await store.count(SYSTEM, search.query) for name, store in stores}
            wrong += [f"{url}: {n} counts {c}" for n, c in counts.items() if c != len(expected)]
        if second is not None and second != set(expected):
            lacks, extra = sorted(second - set(expected)), sorted(set(expected) - second)
            wrong.append(f"{url}: not found {lacks}, not to be found {extra}")
        return wrong

    def _keep(self, resource: dict[str, Any], at: int, rid: int) -> None:
        rows = index_rows(resource, BASE_URL)
        one = Candidate(resource, rows, at)
        date = at if rows.date is None else rows.date
        self.kept.setdefault(one.place[0], []).append(Kept(one, date, rid))
        for name in match.names_of(resource, rows):
            self._named.setdefault(name, []).append(one)


def asked(type_: str, pairs: Sequence[tuple[str, str]]) -> Search:
    """Return the search as it would be read from a request."""
    return parse_search(
        type_, pairs, base_url=BASE_URL, default_count=20, max_count=99, strict=True
    )


def all_resources(shared_data: Path) -> list[dict[str, Any]]:
    """Return the valid official examples and what the generator makes, types mixed."""
    archive = shared_data / "r4" / "examples-half.tar.xz"
    examples = [fhir_json.loads(raw) for name, raw in members(archive) if name not in FAULTY]
    made = zip_longest(*(generated(type_) for type_ in sorted(definitions.resource_types())))
    return [*examples, *(one for row in made for one in row if one is not None)]


def _matches(query: Query, one: Candidate, moment: Moment) -> bool:
    return match.matches(query, one.resource, one.rows, updated=one.updated, world=moment)


def _in_order(found: list[Kept], sort: Sequence[SortKey], moment: Moment) -> list[Kept]:
    """Return them as docs/search.md orders: ties by first storing, without values last."""
    found = sorted(found, key=lambda kept: kept.rid, reverse=sort[-1].descending if sort else True)
    if not sort:
        found.sort(key=lambda kept: kept.date, reverse=True)
    for key in reversed(sort):
        values = {kept.rid: sort_value(kept.candidate, key, moment) for kept in found}
        have = [kept for kept in found if values[kept.rid] is not None]
        have.sort(key=lambda kept: values[kept.rid], reverse=key.descending)
        found = have + [kept for kept in found if values[kept.rid] is None]
    return found
