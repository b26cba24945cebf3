"""Confirmations: somebody said again, later, what a version of the record says (C2).

A confirmation is a Provenance that verifies that version; the resource itself stays as its author
wrote it, so nobody's words replace another's (C6) and there is no second copy of the fact.  It
counts as long as the QuestionnaireResponse that it names stands and says the same.
R4 provenance.html: ``activity`` is ``verify`` of ISO 21089, the agent is the ``verifier``.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from server.access.context import AccessContext
from server.continuity.citations import cited
from server.continuity.same import element, same_content
from server.continuity.statement import Author, Source
from server.continuity.who import author
from server.fhir import json as fhir_json
from server.fhir.dates import InvalidDate, instant_text, interval
from server.fhir.references import split_reference
from server.interactions.services import Services
from server.search.query import AllOf, HasKey, Query
from server.store.port import Version

PARTICIPANT: Final = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
LIFECYCLE: Final = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
PATH: Final = "http://hl7.org/fhir/StructureDefinition/targetPath"
ANSWER: Final = "https://tellonce.org/fhir/StructureDefinition/answer"
VERIFY: Final = "verify"
VERIFIER: Final = "verifier"
ANSWERED: Final = frozenset(("completed", "amended"))
AHEAD_US: Final = 300_000_000  # by which the clock of who confirms may be ahead of ours
_AT_ONCE: Final = 200  # resources asked about in one search
_MOST: Final = 1_000  # confirmations read of them
_LAY: Final = ("patient", "proxy")

Confirmed = tuple[int, Author]
"""When it was said again, microseconds since 1970-01-01T00:00:00Z, and by whom."""


async def confirmations(
    services: Services, access: AccessContext, sources: Iterable[Source]
) -> Mapping[str, Confirmed]:
    """Return the latest confirmation of each source that has one, by its name (:func:`.cited`).

    That of an element is none of its neighbours'.  One of an earlier version counts as long as it
    says the same there.  Only what the caller may see counts; what was withdrawn, or says to be of
    the future, does not.

    Raises:
        DeadlineExceeded, StoreUnavailable: as of a search.
    """
    wanted: dict[tuple[str, str], list[Source]] = {}
    for source in sources:
        wanted.setdefault((source.type, source.id), []).append(source)
    if not wanted:
        return {}
    found: dict[str, Confirmed] = {}
    locals_ = sorted(wanted)
    for first in range(0, len(locals_), _AT_ONCE):
        part = locals_[first : first + _AT_ONCE]
        for provenance in await _verifying(services, access, part):
            for said, target in _told(services, provenance):
                for source in wanted.get((target.type, target.id), ()):
                    known = found.get(cited(source))
                    if known is not None and known[0] >= said[0]:
                        continue
                    if await _holds(services, access, source, target):
                        found[cited(source)] = said
    return found


def confirmation(
    source: str, response: str, links: Iterable[str], who: Any, said: str, recorded: int
) -> dict[str, Any]:
    """Return the Provenance, as JSON, by which ``who`` (a Reference) confirms a source.

    ``source`` as :func:`.cited` names it.  ``response``: the versioned QuestionnaireResponse;
    ``links``: which answers of it.  ``said``: when, a dateTime; ``recorded``: microseconds.
    """
    return {
        "resourceType": "Provenance",
        "target": [target_of(source)],
        "occurredDateTime": said,
        "recorded": instant_text(recorded),
        "activity": {"coding": [{"system": LIFECYCLE, "code": VERIFY}]},
        "agent": [{"type": participant(VERIFIER), "who": who}],
        "entity": [entity(response, links)],
    }


def target_of(source: str) -> dict[str, Any]:
    """Return the Reference to a source, with the path of the element if it is one.

    >>> target_of("Patient/x/_history/2")
    {'reference': 'Patient/x/_history/2'}
    """
    reference, _, path = source.partition("#")
    element = {"extension": [{"url": PATH, "valueString": path}]} if path else {}
    return {**element, "reference": reference}


def source_of(target: Mapping[str, Any]) -> str:
    """Return the source that :func:`target_of` was given."""
    said = target.get("extension") or ()
    path = next((one.get("valueString") for one in said if one.get("url") == PATH), None)
    reference = str(target.get("reference", ""))
    return f"{reference}#{path}" if path else reference


def participant(code: str) -> dict[str, Any]:
    """Return the type of a Provenance's agent."""
    return {"coding": [{"system": PARTICIPANT, "code": code}]}


def entity(response: str, links: Iterable[str]) -> dict[str, Any]:
    """Return the entity that names the answers which something was made of."""
    answers = [{"url": ANSWER, "valueString": link} for link in links]
    named: dict[str, Any] = {"extension": answers} if answers else {}
    return {"role": "source", "what": {**named, "reference": response}}


def verifies(provenance: Mapping[str, Any]) -> bool:
    """Tell whether a Provenance is a confirmation that was not withdrawn."""
    codings = provenance.get("activity", {}).get("coding") or ()
    return any((one.get("system"), one.get("code")) == (LIFECYCLE, VERIFY) for one in codings)


async def _verifying(
    services: Services, access: AccessContext, locals_: list[tuple[str, str]]
) -> list[dict[str, Any]]:
    """Return the confirmations of some resources for which a response stands."""
    about = HasKey(tuple(f"Provenance|target|r|{type_}/{id_}" for type_, id_ in locals_))
    agent = HasKey((f"Provenance|agent-type|s|{PARTICIPANT}|{VERIFIER}",))
    page = await services.store.search(
        access,
        Query(("Provenance",), AllOf((agent, about))),
        limit=_MOST,
        deadline_s=services.policy.deadline_s,
    )
    read: list[dict[str, Any]] = [fhir_json.loads(one.body or b"{}") for one in page.versions]
    read = [one for one in read if verifies(one)]
    there = await _responses(services, access, read)
    return [one for one in read if _is_evidenced(services, one, there)]


async def _responses(
    services: Services, access: AccessContext, provenances: Iterable[dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return the versions of responses that confirmations name, of those not made in error."""
    named = {one for made in provenances for one in responses_of(services, made)}
    if not named:
        return {}
    latest = await services.store.read_many(access, {(type_, id_) for type_, id_, _ in named})
    found = {}
    for type_, id_, number in sorted(named):
        now = latest.get((type_, id_))
        if now is None or _read(now).get("status") not in ANSWERED:
            continue
        then: Version | None = now
        if now.number != number:
            then = await services.store.vread(access, type_, id_, number)
        if then is not None:
            found[f"{type_}/{id_}/_history/{number}"] = _read(then)
    return found


def _is_evidenced(
    services: Services, provenance: Mapping[str, Any], responses: Mapping[str, dict[str, Any]]
) -> bool:
    """Tell whether a response says what a confirmation claims: who said so, and when.

    A Provenance alone proves nothing: programs may write them.  That a patient or proxy is named
    who is not in the response is as extraction has it, where they wrote it in somebody's name.
    """
    who = _verifier(provenance, services.base_url)
    for type_, id_, number in responses_of(services, provenance):
        response = responses.get(f"{type_}/{id_}/_history/{number}", {})
        if response.get("authored") != provenance.get("occurredDateTime"):
            continue
        said = author(response.get("source") or response.get("author"), services.base_url)
        if response and (who.kind in _LAY or who.reference == said.reference):
            return True
    return False


def responses_of(services: Services, provenance: Mapping[str, Any]) -> set[tuple[str, str, int]]:
    """Return the versions of QuestionnaireResponses that a Provenance names as its sources."""
    found = set()
    for one in provenance.get("entity") or ():
        named = split_reference(str(one.get("what", {}).get("reference", "")), services.base_url)
        version = named.version or ""
        if named.type == "QuestionnaireResponse" and named.id and version.isdecimal():
            found.add((named.type, named.id, int(version)))
    return found


def _read(version: Version) -> dict[str, Any]:
    made: dict[str, Any] = fhir_json.glance(version.body or b"{}")
    return made


def _verifier(provenance: Mapping[str, Any], base_url: str) -> Author:
    agents = provenance.get("agent") or ()
    return author(next((one.get("who") for one in agents if _is_verifier(one)), None), base_url)


def _told(services: Services, provenance: Mapping[str, Any]) -> list[tuple[Confirmed, Source]]:
    """Return who confirmed what when."""
    who = _verifier(provenance, services.base_url)
    try:
        said = interval(str(provenance.get("occurredDateTime")))[0]
        recorded = interval(str(provenance.get("recorded")))[0]
    except InvalidDate:
        return []
    if said > recorded + AHEAD_US:
        return []
    found = []
    for target in provenance.get("target") or ():
        reference, _, path = source_of(target).partition("#")
        named = split_reference(reference, services.base_url)
        if named.type and named.id and named.version is not None and named.version.isdigit():
            source = Source(named.type, named.id, int(named.version), path)
            found.append(((said, who), source))
    return found


def _is_verifier(agent: Mapping[str, Any]) -> bool:
    codings = agent.get("type", {}).get("coding") or ()
    return any((one.get("system"), one.get("code")) == (PARTICIPANT, VERIFIER) for one in codings)


async def _holds(services: Services, access: AccessContext, source: Source, target: Source) -> bool:
    """Tell whether what was confirmed is what the source says."""
    if target.path != source.path or target.version > source.version:
        return False
    if target.version == source.version:
        return True
    then = await services.store.vread(access, source.type, source.id, target.version)
    now = await services.store.vread(access, source.type, source.id, source.version)
    if then is None or now is None or then.body is None or now.body is None:
        return False
    before, after = fhir_json.loads(then.body), fhir_json.loads(now.body)
    if source.path:
        return element(before, source.path) == element(after, source.path) != []
    return same_content(before, after)
