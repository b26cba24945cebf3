"""Who was shown what was made of which versions, so that a correction finds its readers (C11).

One record per patient, reader, kind and document holds which versions were shown; it is found by
the patient (its tag), what belongs to no patient's compartment by its own reference as well.
Showing the same again writes nothing.  A record holds references and times, no clinical content.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Literal

import orjson

from server.access.context import AccessContext, shared_types
from server.continuity.showing import pack, unpack
from server.continuity.statement import Source
from server.fhir.errors import Conflict
from server.interactions.services import Services
from server.store.port import CommitConflict, Record, RecordWrite

Kind = Literal["story", "known-answers", "populate", "extract", "document", "summary"]

SHOWN = "shown"
"""Records of what was shown, tagged by patient."""

SHOWN_SHARED = "shown-shared"
"""Records that lead from what belongs to no patient (``Medication/x``, the tag) to showings."""

SHOWN_NEW = "shown-new"
"""Records that name a showing (their key) which nobody has compared with the record since: what
was corrected between reading and showing is found by it."""

DAY_US = 86_400_000_000
KEEP_US = 400 * DAY_US  # a year's control visit still hears of what was corrected
MOST_SOURCES = 2_000  # of one record; the newest stay.  More at once are kept in several
MOST_VERSIONS = 4  # of one source in one record
_TRIES = 20
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Cited:
    """One showing.  ``sources`` are versioned references, as :func:`cited` writes them: with a
    path when only that element was shown; ``reader`` the principal, ``person`` the FHIR resource
    that stands for them; ``document`` what was stored of it, if anything; ``at`` in microseconds
    since 1970-01-01T00:00:00Z."""

    kind: Kind
    patient: str
    sources: frozenset[str]
    at: int
    reader: str
    person: str | None = None
    document: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What one reader was shown of one resource.

    ``versions`` with the time of showing; ``paths`` are the elements, none means all of it.
    """

    kind: Kind
    patient: str
    reader: str
    person: str | None
    document: str | None
    client: str
    grant: str | None
    role: str | None
    versions: dict[int, int]
    paths: frozenset[str]


def cited(source: Source) -> str:
    """Return how a source is named in :attr:`Cited.sources`.

    >>> cited(Source("Patient", "x", 3, "Patient.telecom[0]"))
    'Patient/x/_history/3#Patient.telecom[0]'
    """
    return f"{source.reference}#{source.path}" if source.path else source.reference


async def remember(services: Services, access: AccessContext, cited: Cited) -> None:
    """Keep that ``cited.reader`` was shown this, in one commit; nothing, if that is known.

    Raises:
        StoreUnavailable: it could not be kept, so it must not be shown.
        Conflict: the same reader is shown the same so often at once that it was never kept.
    """
    if not cited.sources:
        return
    parts = _parts(cited)
    for _ in range(_TRIES):
        writes = [one for key, part in parts for one in await _writes(services, access, key, part)]
        if not writes:
            return
        try:
            await services.store.commit([], records=writes)
        except CommitConflict:
            continue
        return
    raise Conflict("the same was shown to the same reader too often at once; ask again")


async def _writes(
    services: Services, access: AccessContext, name: str, cited: Cited
) -> list[RecordWrite]:
    """Return what is to be written of a part of a showing; [] when that is known."""
    key = _key(cited, access, name)
    held = await services.store.get_record(SHOWN, key)
    value = _with(held, cited, access)
    if value is None:
        return []
    ends = cited.at + KEEP_US
    return [
        RecordWrite(SHOWN_NEW, key, cited.patient.encode(), expires_at=ends),
        RecordWrite(
            SHOWN,
            key,
            pack(value),
            tag=cited.patient,
            if_rev=held.rev if held is not None else 0,
            expires_at=ends,
        ),
        *(
            RecordWrite(SHOWN_SHARED, f"{local} {key}", key.encode(), local, expires_at=ends)
            for local in sorted(_shared(cited.sources))
        ),
    ]


def _parts(cited: Cited) -> list[tuple[str, Cited]]:
    """Return a showing as parts that fit into one record each, with what names the part."""
    count = 1 + len(cited.sources) // (MOST_SOURCES // 2)
    if count == 1:
        return [("", cited)]
    parts: dict[int, set[str]] = {}
    for source in cited.sources:
        local = source.partition("/_history/")[0]
        number = blake2b(local.encode(), digest_size=4).digest()
        parts.setdefault(int.from_bytes(number) % count, set()).add(source)
    return [
        (f"{number} of {count}", replace(cited, sources=frozenset(sources)))
        for number, sources in sorted(parts.items())
    ]


class Showings:
    """Who was shown what, read once for each patient; for the time of one look at the record.

    ``locals_``: the resources (``Type/id``) that are looked at; ``None``: any.
    """

    def __init__(self, services: Services, locals_: Collection[str] | None = None) -> None:
        self._services, self._locals = services, locals_
        self._by_patient: dict[str, dict[str, dict[str, Any]]] = {}
        self._any: bool | None = None

    async def any(self) -> bool:
        """Tell whether anybody was ever shown anything."""
        if self._any is None:
            self._any = bool(await self._services.store.find_records(SHOWN, limit=1))
        return self._any

    async def of(self, local: str, patients: Iterable[str]) -> list[Shown]:
        """Return who was shown a resource (``Type/id``), by the patients in whose record it was.

        What belongs to no patient's record is found without one.
        """
        found: dict[str, dict[str, Any]] = {}
        for patient in sorted(set(patients)):
            found |= await self._of_patient(patient)
        if local.partition("/")[0] in shared_types():
            async for link in _records(self._services, SHOWN_SHARED, local):
                held = await self._services.store.get_record(SHOWN, link.value.decode())
                if held is not None:
                    found[held.key] = unpack(held.value, (local,))
        shown = (_shown(value, local) for value in found.values())
        return [one for one in shown if one is not None]

    async def all_of(self, patient: str) -> list[Shown]:
        """Return who was shown anything of a patient's record, with no versions in particular."""
        values = (await self._of_patient(patient)).values()
        return [_made(value, {0: value["at"]}, frozenset()) for value in values]

    async def of_record(self, key: str) -> list[tuple[str, Shown]]:
        """Return what one record of :data:`SHOWN` says, by resource."""
        held = await self._services.store.get_record(SHOWN, key)
        if held is None:
            return []
        value = unpack(held.value)
        found = [(local, _shown(value, local)) for local in value["of"]]
        return [(local, shown) for local, shown in found if shown is not None]

    async def _of_patient(self, patient: str) -> dict[str, dict[str, Any]]:
        if patient not in self._by_patient:
            self._by_patient[patient] = {
                record.key: unpack(record.value, self._locals)
                async for record in _records(self._services, SHOWN, patient)
            }
        return self._by_patient[patient]


async def _records(services: Services, kind: str, tag: str) -> AsyncIterator[Record]:
    after = ""
    while page := await services.store.find_records(kind, tag=tag, after=after, limit=_PAGE):
        for record in page:
            yield record
        if len(page) < _PAGE:
            return
        after = page[-1].key


def _key(cited: Cited, access: AccessContext, name: str) -> str:
    """One record per patient, reader with his rights, kind and document, and part of it."""
    parts = (cited.patient, cited.reader, access.client, access.grant, access.role)
    named = [name] if name else []
    text = orjson.dumps([*parts, cited.person, cited.kind, cited.document, *named])
    return blake2b(text, digest_size=16).hexdigest()


def _with(held: Record | None, cited: Cited, access: AccessContext) -> dict[str, Any] | None:
    """Return the record's value with a showing added; ``None`` when it says so already."""
    value: dict[str, Any] = unpack(held.value) if held is not None else {}
    of: dict[str, dict[str, Any]] = value.get("of", {})
    new = False
    for local, version, path in _split(cited.sources):
        one = of.setdefault(local, {"v": {}, "p": [path]})
        if one["p"] != [""] and path not in one["p"]:
            one["p"] = [""] if path == "" else [*one["p"], path]
            new = True
        if one["v"].get(version, 0) + DAY_US <= cited.at:
            one["v"][version] = cited.at
            one["v"] = dict(sorted(one["v"].items(), key=_newest)[:MOST_VERSIONS])
            new = True
    if not new:
        return None
    latest = sorted(of.items(), key=lambda item: -max(item[1]["v"].values()))[:MOST_SOURCES]
    return {
        "kind": cited.kind,
        "patient": cited.patient,
        "reader": cited.reader,
        "person": cited.person,
        "document": cited.document,
        "client": access.client,
        "grant": access.grant,
        "role": access.role,
        "of": dict(latest),
    }


def _newest(item: tuple[str, int]) -> int:
    return -int(item[0])


def _split(sources: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Yield resource, version and path of each source."""
    for source in sorted(sources):
        reference, _, path = source.partition("#")
        local, _, version = reference.partition("/_history/")
        if version.isascii() and version.isdigit():
            yield local, version, path


def _shared(sources: Iterable[str]) -> set[str]:
    locals_ = {local for local, _, _ in _split(sources)}
    return {local for local in locals_ if local.partition("/")[0] in shared_types()}


def _shown(value: dict[str, Any], local: str) -> Shown | None:
    one = value["of"].get(local)
    if one is None:
        return None
    versions = {int(number): at for number, at in one["v"].items()}
    return _made(value, versions, frozenset() if "" in one["p"] else frozenset(one["p"]))


def _made(value: dict[str, Any], versions: dict[int, int], paths: frozenset[str]) -> Shown:
    return Shown(
        value["kind"],
        value["patient"],
        value["reader"],
        value["person"],
        value["document"],
        value["client"],
        value["grant"],
        value["role"],
        versions,
        paths,
    )
