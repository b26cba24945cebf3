"""Take the caller's limits away at one hop, and the property of non-interference finds the leak.

Each mutation is what a bug would be: one place that forgets who asks.  Only the requests that lead
over that place are sent, which saves time; they are those of the property.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest

from server.access import narrow as narrowing
from server.access.context import SYSTEM
from server.interactions import bundle, conditional, expand, explained, rights, search
from server.interactions.contained import Containers
from server.interactions.includes import _Walk  # the one way to reach a single kind of include
from server.operations.registry import Call, Operation, Result
from server.rest import asynchronous
from server.search.query import Query, ReferredBy, Refers
from server.store.memory import MemoryStore
from server.store.memory import store as memory
from tests.security.ann import KINDS
from tests.security.asking import ASKS
from tests.security.inside import differences
from tests.security.worlds import full

Patch = pytest.MonkeyPatch
Mutation = Callable[[Patch], None]


def unlimited(owner: Any, name: str, *, at: int = 1) -> Mutation:
    """Return the mutation by which a function takes everybody for the system; ``at``: the place of
    the access context among its arguments."""

    def mutate(patch: Patch) -> None:
        plain = getattr(owner, name)

        def forgetful(*args: Any, **named: Any) -> Any:
            return plain(*args[:at], SYSTEM, *args[at + 1 :], **named)

        patch.setattr(owner, name, forgetful)

    return mutate


def skipping(skipped: Callable[[Any], bool]) -> Mutation:
    """Return the mutation by which one kind of hop is not limited."""

    def mutate(patch: Patch) -> None:
        plain = narrowing._at_every_hop

        def forgetful(where: Any, access: Any, interaction: Any) -> Any:
            return where if skipped(where) else plain(where, access, interaction)

        patch.setattr(narrowing, "_at_every_hop", forgetful)

    return mutate


def history_of(level: str) -> Mutation:
    """Return the mutation by which the history of an instance, a type or the system is open."""

    def mutate(patch: Patch) -> None:
        plain = MemoryStore.history

        async def forgetful(
            self: Any, access: Any, type_: Any = None, id_: Any = None, **more: Any
        ) -> Any:
            found = "system" if type_ is None else "type" if id_ is None else "instance"
            return await plain(self, SYSTEM if found == level else access, type_, id_, **more)

        patch.setattr(MemoryStore, "history", forgetful)

    return mutate


def with_everything(owner: Any, name: str) -> Mutation:
    """Return the mutation of a method whose object holds the access context."""

    def mutate(patch: Patch) -> None:
        plain = getattr(owner, name)

        async def forgetful(self: Any, *args: Any, **named: Any) -> Any:
            mine, self.access = self.access, SYSTEM
            try:
                return await plain(self, *args, **named)
            finally:
                self.access = mine

        patch.setattr(owner, name, forgetful)

    return mutate


def includes_forward(patch: Patch) -> None:
    """What is referred to is read for everybody."""
    plain = _Walk.page

    async def forgetful(self: Any, here: Any, at: Any, room: int) -> Any:
        targets = await search_targets(self, here)
        found = await plain(self, here, at, room)
        there = await self.services.store.read_many(SYSTEM, sorted(targets - self.shown))
        known = {(one.type, one.id) for one in found.versions}
        more = tuple(one for ref, one in there.items() if ref not in known)
        return replace(found, versions=(*found.versions, *more))

    async def search_targets(self: Any, here: Any) -> Any:
        return here.links.forward

    patch.setattr(_Walk, "page", forgetful)


def matches(patch: Patch) -> None:
    """Hops are limited, what is found is not."""

    def forgetful(query: Query, access: Any, interaction: Any = "search") -> Query:
        return Query(query.types, narrowing._at_every_hop(query.where, access, interaction))

    patch.setattr(memory, "narrow", forgetful)


def conditions(patch: Patch) -> None:
    """A condition is limited where it is read and where it is asked."""
    patch.setattr(conditional, "narrow", lambda query, access: query)
    unlimited(conditional, "found_by")(patch)


def both(one: Mutation, other: Mutation) -> Mutation:
    """Return both at once, of what is looked at twice."""

    def mutate(patch: Patch) -> None:
        one(patch)
        other(patch)

    return mutate


def changes(patch: Patch) -> None:
    async def forgetful(*_: Any) -> None:
        return None

    patch.setattr(rights, "demand_change", forgetful)


def chosen_ids(patch: Patch) -> None:
    """A caller with limits makes a resource under an id of his choice."""
    patch.setattr(rights, "limited", lambda *_: False)


def operation(code: str) -> Mutation:
    """Return the mutation by which an operation runs as the system."""

    def mutate(patch: Patch) -> None:
        plain = Operation.__call__

        async def forgetful(self: Operation, call: Call) -> Result:
            mine = replace(call, access=SYSTEM) if self.code == code else call
            return await plain(self, mine)

        patch.setattr(Operation, "__call__", forgetful)

    return mutate


def replayed(patch: Patch) -> None:
    plain = asynchronous.replayed

    def forgetful(job: Any, body: bytes) -> Any:
        return plain(replace(job, access=SYSTEM), body)

    patch.setattr(asynchronous, "replayed", forgetful)


def plans(patch: Patch) -> None:
    """``_explain`` is answered, and counts what may not be seen."""
    plain = explained.explained

    async def forgetful(services: Any, access: Any, wanted: Any) -> Any:
        return await plain(services, SYSTEM, wanted)

    patch.setattr(search, "explained", forgetful)


MUTATIONS: dict[str, tuple[Mutation, str, str]] = {
    "match": (matches, r"GET /Observation\?_count=1$", "plain"),
    "match, by label": (matches, r"GET /Observation\?_count=1$", "labels"),
    "match, unreleased": (matches, r"GET /Observation\?_count=1$", "released"),
    "match, granular": (matches, r"GET /Observation\?_count=1$", "granular"),
    "match, shared": (matches, r"GET /Practitioner$", "shared"),
    "system search": (matches, r"GET /\?_id", "plain"),
    "compartment search": (matches, r"GET /Patient/b/Observation$", "plain"),
    "search by form": (matches, r"POST /_search", "plain"),
    "chain": (skipping(lambda w: isinstance(w, Refers)), r"focus:Patient.name", "plain"),
    "chain, shared": (skipping(lambda w: isinstance(w, Refers)), r"partof.name", "shared"),
    "_has": (skipping(lambda w: isinstance(w, ReferredBy)), r"_has:Observation", "plain"),
    "_has, by label": (skipping(lambda w: isinstance(w, ReferredBy)), r"_has:Obs", "labels"),
    "_list": (
        skipping(lambda w: isinstance(w, ReferredBy) and w.by.types == ("List",)),
        r"_list=",
        "plain",
    ),
    "_filter": (skipping(lambda w: isinstance(w, Refers)), r"_filter=", "plain"),
    "chained _sort": (
        lambda patch: patch.setattr(memory, "narrow_sort", lambda sort, access: tuple(sort)),
        r"_sort=encounter.part-of|_sort=has-member",
        "plain",
    ),
    "_total": (unlimited(MemoryStore, "count"), r"_total=accurate", "plain"),
    "_summary=count": (unlimited(MemoryStore, "count"), r"_summary=count", "plain"),
    "_include": (includes_forward, r"_include=Observation:has-member$", "plain"),
    "_include:iterate": (includes_forward, r"Patient:organization&_include:iterate", "shared"),
    "_revinclude": (
        with_everything(_Walk, "_referrers"), r"_revinclude=Observation:has-member", "plain",
    ),
    "_revinclude:iterate": (
        with_everything(_Walk, "_referrers"), r"_revinclude:iterate=Observation", "plain",
    ),
    "_contained": (unlimited(Containers, "__init__", at=2), r"_contained=", "plain"),
    "value sets": (unlimited(expand, "StoredDefinitions"), r"code:in=", "plain"),
    "_explain": (plans, r"_explain", "plain"),
    "read": (unlimited(MemoryStore, "read"), r"^GET /Observation/h0$", "plain"),
    "read, by label": (unlimited(MemoryStore, "read"), r"^GET /Observation/h2$", "labels"),
    "Binary": (unlimited(MemoryStore, "read"), r"^GET /Binary/z0$", "plain"),
    "vread": (unlimited(MemoryStore, "vread"), r"_history/1", "plain"),
    "history of an instance": (history_of("instance"), r"h0/_history$", "plain"),
    "history of a type": (history_of("type"), r"/Observation/_history", "plain"),
    "history of the system": (history_of("system"), r"GET /_history", "plain"),
    "conditional create": (conditions, r"POST /Observation$", "plain"),
    "conditional update": (conditions, r"PUT /Observation\?", "plain"),
    "conditional patch": (conditions, r"PATCH /Observation\?", "plain"),
    "conditional delete": (both(conditions, changes), r"DELETE /Observation\?", "plain"),
    "conditional reference": (conditions, r"POST $", "plain"),
    "update": (changes, r"PUT /Observation/h0", "plain"),
    "delete": (changes, r"DELETE /Observation/h0", "plain"),
    "ids of others": (chosen_ids, r"PUT /Observation/(h0|none)", "plain"),
    "patch in a transaction": (unlimited(MemoryStore, "read"), r"POST $", "plain"),
    "reads in a Bundle": (unlimited(bundle, "fetch"), r"POST $", "plain"),
    "$everything": (operation("everything"), r"b/\$everything", "plain"),
    "$everything, referred": (unlimited(MemoryStore, "read_many"), r"\$everything", "plain"),
    "$everything, by label": (operation("everything"), r"a/\$everything", "labels"),
    "$lastn": (operation("lastn"), r"\$lastn", "plain"),
    "$story": (operation("story"), r"\$story", "plain"),
    "$story, by label": (operation("story"), r"a/\$story", "labels"),
    "$meta": (operation("meta"), r"h0/\$meta", "plain"),
    "$meta of a type": (operation("meta"), r"Observation/\$meta$", "plain"),
    "asynchronous": (replayed, r"GET /Observation/h0", "plain"),
}  # fmt: skip


@pytest.mark.parametrize("hop", MUTATIONS)
def test_a_hop_without_its_limits_is_found(hop: str, monkeypatch: Patch) -> None:
    mutate, over, name = MUTATIONS[hop]
    (kind,) = [kind for kind in KINDS if kind.name == name]
    asks = [ask for ask in ASKS if re.search(over, f"{ask.method} {ask.address}")]
    assert asks
    mutate(monkeypatch)

    assert anyio.run(differences, "memory", full(kind), asks) != []
