"""Looks at each change of the record once, and tells the readers of what it corrects.

Several processes may share a store: who has the lease looks.  What is told is committed together
with how far was looked, so that nothing is told twice and nothing is left out when a process ends.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any, Final

import orjson

from server.access.context import SYSTEM
from server.continuity.citations import KEEP_US, SHOWN, SHOWN_NEW, Showings, Shown
from server.continuity.corrections.cites import TYPES, author_of, cites, subject_of
from server.continuity.corrections.find import DOCUMENT, Concerned, Finder, grouped
from server.continuity.corrections.occasions import (
    PAGE,
    SILENT,
    Occasion,
    next_occasions,
    occasion_of,
)
from server.continuity.corrections.tell import Notice, communication, task
from server.continuity.readers import Readers
from server.continuity.showing import pack
from server.fhir import json as fhir_json
from server.fhir.errors import FhirError
from server.interactions import write
from server.interactions.services import Services
from server.store import lease
from server.store.following import Following
from server.store.port import CommitConflict, Record, RecordWrite, Version, Write

log = logging.getLogger("tellonce")

KIND: Final = "corrections"
TOLD: Final = "corrections-told"
LEASE: Final = "corrections"
LEASE_S: Final = 15.0
POLL_S: Final = 0.5  # between two looks, when there is something to look at
_UNHEARD: Final = 3  # times as long, when nothing is told of
_CURSOR: Final = "cursor"
MOST: Final = 100_000
_NEW_AT_ONCE: Final = 50
_NOTICES_AT_ONCE: Final = 500  # of one commit
_OF_ONE_MARK: Final = 1_000  # numbers of versions
_MOST_VERSIONS: Final = 100  # between a showing and now that are looked at


class Corrections:
    """One per server.  ``owner``: name of this process among those that share the store.

    ``limit`` changes are looked at at once; ``most``: pairs of a version and a reader that are kept
    in memory.  What one reader is to be told of one patient in one look is one message.
    """

    def __init__(
        self,
        services: Services,
        readers: Readers,
        *,
        owner: str,
        poll_s: float = POLL_S,
        lease_s: float = LEASE_S,
        limit: int = PAGE,
        most: int = MOST,
    ) -> None:
        self._services, self._readers, self._owner = services, readers, owner
        self._poll_s, self._lease_s = poll_s, lease_s
        self._limit, self._most = limit, most
        self._feed = Following(services.store, SILENT)
        self._held_until = 0.0  # of the lease, on the loop's clock

    async def run(self) -> None:
        """Look until cancelled; a fault of the store or a bug costs a pause, not the rest."""
        heard = 0
        try:
            while True:
                try:
                    more = await self._leads() and await self.step()
                except (FhirError, CommitConflict) as error:
                    log.warning("corrections wait: %s", type(error).__name__)
                    more = False
                except Exception as error:  # a bug must be seen, not end the chore unheard
                    log.error("corrections wait: %s", type(error).__name__)
                    more = False
                if more:
                    await asyncio.sleep(0)
                    continue
                await asyncio.sleep(self._poll_s)
                heard = await self._services.store.news(heard, _UNHEARD * self._poll_s)
        finally:
            await self._release()

    async def step(self) -> bool:
        """Look at the next changes, and at what was shown meanwhile; tell if there may be more.

        Raises:
            StoreUnavailable: try again later; nothing was told.
            CommitConflict: another process told it, or something changed meanwhile; as above.
        """
        held = await self._services.store.get_record(KIND, _CURSOR)
        if held is None:
            await self._begin()
            return True
        after = int(held.value)
        occasions = await next_occasions(self._services.store, self._feed, after, self._limit)
        if occasions:
            await self._look(held, occasions)
            return True
        return await self._compare(held, after)

    async def _begin(self) -> None:
        """Begin behind the newest change: what was corrected before was shown as it is."""
        newest = await self._services.store.history(SYSTEM, limit=1)
        seq = newest[0].seq if newest else 0
        await self._services.store.commit([], records=[_cursor(seq, 0)])

    async def _look(self, held: Record, occasions: Sequence[Occasion]) -> None:
        locals_ = {f"{one.type}/{one.id}" for each in occasions for one in each.versions}
        finder = self._finder(locals_)
        found: list[Concerned] = []
        records: list[RecordWrite] = []
        for occasion in occasions:
            async for concerned in finder.concerned(occasion):
                found += concerned
                await self._rest()
                if len(found) >= self._most:  # told is told: the cursor stays until all are
                    await self._tell(finder, found, [])
                    found = []
            for version in occasion.versions:
                if version.type in TYPES:
                    records += await self._cited(version)
        upto = occasions[-1].versions[-1].seq
        await self._tell(finder, found, [*records, _cursor(upto, held.rev)])

    async def _compare(self, held: Record, after: int) -> bool:
        """Tell of what was corrected between being read and being shown."""
        store = self._services.store
        new = await store.find_records(SHOWN_NEW, limit=_NEW_AT_ONCE)
        if not new:
            return False
        finder = self._finder(None)
        showings = [one for record in new for one in await finder.showings.of_record(record.key)]
        found: list[Concerned] = []
        for local, shown in await self._outdated(showings):
            for version in await self._later(local, shown, after):
                occasion = await occasion_of(store, version)
                async for concerned in finder.concerned(occasion, only=(shown,)):
                    found += concerned
        done = [RecordWrite(SHOWN_NEW, one.key, None, if_rev=one.rev) for one in new]
        await self._tell(finder, found, [*done, _cursor(after, held.rev)])
        return len(new) == _NEW_AT_ONCE

    async def _outdated(self, showings: Sequence[tuple[str, Shown]]) -> list[tuple[str, Shown]]:
        """Return those whose resource has a later version, or is not there any more."""
        places = {
            local: (local.partition("/")[0], local.partition("/")[2]) for local, _ in showings
        }
        there = await self._services.store.read_many(SYSTEM, set(places.values()))
        latest = {local: there.get(place) for local, place in places.items()}
        return [
            (local, shown)
            for local, shown in showings
            if (now := latest[local]) is None or now.number > max(shown.versions)
        ]

    async def _later(self, local: str, shown: Shown, upto: int) -> list[Version]:
        """Return the versions behind the one that was shown that were looked at already."""
        type_, _, id_ = local.partition("/")
        newest = max(shown.versions)
        history = await self._services.store.history(SYSTEM, type_, id_, limit=_MOST_VERSIONS)
        return [one for one in reversed(history) if newest < one.number and one.seq <= upto]

    def _finder(self, locals_: Collection[str] | None) -> Finder:
        return Finder(self._services, self._readers, Showings(self._services, locals_))

    async def _cited(self, version: Version) -> list[RecordWrite]:
        """Keep which versions a stored form or document cites now."""
        base_url = self._services.base_url
        local = f"{version.type}/{version.id}"
        key = _digest("document", local)
        resource = fhir_json.loads(version.body) if version.body is not None else {}
        named = cites(resource, base_url)
        patient = subject_of(resource, base_url) if named else None
        if patient is None:
            known = await self._services.store.get_record(SHOWN, key)
            return [RecordWrite(SHOWN, key, None)] if known is not None else []
        of: dict[str, Any] = {}
        for text in sorted(named):
            cited, _, number = text.partition("/_history/")
            of.setdefault(cited, {"v": {}, "p": [""]})["v"][number] = version.at
        value = {
            "kind": "document",
            "patient": patient,
            "reader": f"{DOCUMENT}{local}",
            "person": author_of(resource, base_url),
            "document": f"{local}/_history/{version.number}",
            "client": "",
            "grant": None,
            "role": None,
            "of": of,
        }
        ends = version.at + KEEP_US
        return [
            RecordWrite(SHOWN, key, pack(value), patient, expires_at=ends),
            RecordWrite(SHOWN_NEW, key, patient.encode(), expires_at=ends),
        ]

    async def _tell(
        self, finder: Finder, concerned: Sequence[Concerned], records: list[RecordWrite]
    ) -> None:
        """Tell who may know and does not yet; ``records`` are written with the last of it."""
        notices = grouped(await finder.may_know(concerned))
        for first in range(0, len(notices), _NOTICES_AT_ONCE):
            part = notices[first : first + _NOTICES_AT_ONCE]
            last = first + _NOTICES_AT_ONCE >= len(notices)
            await self._commit(part, records if last else [])
        if not notices:
            await self._commit([], records)

    async def _commit(self, notices: Iterable[Notice], records: list[RecordWrite]) -> None:
        """Write what is new of the notices and who was told, at once."""
        writes: list[Write] = []
        marks: dict[str, RecordWrite] = {}
        for notice in notices:
            await self._rest()
            told, new = await self._unmarked(notice)
            if told:
                marks |= new
                writes += await self._writes(replace(notice, told=told))
        if writes or records:
            await self._services.store.commit(writes, records=[*records, *marks.values()])

    async def _unmarked(self, notice: Notice) -> tuple[list[Concerned], dict[str, RecordWrite]]:
        """Return what the reader was not told of yet, and the marks that they are told of it.

        One mark says of many versions that they were told: a thousand readers of ten thousand
        versions are ten million pairs.
        """
        by_mark: dict[str, list[Concerned]] = {}
        for one in notice.told:
            bucket = str(one[0].version.seq // _OF_ONE_MARK)
            by_mark.setdefault(_digest(notice.patient, notice.reader, bucket), []).append(one)
        told: list[Concerned] = []
        marks = {}
        for key, listed in by_mark.items():
            held = await self._services.store.get_record(TOLD, key)
            known = set(orjson.loads(held.value)) if held is not None else set()
            new = [one for one in listed if one[0].version.seq not in known]
            if new:
                value = orjson.dumps(sorted(known | {one[0].version.seq for one in new}))
                rev, ends = held.rev if held is not None else 0, self._services.now() + KEEP_US
                marks[key] = RecordWrite(TOLD, key, value, if_rev=rev, expires_at=ends)
                told += new
        return told, marks

    async def _writes(self, notice: Notice) -> list[Write]:
        services, at = self._services, self._services.now()
        made = []
        if not notice.reader.startswith(DOCUMENT):
            made.append(communication(notice, services.new_id(), at))
        else:
            made += [task(notice, one, services.new_id(), at) for one in notice.documents]
        return [await write.plan_create(services, SYSTEM, one, one["id"]) for one in made]

    async def _leads(self) -> bool:
        """Tell if the lease is ours; it is renewed when half of it is over, not at every look."""
        now = asyncio.get_running_loop().time()
        if self._held_until - now > self._lease_s / 2:
            return True
        ours = await lease.acquire(
            self._services.store,
            LEASE,
            self._owner,
            now=self._services.now(),
            ttl=int(self._lease_s * 1e6),
        )
        self._held_until = now + self._lease_s if ours else 0.0
        return ours

    async def _rest(self) -> None:
        """Let others get on, and keep the lease while a long look lasts."""
        await asyncio.sleep(0)
        if self._held_until:
            await self._leads()

    async def _release(self) -> None:
        try:
            await lease.release(self._services.store, LEASE, self._owner)
        except FhirError as error:
            log.warning("the lease of corrections ends by itself: %s", type(error).__name__)


def _cursor(seq: int, rev: int) -> RecordWrite:
    return RecordWrite(KIND, _CURSOR, str(seq).encode(), if_rev=rev)


def _digest(*parts: str) -> str:
    return blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()
