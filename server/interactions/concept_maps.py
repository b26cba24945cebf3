"""The ConceptMaps of the record, as far as a caller may see them; each is compiled once.

What is compiled is kept by its content, so a changed map is another one and nobody is told of a map
by its being kept.  Which maps somebody sees is kept for those with the same rights, until any
process writes a map.  Where several maps have one canonical URL the active one counts, then the one
that was changed last.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from threading import Lock
from weakref import WeakKeyDictionary

import anyio.to_thread

from server.access.context import SYSTEM, AccessContext, Permit
from server.fhir import json as fhir_json
from server.fhir.errors import TooCostly
from server.fhir.references import split_reference
from server.interactions.services import Services
from server.interactions.shipped_maps import shipped
from server.search.query import EVERYTHING, HasKey, Query, SortKey
from server.store.port import Store, Version
from terminology import concept_map
from terminology.concept_map import ConceptMap
from terminology.synonyms import Synonyms

MAX_MAPS = 500  # asked at once; more have to be named by their URL
MAX_KEPT = 64_000_000  # bytes of JSON of the maps that are kept compiled
MAX_VIEWS = 50  # different rights whose maps are kept together
SHORT = 100_000  # bytes; longer maps are compiled in a thread

Code = tuple[str, str]
_TYPE = "ConceptMap"
_PAGE = 50
_NEWEST = (SortKey("_lastUpdated", "updated", descending=True),)


class _Kept:
    """Compiled maps by the digest of their JSON, the least used leave first."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._maps: OrderedDict[bytes, tuple[int, ConceptMap]] = OrderedDict()
        self._size = 0

    async def compiled(self, body: bytes) -> ConceptMap:
        if len(body) <= SHORT:
            return self._compiled(body)
        return await anyio.to_thread.run_sync(self._compiled, body)

    def _compiled(self, body: bytes) -> ConceptMap:
        digest = blake2b(body, digest_size=16).digest()
        with self._lock:
            if digest in self._maps:
                self._maps.move_to_end(digest)
                return self._maps[digest][1]
        made = concept_map.compiled(fhir_json.loads(body))
        with self._lock:
            if digest not in self._maps:
                self._maps[digest] = (len(body), made)
                self._size += len(body)
            while self._size > MAX_KEPT and len(self._maps) > 1:
                self._size -= self._maps.popitem(last=False)[1][0]
        return made


_kept = _Kept()


@dataclass(frozen=True, slots=True)
class Found:
    """Maps and the versions that they were compiled from, in the same order."""

    maps: tuple[ConceptMap, ...] = ()
    versions: tuple[Version, ...] = ()

    def and_(self, other: "Found") -> "Found":
        """Return both."""
        return Found((*self.maps, *other.maps), (*self.versions, *other.versions))


@dataclass(frozen=True, slots=True)
class ConceptMaps:
    """What one caller may ask."""

    services: Services
    access: AccessContext
    _by_url: dict[str, Found] = field(default_factory=dict)

    async def of(self, version: Version) -> ConceptMap:
        """Return a stored map, compiled."""
        made = await _kept.compiled(version.body or b"{}")
        # Its own URL may be missing; its address is not part of its content.
        local = f"{_TYPE}/{version.id}"
        return made if made.url else replace(made, canonical=local)

    async def named(self, canonical: str) -> Found:
        """Return the map of a canonical URL, ``url|version`` or ``ConceptMap/id``; or none.

        What is stored wins over what is shipped (:mod:`.shipped_maps`).
        """
        if canonical not in self._by_url:
            self._by_url[canonical] = await self._named(canonical)
        return self._by_url[canonical]

    async def _named(self, canonical: str) -> Found:
        named = split_reference(canonical, self.services.base_url)
        if named.type == _TYPE and named.id is not None:
            ref = (named.type, named.id)
            found = (await self.services.store.read_many(self.access, [ref])).get(ref)
            return Found() if found is None else Found((await self.of(found),), (found,))
        url, _, version = canonical.partition("|")
        all_ = await self._searched(f"{_TYPE}|url|u|{url}")
        pairs = list(zip(all_.maps, all_.versions, strict=True))
        if version:
            pairs = [pair for pair in pairs if pair[0].canonical == canonical]
        active = [pair for pair in pairs if pair[0].status == "active"]
        own = shipped(canonical)
        ours = Found((own,)) if own is not None else Found()
        return next((Found((m,), (v,)) for m, v in active or pairs), ours)

    async def from_system(self, system: str, *, reverse: bool = False) -> Found:
        """Return the active maps that have a group from a code system; ``reverse``: to it."""
        param = "target-system" if reverse else "source-system"
        return _active(await self._searched(f"{_TYPE}|{param}|u|{system}"))

    async def all(self) -> Found:
        """Return all active maps."""
        return _active(await self._searched(_TYPE))

    async def beyond(self, found: Found) -> Found:
        """Return the maps that these lead to, and those that they lead to, each once."""
        met: dict[str, Found] = {}
        todo = [url for one in found.maps for url in sorted(one.leads_to)]
        while todo:
            url = todo.pop()
            if url in met:
                continue
            if len(met) >= MAX_MAPS:
                raise TooCostly(f"more than {MAX_MAPS} concept maps lead to each other")
            met[url] = await self.named(url)
            todo += [onward for one in met[url].maps for onward in sorted(one.leads_to)]
        made = Found()
        for one in met.values():
            made = made.and_(one)
        return made

    async def finder(self, found: Found) -> tuple[Callable[[str], ConceptMap | None], Found]:
        """Return what finds the maps that these lead to, and all of those."""
        beyond = await self.beyond(found)
        known = {url: one.maps[0] for url, one in self._by_url.items() if one.maps}
        return known.get, beyond

    async def _searched(self, key: str) -> Found:
        maps: list[ConceptMap] = []
        versions: list[Version] = []
        after = None
        while True:
            page = await self.services.store.search(
                self.access,
                Query((_TYPE,), HasKey((key,))),
                sort=_NEWEST,
                limit=_PAGE,
                after=after,
                deadline_s=self.services.policy.deadline_s,
            )
            for version in page.versions:
                if len(maps) >= MAX_MAPS:
                    raise TooCostly(
                        f"more than {MAX_MAPS} concept maps could be asked: name one by its url"
                    )
                maps.append(await self.of(version))
                versions.append(version)
            after = page.after
            if after is None:
                return Found(tuple(maps), tuple(versions))


def _active(found: Found) -> Found:
    pairs = zip(found.maps, found.versions, strict=True)
    kept = [(map_, version) for map_, version in pairs if map_.status == "active"]
    return Found(tuple(map_ for map_, _ in kept), tuple(version for _, version in kept))


Translated = Callable[[Code], frozenset[Code]]
"""Code -> the codes of other systems that mean exactly the same."""


async def translations(services: Services, access: AccessContext) -> Translated:
    """Return what finds the synonyms of a code in the active ConceptMaps that the caller may see.

    Only ``equal`` and ``equivalent`` count, in both directions, and one step only.  A code without
    system has no synonym.

    Raises:
        TooCostly: there are more than :data:`MAX_MAPS` maps, or one is too long.
        DeadlineExceeded, StoreUnavailable: as of a search.
    """
    sight = _sight(access)
    if sight is None:
        return Synonyms((await ConceptMaps(services, access).all()).maps).of
    views = _views.setdefault(services.store, OrderedDict())
    view = views.get(sight)
    if view is None or await _changed(services, view.seq):
        # Read before the maps: what is written meanwhile is found by the next who ask.
        newest = await services.store.history(SYSTEM, _TYPE, limit=1)
        found = await ConceptMaps(services, access).all()
        view = _View(newest[0].seq if newest else 0, Synonyms(found.maps))
        views[sight] = view
    views.move_to_end(sight)
    while len(views) > MAX_VIEWS:
        views.popitem(last=False)
    return view.synonyms.of


@dataclass(frozen=True, slots=True)
class _View:
    """The maps that callers with the same rights see, as long as none changes behind ``seq``."""

    seq: int
    synonyms: Synonyms


_views: WeakKeyDictionary[Store, OrderedDict[tuple[Permit, ...], _View]] = WeakKeyDictionary()


def _sight(access: AccessContext) -> tuple[Permit, ...] | None:
    """Return what decides which maps a caller sees; ``None`` when more than the maps does.

    Compartments, conditions and the time of a release depend on other resources, or on the clock.
    """
    permits = access.covering(_TYPE, "search")
    plain = all(
        permit.compartment is None and permit.where == EVERYTHING and permit.released is None
        for permit in permits
    )
    return permits if plain else None


async def _changed(services: Services, seq: int) -> bool:
    """Tell whether any process wrote a map since; the store is asked, so it is known at once."""
    return bool(await services.store.changes(SYSTEM, after=seq, limit=1, type_=_TYPE))
