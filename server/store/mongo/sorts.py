"""Orders that no field holds: codes, addresses, and what chains lead to.

Codes and references are kept as hashes, which have no order, so the bodies of all matches are
read, a batch at a time; of what was read, only the best are kept.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from server.fhir import json as fhir_json
from server.search import sorting
from server.search.query import Hop, SortKey
from server.search.rows import param_hash
from server.store.mongo.look import Document
from server.store.mongo.orders import Cursor
from server.store.mongo.settle import Settler
from server.store.port import Scalar

READ_AT_ONCE = 100  # bodies
MAX_KNOWN = 20_000  # resources behind chains whose values are remembered

BODY = {"rt": 1, "id": 1, "lu": 1, "c": 1, "b": 1}


def reads_body(key: SortKey) -> bool:
    """Tell whether sorting by the key reads bodies, its own or those behind a chain."""
    return bool(key.through) or key.kind in ("token", "reference", "uri")


@dataclass(frozen=True, slots=True)
class _Reached:
    """What a hop leads to: who it is, what it refers to, and, at the end, its value."""

    type: str
    place: str
    refers: tuple[tuple[int, int], ...]
    value: Scalar


class Best:
    """The first ``size`` of all documents that are put in."""

    def __init__(self, sort: Sequence[SortKey], after: Cursor | None, size: int) -> None:
        self._descending = [key.descending for key in sort] + [sort[-1].descending]
        self._after = None if after is None else self._rank(after)
        self._size = size
        self._kept: list[tuple[tuple[Any, ...], Cursor, Document]] = []

    def put(self, document: Document, values: Cursor) -> None:
        """Take a document in, with its sort values and ``born``."""
        rank = self._rank(values)
        if self._after is not None and not self._after < rank:
            return
        self._kept.append((rank, values, document))
        if len(self._kept) > 4 * self._size + 1000:
            self._trim()

    def result(self) -> list[tuple[Cursor, Document]]:
        """Return the first documents in order, with their cursors."""
        self._trim()
        return [(values, document) for _, values, document in self._kept]

    def _trim(self) -> None:
        self._kept.sort(key=lambda one: one[0])
        del self._kept[self._size :]

    def _rank(self, values: Cursor) -> tuple[Any, ...]:
        return tuple(
            (True,) if value is None else (False, _Backwards(value) if descending else value)
            for value, descending in zip(values, self._descending, strict=True)
        )


class _Backwards:
    """A value that comes before smaller ones."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def __lt__(self, other: "_Backwards") -> bool:
        return bool(other._value < self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Backwards) and bool(other._value == self._value)

    def __hash__(self) -> int:
        return hash(self._value)


class Values:
    """Sort values by bodies and chains, for one search."""

    def __init__(self, settler: Settler, sort: Sequence[SortKey]) -> None:
        self._settler = settler
        self._sort = sort
        self._known: dict[tuple[int, int], dict[int, list[_Reached]]] = {}

    @property
    def fields(self) -> dict[str, int]:
        """What is to be read of each match."""
        own = any(not key.through for key in self._sort)
        return {"rt": 1, "id": 1, "lu": 1, "born": 1, "r": 1, **(BODY if own else {})}

    async def of(self, batch: Sequence[Document]) -> list[Cursor]:
        """Return the cursors of documents."""
        own = [key for key in self._sort if not key.through]
        resources = [await self._resource(one) for one in batch] if own else []
        columns: list[list[Scalar]] = []
        for number, key in enumerate(self._sort):
            if key.through:
                columns.append(await self._behind(number, key, batch))
            else:
                columns.append(
                    [self._value(r, key, one) for r, one in zip(resources, batch, strict=True)]
                )
        born = [int(one["born"]) for one in batch]
        return list(zip(*columns, born, strict=True))

    async def _behind(self, number: int, key: SortKey, batch: Sequence[Document]) -> list[Scalar]:
        at = [{one["_id"]: _Reached(one["rt"], one["_id"], _refers(one), None)} for one in batch]
        for depth, hop in enumerate(key.through):
            last = replace(key, through=()) if depth == len(key.through) - 1 else None
            targets = {n for some in at for one in some.values() for n in _wanted(one, hop)}
            named = await self._named((number, depth), hop, last, targets)
            at = [
                {
                    other.place: other
                    for one in some.values()
                    for target in _wanted(one, hop)
                    for other in named.get(target, ())
                }
                for some in at
            ]
        return [_best(key, (one.value for one in some.values())) for some in at]

    async def _named(
        self, place: tuple[int, int], hop: Hop, last: SortKey | None, targets: set[int]
    ) -> dict[int, list[_Reached]]:
        """Return what the targets name, of what the hop leads to; remembered."""
        known = self._known.setdefault(place, {})
        if len(known) > MAX_KNOWN:
            known.clear()
        new = targets - known.keys()
        if not new:
            return known
        known.update((target, []) for target in new)
        fields = {"rt": 1, "id": 1, "n": 1, "r": 1, **(BODY if last is not None else {})}
        async for one in self._settler.chains.named(hop.to, new, fields):
            value = None
            if last is not None:
                value = self._value(await self._resource(one), last, one)
            reached = _Reached(one["rt"], one["_id"], _refers(one), value)
            for name in one["n"]:
                if name in new:
                    known[name].append(reached)
        return known

    async def _resource(self, document: Document) -> dict[str, Any]:
        bodies = self._settler.look.reading.bodies
        body = await bodies.decode(document["rt"], document["c"], document["b"])
        resource: dict[str, Any] = fhir_json.loads(body or b"{}")
        return resource

    def _value(self, resource: dict[str, Any], key: SortKey, document: Document) -> Scalar:
        catalog = self._settler.look.reading.catalog
        return sorting.sort_value(resource, key, int(document["lu"]), catalog=catalog)


def _wanted(one: _Reached, hop: Hop) -> list[int]:
    place = param_hash(one.type, hop.param)
    return [target for hashed, target in one.refers if hashed == place]


def _refers(document: Document) -> tuple[tuple[int, int], ...]:
    return tuple((refers["p"], refers["n"]) for refers in document.get("r", ()))


def _best(key: SortKey, values: Iterable[Scalar]) -> Scalar:
    found = [value for value in values if value is not None]
    # Values of one key are of one type, which a Scalar does not tell.
    return (max if key.descending else min)(found, default=None)
