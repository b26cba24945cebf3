"""``$everything`` of a Patient and of an Encounter: the compartment, and what it refers to.

R4 patient-operation-everything.html, encounter-operation-everything.html.  What is referred to is
added when its type belongs to no person (Practitioner, Organization, Medication ...): a resource of
a clinical type either is in the compartment itself, or is somebody else's.

With ``_count`` the answer comes in pages; without, it is one complete Bundle that is made and sent
a page at a time, so its length costs no memory.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from server.fhir import definitions
from server.fhir import json as fhir_json
from server.fhir.dates import InvalidDate, interval
from server.fhir.errors import InvalidParameter
from server.fhir.references import split_reference
from server.interactions import rights
from server.interactions.cursor import seal, unseal
from server.interactions.links import page_url
from server.interactions.read import looked_up
from server.interactions.searchset import bundle, bundle_head, entry
from server.operations.registry import Call, Operation, Param, Result, Streamed
from server.search.clinical import CLINICAL_PARAM
from server.search.query import AllOf, AnyOf, DateIs, HasKey, IdIs, Not, Predicate, Query, UpdatedIs
from server.search.rows import compartment_key
from server.store.port import Scalar, Version

CHUNK = 200  # resources read at a time when the answer is streamed
MAX_STEPS = 3  # references followed from reference to reference (Location.partOf ...)

Ref = tuple[str, str]
After = tuple[Scalar, ...] | None


async def run(call: Call) -> Result:
    """Return a searchset: the resource itself first, then newest first."""
    assert call.type is not None
    assert call.id is not None
    itself = await looked_up(call.services, call.access, call.type, call.id)
    if call.services.audit is not None:
        address = f"{call.type}/{call.id}/$everything"
        call.services.audit.shown(call.access, "operation", (itself,), address)
    wanted = _Wanted(call, itself, _query(call), _shared_types(call.type))
    if "_count" in call.args or call.cursor is not None:
        return await _one_page(wanted)
    first = await _page(wanted, None, CHUNK, first=True)
    return Streamed(_stream(wanted, first))


@dataclass(frozen=True, slots=True)
class _Wanted:
    call: Call
    itself: Version
    query: Query
    shared: frozenset[str]

    @property
    def shows_itself(self) -> bool:
        return self.itself.type in self.call.args.get("_type", (self.itself.type,))


@dataclass(frozen=True, slots=True)
class _Page:
    matches: tuple[Version, ...]
    referred: tuple[Version, ...]
    more: bool
    after: After


async def _one_page(wanted: _Wanted) -> bytes:
    call = wanted.call
    services, policy = call.services, call.services.policy
    count = min(call.args.get("_count") or policy.default_page, policy.max_page)
    path = f"{call.type}/{call.id}/$everything"
    context = f"{call.access.identity}\n{path}\n{wanted.query!r}"
    first = call.cursor is None
    after: After = None
    if call.cursor is not None:
        state = unseal(services.cursor_key, call.cursor, context)
        after = tuple(state) if state is not None else None
    shown = int(first and wanted.shows_itself)
    page = await _page(wanted, after, count - shown, first=first)
    used = [(n, _text(v)) for n, v in call.args.items() if n != "_count"] + [("_count", str(count))]
    links = [("self", page_url(services.base_url, path, used, call.cursor))]
    if page.more:
        following = seal(services.cursor_key, page.after, context)
        links.append(("next", page_url(services.base_url, path, used, following)))
    return bundle(
        "searchset", entries=_entries(wanted, page, set(), first=bool(shown)), links=links
    )


async def _stream(wanted: _Wanted, page: _Page) -> AsyncIterator[bytes]:
    """Yield the Bundle; each referred resource once.  The keys seen stay, the bodies do not."""
    seen: set[Ref] = set()
    path = f"{wanted.call.type}/{wanted.call.id}/$everything"
    used = [(name, _text(value)) for name, value in wanted.call.args.items()]
    link = page_url(wanted.call.services.base_url, path, used)
    separator = b',"entry":['
    yield bundle_head("searchset", links=[("self", link)])
    first = wanted.shows_itself
    while True:
        if entries := _entries(wanted, page, seen, first=first):
            yield separator + b",".join(entries)
            separator = b","
        if not page.more:
            break
        page, first = await _page(wanted, page.after, CHUNK, first=False), False
    yield b"]}" if separator == b"," else b"}"


async def _page(wanted: _Wanted, after: After, limit: int, *, first: bool) -> _Page:
    """Return the next ``limit`` resources; ``limit`` 0 leaves room for the resource itself only."""
    call = wanted.call
    answer = await call.services.store.search(
        call.access,
        wanted.query,
        limit=max(limit, 1),
        after=after,
        deadline_s=call.services.policy.deadline_s,
    )
    sources = (wanted.itself,) if first else ()
    if limit == 0:
        return _Page((), await _referred(wanted, sources), bool(answer.versions), after)
    referred = await _referred(wanted, (*sources, *answer.versions))
    return _Page(answer.versions, referred, answer.after is not None, answer.after)


async def _referred(wanted: _Wanted, sources: Sequence[Version]) -> tuple[Version, ...]:
    call = wanted.call
    found: dict[Ref, Version] = {}
    tried: set[Ref] = set()
    for _ in range(MAX_STEPS):
        refs = {
            ref
            for version in sources
            for ref in references(fhir_json.loads(version.body or b"{}"), call.services.base_url)
            if ref[0] in wanted.shared
        } - tried
        if not refs:
            break
        tried |= refs
        there = await call.services.store.read_many(call.access, sorted(refs))
        found |= there
        sources = tuple(there.values())
    return tuple(found[ref] for ref in sorted(found))


def references(value: Any, base_url: str) -> set[Ref]:
    """Return (type, id) of everything on this server that a resource refers to."""
    found: set[Ref] = set()
    todo: list[Any] = [value]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            if isinstance(text := part.get("reference"), str):
                reference = split_reference(text, base_url)
                if reference.type is not None and reference.id is not None:
                    found.add((reference.type, reference.id))
            todo.extend(part.values())
        elif isinstance(part, list):
            todo.extend(part)
    return found


def _entries(wanted: _Wanted, page: _Page, seen: set[Ref], *, first: bool) -> list[bytes]:
    make = partial(entry, wanted.call.services.base_url)
    shown = [wanted.itself, *page.matches] if first else page.matches
    types = wanted.call.args.get("_type")
    new = [v for v in page.referred if (v.type, v.id) not in seen]
    seen.update((v.type, v.id) for v in new)
    return [make(v, b"match", v.body or b"{}") for v in shown] + [
        make(v, b"include", v.body or b"{}") for v in new if types is None or v.type in types
    ]


def _query(call: Call) -> Query:
    """What is in the compartment, without the resource itself, which comes first."""
    own, id_ = call.type or "", call.id or ""
    members = sorted({own, *definitions.compartments()[own]})
    asked = call.args.get("_type", [type_ for type_ in members if type_ not in rights.READ_ONLY])
    unknown = [type_ for type_ in asked if type_ not in definitions.resource_types()]
    if unknown:
        raise InvalidParameter(f"_type: R4 has no {unknown[0][:80]!r}", expression=("_type",))
    types = tuple(type_ for type_ in members if type_ in asked)
    itself = AllOf((HasKey((own,)), IdIs((id_,))))
    where: list[Predicate] = [HasKey((compartment_key(f"{own}/{id_}"),)), Not(itself)]
    if "_since" in call.args:
        lo, hi = _interval("_since", call.args["_since"])
        where.append(UpdatedIs("ge", lo, hi))
    if limit := _in_period(call, types):
        where.append(limit)
    return Query(types, AllOf(tuple(where))) if types else Query(tuple(members), AnyOf(()))


def _in_period(call: Call, types: Iterable[str]) -> Predicate | None:
    """``start`` and ``end`` bound care dates; what has no such date is always there."""
    bounds: list[tuple[str, int, int]] = []
    if "start" in call.args:
        bounds.append(("ge", *_interval("start", call.args["start"])))
    if "end" in call.args:
        bounds.append(("le", *_interval("end", call.args["end"])))
    if not bounds:
        return None
    dated = {type_: CLINICAL_PARAM[type_] for type_ in types if type_ in CLINICAL_PARAM}
    alternatives: list[Predicate] = [
        AllOf((HasKey((type_,)), *(DateIs(type_, param, op, lo, hi) for op, lo, hi in bounds)))  # type: ignore[arg-type] # op is one of two literals
        for type_, param in dated.items()
    ]
    present = HasKey(tuple(f"{type_}|{param}|?" for type_, param in dated.items()))
    return AnyOf((*alternatives, Not(present))) if alternatives else None


def _shared_types(own: str) -> frozenset[str]:
    clinical = {"Patient", *definitions.compartments()["Patient"]}
    # An Encounter's patient is not in the Encounter's compartment, but is what it is about.
    return definitions.resource_types() - (
        clinical - ({"Patient"} if own == "Encounter" else set())
    )


def _interval(name: str, text: str) -> tuple[int, int]:
    try:
        return interval(text)
    except InvalidDate as error:
        raise InvalidParameter(f"{name}: {error}", expression=(name,)) from None


def _text(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


_SHARED_PARAMS = (
    Param("_since", "instant", "Only what was changed at or after this time."),
    Param("_type", "code", "Only these resource types.", many=True),
    Param("_count", "integer", "Asks for pages of at most so many; without it all come at once."),
)

OPERATIONS = (
    Operation(
        code="everything",
        definition="http://hl7.org/fhir/OperationDefinition/Patient-everything",
        documentation="Returns the Patient, everything in the patient's compartment, and what that "
        "refers to; complete.",
        levels=("instance",),
        types=("Patient",),
        params=(
            Param("start", "date", "Only care at or after this date."),
            Param("end", "date", "Only care at or before this date."),
            *_SHARED_PARAMS,
        ),
        paged=True,
        run=run,
    ),
    Operation(
        code="everything",
        definition="http://hl7.org/fhir/OperationDefinition/Encounter-everything",
        documentation="Returns the Encounter, everything in its compartment, and what that refers "
        "to; complete.",
        levels=("instance",),
        types=("Encounter",),
        params=_SHARED_PARAMS,
        paged=True,
        run=run,
    ),
)
