"""Answers QBP^Q22 with RSP^K22: a sender asks for patients by demographics.  IHE ITI-21.

Asked for and answered on the connection; nothing is kept of a query but who asked (audit).  Only
senders whose feed says ``queries: patients`` are answered.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from mappings.charsets import TABLE_0211
from mappings.emit import load_outbound, preferred
from mappings.emit_destination import Destination
from mappings.emit_map import EmitMap, emit
from mappings.emit_run import Change, World
from mappings.encode import Field, Segment, Unencodable, to_bytes
from mappings.encode_codes import Reverse
from mappings.feed import Feed
from mappings.maps import Maps
from mappings.parse import Message, Unparsable, parse
from server.access.context import AccessContext, Permit, Trace
from server.feeds import ack
from server.feeds.ack import Fault
from server.feeds.demographics_query import (
    CANCEL,
    TYPE,
    Asked,
    QueryFault,
    echo,
    field_of,
    read_query,
)
from server.feeds.header import Header
from server.fhir import json as fhir_json
from server.fhir.errors import DeadlineExceeded, InvalidSearch
from server.interactions.cursor import seal, unseal
from server.interactions.services import Services
from server.search.query import SortKey
from server.store.port import Scalar, Version

TYPES = frozenset((TYPE, CANCEL))
NOT_ASKED = Fault("207", "this sender may not ask for patients")
MOST_BYTES = 65_536  # of a query; whatever is longer is something else
TOO_LONG = Fault("207", f"a query is not longer than {MOST_BYTES} bytes", ("MSH", "1"))
VERY_RESTRICTED = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality|V"

_BY_ID = (SortKey("_id", "id"),)
_UTF_8 = "UNICODE UTF-8"
_WIDE = frozenset(("UNICODE UTF-16", "UNICODE UTF-32"))  # bytes of theirs would end a frame
_NAMED = 200  # characters of what the asker says of itself that audit keeps
_TOO_MUCH = Fault("207", "the answer is too long, ask for fewer patients", ("RCP", "1", "2"))


@dataclass(frozen=True, slots=True)
class _Found:
    versions: tuple[Version, ...]
    total: int
    before: int
    pointer: str


class Demographics:
    """Answers the queries of all feeds."""

    def __init__(self, services: Services, maps: Maps) -> None:
        self._services, self._maps = services, maps
        self._map: tuple[str, EmitMap] | None = None  # by the version of the maps

    async def answer(
        self, body: bytes, feed: Feed, header: Header, id_: str, at: str, *, address: str = ""
    ) -> bytes:
        """Return the answer to one query, unframed; ``id_`` and ``at`` are its MSH-10 and MSH-7.

        ``address``: where the question came from, for audit.

        Raises:
            StoreUnavailable: the record cannot be searched now, or nothing can be told to audit.
        """
        if len(body) > MOST_BYTES:
            return ack.acknowledge(header, "AR", control_id=id_, at=at, fault=TOO_LONG)
        try:
            message = parse(body)
        except Unparsable:
            fault = Fault("100", "the message cannot be read", ("MSH", "1"))
            return ack.acknowledge(header, "AR", control_id=id_, at=at, fault=fault)
        if message.type == CANCEL:
            return ack.acknowledge(header, "AA", control_id=id_, at=at)
        try:
            zone = ZoneInfo(self._services.catalog.zone)
            asked = read_query(message, feed, self._maps.tables["AdministrativeSex"], zone)
            found = await self._found(asked, _access(feed, message, address))
        except (QueryFault, InvalidSearch, DeadlineExceeded) as wrong:
            return _refusal(message, _fault(wrong), id_, at)
        writer = self._writer(feed, message)
        patients = [writer.segments(version, asked.domains) for version in found.versions]
        qak = _qak(asked, found, len(patients))
        segments = [_msh(message, id_, at), _msa(message, "AA"), qak, asked.qpd]
        for n, made in enumerate(patients, 1):
            made[0].fields[1] = [[str(n)]]
            segments += made
        if found.pointer:
            segments.append(Segment("DSC", {1: [[found.pointer]], 2: [["I"]]}))
        try:
            return _written(segments, message)
        except Unencodable:
            return _refusal(message, _TOO_MUCH, id_, at)

    async def _found(self, asked: Asked, access: AccessContext) -> _Found:
        services = self._services
        context = f"{access.identity}\n{asked.query!r}"
        before, after = 0, None
        if asked.pointer:
            before, *rest = unseal(services.cursor_key, asked.pointer, context)
            after = tuple(rest)
        deadline_s = services.policy.deadline_s
        page = await services.store.search(
            access, asked.query, sort=_BY_ID, limit=asked.most, after=after, deadline_s=deadline_s
        )
        total = await services.store.count(access, asked.query, deadline_s=deadline_s)
        await self._tell(access, page.versions, asked.said)
        seen = before + len(page.versions)
        pointer = _pointer(services, [seen, *page.after], context) if page.after else ""
        return _Found(page.versions, total, before, pointer)

    async def _tell(self, access: AccessContext, versions: Sequence[Version], asked: str) -> None:
        """Tell audit who asked for what and who was shown, before the answer leaves."""
        audit = self._services.audit
        if audit is None:
            return
        audit.shown(access, "search-type", versions, asked)
        if access.trace is not None:
            audit.take(access.trace)
        if audit.durable:
            await audit.settled()

    def _writer(self, feed: Feed, message: Message) -> "_Writer":
        receiver = Destination(
            feed.name,
            version=message.version or "2.5",
            authorities=feed.authorities,
            default_authority=feed.default_authority,
            code_systems=feed.code_systems,
        )
        if self._map is None or self._map[0] != self._maps.version:
            self._map = self._maps.version, load_outbound((), self._maps.tables).maps["RSP"]
        return _Writer(self._map[1], receiver, Reverse(self._maps.tables, preferred(), receiver))


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes patients as one asker understands them."""

    map: EmitMap
    receiver: Destination
    reverse: Reverse

    def segments(self, version: Version, domains: Sequence[str]) -> list[Segment]:
        """Return PID and what goes with it; identifiers only of ``domains`` if there are any."""
        resource: dict[str, Any] = fhir_json.loads(version.body or b"{}")
        if domains:
            numbers = resource.get("identifier", [])
            resource["identifier"] = [n for n in numbers if n.get("system") in domains]
        made = emit(self.map, self.receiver, self.reverse, Change(World(resource)))
        return list(made.segments) if made is not None else []


def _pointer(services: Services, state: Sequence[Scalar], context: str) -> str:
    return seal(services.cursor_key, list(state), context)


def _access(feed: Feed, message: Message, address: str) -> AccessContext:
    """Return what senders see: every patient but those whose label is "very restricted"."""
    seen = Permit("Patient", frozenset(("read", "search")), hidden=(VERY_RESTRICTED,))
    sender = " ".join(message.get("MSH-3").split())[:_NAMED]
    trace = Trace(message.get("MSH-10")[:_NAMED] or "-", address)
    return AccessContext(f"feed/{feed.name}", sender or feed.name, (seen,), trace=trace)


def _fault(wrong: QueryFault | InvalidSearch | DeadlineExceeded) -> Fault:
    match wrong:
        case QueryFault():
            return Fault(wrong.code, wrong.text, wrong.location)
        case InvalidSearch():
            return Fault("204", "this continuation belongs to another query", ("DSC", "1", "1"))
    return Fault("207", "the query takes too long, ask for more", ("QPD", "1", "3"))


def _refusal(message: Message, fault: Fault, id_: str, at: str) -> bytes:
    """Return the answer to a query that cannot be answered: MSA AE, ERR, QAK AE."""
    err = Segment(
        "ERR",
        {
            2: [[*fault.location]],
            3: [[fault.code, ack.ERROR_TEXTS[fault.code], "HL70357"]],
            4: [["E"]],
            8: [[fault.text]],
        },
    )
    qpd = echo(message)
    qak = Segment("QAK", {1: [[message.get("QPD-2")]], 2: [["AE"]], 3: field_of(message, "QPD", 1)})
    return _written([_msh(message, id_, at), _msa(message, "AE"), err, qak, qpd], message)


def _qak(asked: Asked, found: _Found, shown: int) -> Segment:
    left = max(found.total - found.before - shown, 0)
    fields: dict[int, Field] = {
        1: [[asked.tag]],
        2: [["OK" if shown else "NF"]],
        3: asked.name,
        4: [[str(found.total)]],
        5: [[str(shown)]],
        6: [[str(left)]],
    }
    return Segment("QAK", fields)


def _msh(message: Message, id_: str, at: str) -> Segment:
    sides = {3: 5, 4: 6, 5: 3, 6: 4, 11: 11, 12: 12, 18: 18}
    fields = {n: field_of(message, "MSH", of) for n, of in sides.items()}
    fields |= {7: [[at]], 9: [["RSP", "K22", "RSP_K21"]], 10: [[id_]]}
    return Segment("MSH", {n: field for n, field in fields.items() if field})


def _msa(message: Message, code: ack.Code) -> Segment:
    return Segment("MSA", {1: [[code]], 2: field_of(message, "MSH", 10)})


def _written(segments: list[Segment], message: Message) -> bytes:
    """Return the bytes in the asker's character set, or in UTF-8 when that cannot say it.

    Raises:
        Unencodable: there are too many.
    """
    asked = message.get("MSH-18").upper()
    try:
        if asked not in _WIDE:
            return to_bytes(segments, asked if asked in TABLE_0211 else "ASCII")
    except Unencodable:
        pass
    msh = segments[0]
    segments[0] = replace(msh, fields={**msh.fields, 18: [[_UTF_8]]})
    return to_bytes(segments, _UTF_8, replace=True)  # half of a surrogate pair has no bytes at all
