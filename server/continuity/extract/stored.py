"""What was made of a response before, as far as the caller may see it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from server.access.context import SYSTEM as SERVER
from server.access.context import AccessContext
from server.audit.codes import LOGIN
from server.continuity.confirmed import verifies
from server.continuity.extract.facts import SYSTEM, Fact
from server.fhir import json as fhir_json
from server.fhir.definitions import children
from server.fhir.references import split_reference
from server.interactions.services import Services
from server.search import extract
from server.search.query import HasKey, Query
from server.store.port import Version

_MOST: Final = 1_000  # Provenances of one response, and facts of one type

_TRUST: Final = {"RelatedPerson": 0, "Patient": 1}

Ref = tuple[str, str]


async def writer(services: Services, version: Version) -> str | None:
    """Return who wrote a version, ``RelatedPerson/x``, as Provenances tell; ``None``: unknown.

    What the server tells itself names a login, and wins; of several it is who may say the least.
    Whatever the caller may see: who keeps Provenances from their app must not gain another name.
    """
    about = f"{version.type}/{version.id}/_history/{version.number}"
    query = Query(("Provenance",), HasKey((f"Provenance|target|v|{about}",)))
    page = await services.store.search(
        SERVER, query, limit=_MOST, deadline_s=services.policy.deadline_s
    )
    found: set[tuple[bool, int, str]] = set()
    for one in page.versions:
        provenance = fhir_json.glance(one.body or b"{}")
        for agent in () if verifies(provenance) else provenance.get("agent") or ():
            who = agent.get("who") or {}
            named = split_reference(str(who.get("reference")), services.base_url)
            if named.local is None or not _wrote(agent):
                continue
            by_login = (who.get("identifier") or {}).get("system") == LOGIN
            rank = _TRUST.get(named.type or "", len(_TRUST))
            found.add((not by_login, rank, named.local))
    return min(found)[2] if found else None


def _wrote(agent: dict[str, Any]) -> bool:
    """Tell whether an agent of a Provenance is an author, or nothing in particular."""
    codes = {one.get("code") for one in (agent.get("type") or {}).get("coding") or ()}
    return not codes or "author" in codes


@dataclass(slots=True)
class Stored:
    """``facts``: the live ones, by type and key.  ``provenances``: those that name the response.

    ``written``: the number of the version that extraction made last of each fact.  ``patient``
    (``Patient/x``): in whose record they must be; an identifier alone could be anybody's.
    ``elsewhere``: what Provenances say was made of the response in another record, before its
    subject was corrected.  ``gone``: what was made, and somebody removed.
    """

    patient: str | None = None

    facts: dict[tuple[str, str], Version] = field(default_factory=dict)
    provenances: list[tuple[Version, dict[str, Any]]] = field(default_factory=list)
    written: dict[Ref, int] = field(default_factory=dict)
    elsewhere: dict[tuple[str, str], Version] = field(default_factory=dict)
    gone: set[tuple[str, str]] = field(default_factory=set)

    @property
    def refs(self) -> set[str]:
        """The facts as ``Type/id``."""
        return {f"{version.type}/{version.id}" for version in self.facts.values()}

    def add(
        self,
        services: Services,
        response_id: str,
        versions: Iterable[Version],
        *,
        told: bool = False,
    ) -> None:
        """Keep those of some resources that were made of the response; ``told`` by Provenances."""
        for version in versions:
            resource = fhir_json.glance(version.body or b"{}")
            key = key_of(response_id, resource)
            if key is None:
                continue
            if patients_of(services, resource) <= {self.patient}:
                self.facts[version.type, key] = version
            elif told and version.type != "Patient":
                self.elsewhere[version.type, key] = version


def has_identifier(type_: str) -> bool:
    """Tell whether resources of the type can bear several identifiers."""
    found = children(type_).get("identifier")
    return found is not None and found.types == ("Identifier",) and found.max != 1


def patients_of(services: Services, resource: dict[str, Any]) -> set[str]:
    """Return in whose records a resource is, ``Patient/x``."""
    named = {"id": "", **resource}
    within = extract.compartments(named, services.base_url, catalog=services.catalog)
    found = {one for one in within if one.startswith("Patient/") and one != "Patient/"}
    if resource["resourceType"] == "Patient" and named["id"]:
        found.add(f"Patient/{named['id']}")
    return found


def key_of(response_id: str, resource: dict[str, Any]) -> str | None:
    """Return the key of what was made of a response; ``None`` of anything else."""
    listed = resource.get("identifier")
    for one in listed if isinstance(listed, list) else ():
        value = str(one.get("value", ""))
        if one.get("system") == SYSTEM and value.startswith(f"{response_id}#"):
            return value.partition("#")[2]
    return None


async def made_before(
    services: Services, access: AccessContext, response_id: str, patient: str | None
) -> Stored:
    """Return what Provenances say was made of the response.

    Raises:
        DeadlineExceeded, StoreUnavailable: as of a search.
    """
    page = await services.store.search(
        access,
        Query(
            ("Provenance",), HasKey((f"Provenance|entity|r|QuestionnaireResponse/{response_id}",))
        ),
        limit=_MOST,
        deadline_s=services.policy.deadline_s,
    )
    stored = Stored(patient)
    targets: set[Ref] = set()
    for version in page.versions:
        provenance = fhir_json.loads(version.body or b"{}")
        stored.provenances.append((version, provenance))
        for target in provenance.get("target") or ():
            named = split_reference(str(target.get("reference", "")), services.base_url)
            if named.type is None or named.id is None:
                continue
            ref = named.type, named.id
            targets.add(ref)
            number = int(named.version) if named.version and named.version.isdigit() else 1
            stored.written[ref] = max(stored.written.get(ref, 0), number)
    if targets:
        there = await services.store.read_many(access, targets)
        stored.add(services, response_id, there.values(), told=True)
        for type_, id_ in sorted(targets - there.keys()):
            key = await _removed(services, access, response_id, type_, id_)
            if key is not None:
                stored.gone.add((type_, key))
    return stored


async def _removed(
    services: Services, access: AccessContext, response_id: str, type_: str, id_: str
) -> str | None:
    """Return the key of a fact that was deleted; ``None`` of what is no such fact, or hidden."""
    last = await services.store.read(access, type_, id_)
    if last is None or last.body is not None or last.number < 2:
        return None
    then = await services.store.vread(access, type_, id_, last.number - 1)
    if then is None or then.body is None:
        return None
    return key_of(response_id, fhir_json.glance(then.body))


async def find_others(
    services: Services,
    access: AccessContext,
    response_id: str,
    facts: Iterable[Fact],
    stored: Stored,
) -> None:
    """Look for facts that no Provenance tells of, by their identifiers."""
    wanted: dict[str, list[str]] = {}
    for fact in facts:
        if (fact.type, fact.key) not in stored.facts and has_identifier(fact.type):
            text = f"{fact.type}|identifier|s|{SYSTEM}|{response_id}#{fact.key}"
            wanted.setdefault(fact.type, []).append(text)
    for type_, keys in wanted.items():
        page = await services.store.search(
            access,
            Query((type_,), HasKey(tuple(keys))),
            limit=_MOST,
            deadline_s=services.policy.deadline_s,
        )
        stored.add(services, response_id, page.versions)
