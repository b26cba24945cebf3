"""Who acts for a patient, and why: a parent, a guardian, somebody with a power of attorney."""

import re
from datetime import date

from server.access import scopes
from server.auth.ending import replace as put
from server.auth.ending import walk
from server.auth.records import Proxy
from server.auth.unfit import Missing, Taken, Unfit
from server.store.port import RecordWrite, Store

BASES = ("parent", "guardian", "power-of-attorney", "authorization")
_RELATED = re.compile(r"RelatedPerson/[A-Za-z0-9.\-]{1,64}")
_PATIENT = re.compile(r"Patient/[A-Za-z0-9.\-]{1,64}")


class Proxies:
    """All proxies.  A RelatedPerson acts for one patient (R4: ``RelatedPerson.patient``)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, related_person: str) -> Proxy | None:
        """Return why ``RelatedPerson/x`` may act, whether or not that has begun, or has ended."""
        record = await self._store.get_record(Proxy.KIND, related_person)
        return Proxy.unpack(record.value) if record is not None else None

    async def of_patient(self, patient: str) -> list[Proxy]:
        """Return who acts for ``Patient/y``."""
        found = walk(self._store, Proxy.KIND, patient)
        return [Proxy.unpack(record.value) async for record in found]

    async def list(self) -> list[Proxy]:
        """Return all, ordered by RelatedPerson."""
        return [Proxy.unpack(record.value) async for record in walk(self._store, Proxy.KIND)]

    async def add(self, proxy: Proxy) -> Proxy:
        """Keep a new proxy and return it; raise Unfit, :class:`Taken`."""
        check_proxy(proxy)
        write = RecordWrite(Proxy.KIND, proxy.related_person, proxy.pack(), tag=proxy.patient)
        if not await put(self._store, None, write):
            raise Taken(f"{proxy.related_person} acts for somebody already; remove that first")
        return proxy

    async def remove(self, related_person: str, patient: str | None = None) -> Proxy:
        """Take it back, and return it; ``patient``: only if it is that one.  Raise Missing."""
        proxy = await self.get(related_person)
        if proxy is None or patient not in (None, proxy.patient):
            raise Missing(f"{related_person} does not act for {patient or 'anybody'}")
        await self._store.commit([], records=[RecordWrite(Proxy.KIND, related_person, None)])
        return proxy


def check_proxy(proxy: Proxy) -> None:
    """Refuse a proxy that says less, or other, than who, for whom, why and how long."""
    if not _RELATED.fullmatch(proxy.related_person):
        raise Unfit(f"{proxy.related_person} is not RelatedPerson/x")
    if not _PATIENT.fullmatch(proxy.patient):
        raise Unfit(f"{proxy.patient} is not Patient/y")
    if proxy.basis not in BASES:
        raise Unfit(f"the basis is one of {', '.join(BASES)}")
    said = scopes.parse(proxy.scope)
    if said.dropped or not said.of or said.levels != {"patient"} or said.others:
        raise Unfit(f"{proxy.scope}: what a proxy covers are patient/ scopes")
    start, end = _day(proxy.start), _day(proxy.end)
    if start and end and end < start:
        raise Unfit(f"it would end {proxy.end}, before it begins {proxy.start}")


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        read = date.fromisoformat(text)
    except ValueError:
        read = None
    if read is None or read.isoformat() != text:
        raise Unfit(f"{text!r} is not a date such as 2026-11-22")
    return read
