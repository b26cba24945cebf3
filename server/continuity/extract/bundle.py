"""Facts -> the entries of a transaction that may be sent twice.

A new fact is created unless its identifier is there (``ifNoneExist``); one that an amended response
says otherwise is updated at the version that was read (``ifMatch``); one whose answer is gone is
marked as entered in error, never deleted.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from server.access.context import Interaction
from server.continuity.confirmed import entity, participant
from server.continuity.extract.facts import (
    SETTLED,
    STATEMENTS,
    SYSTEM,
    Fact,
    Said,
    author_of,
    completed,
    in_error,
    is_in_error,
)
from server.continuity.extract.merge import merged
from server.continuity.extract.stored import Stored, has_identifier, patients_of
from server.continuity.same import same_content
from server.fhir import json as fhir_json
from server.fhir.dates import instant_text
from server.fhir.errors import Issue
from server.fhir.references import rewrite
from server.interactions.services import Services
from server.search.marks import RELEASE_URL
from server.store.port import Version

TASK: Final = "https://tellonce.org/fhir/CodeSystem/task-code"
LOOK_AGAIN: Final = "look-again"
OPERATION: Final = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
_SPECIAL: Final = re.compile(r"([\\|,$])")  # R4 search.html#escaping
_OURS: Final = frozenset(("Provenance", "AuditEvent"))

Resource = dict[str, Any]


@dataclass(slots=True)
class Entries:
    """Makes the entries of one response.

    ``response`` is its versioned reference, ``None`` when it is not stored; ``response_id`` names
    it in identifiers; ``labels`` are its security labels, which what is made of it inherits (C7).
    ``needs``: what must be allowed to who commits the facts; the rest the server tells itself.
    """

    services: Services
    said: Said
    response: str | None
    response_id: str | None
    stored: Stored
    recorded: int
    patient: str | None
    labels: tuple[Any, ...] = ()
    entries: list[dict[str, Any]] = field(default_factory=list)
    needs: set[tuple[Interaction, str]] = field(default_factory=set)
    issues: list[Issue] = field(default_factory=list)

    def add(self, facts: Iterable[Fact], there: Mapping[tuple[str, str], Version]) -> None:
        """Add what is new or different; ``there``: the resources that facts name by their id."""
        facts = [self._own(fact, there) for fact in facts if self._may_be_made(fact)]
        facts = [fact for fact in facts if self._is_of_the_patient(fact, there)]
        facts = [fact for fact in facts if self._is_not_gone(fact)]
        names = self._names(facts)
        for fact in facts:
            resource = rewrite(fact.resource, names)
            version = self._version(fact, there)
            if version is None:
                self._create(fact, resource)
            elif fact.resource.get("id") is not None:
                self._update(fact, merged(_read(version), resource), version)
            elif self._is_ours(version):
                self._update(fact, self._identified(fact, resource), version)
            elif not _same(self._identified(fact, resource), _read(version)):
                told = f"{version.type}/{version.id} was changed by others since; it stays as it is"
                self.issues.append(Issue("information", "informational", told, (fact.where,)))

    def withdraw(self, made: Iterable[Fact]) -> None:
        """Mark what was made of answers that are not there any more."""
        keys = {(fact.type, fact.key) for fact in made}
        left = {key: one for key, one in self.stored.facts.items() if key not in keys}
        # What the response said of another patient, before it was corrected, is of nobody.
        for (type_, _), version in sorted([*left.items(), *self.stored.elsewhere.items()]):
            resource = _read(version)
            if is_in_error(resource) or not self._is_ours(version):
                continue
            marked = in_error(resource)
            if marked is None:
                told = f"{type_}/{version.id} was made of an answer that is gone; R4 has no mark"
                self.issues.append(Issue("warning", "business-rule", told))
                continue
            self.needs.add(("update", type_))
            self._put(marked, version)
            self._tell(f"{type_}/{version.id}/_history/{version.number + 1}", "UPDATE", ())

    def _may_be_made(self, fact: Fact) -> bool:
        if fact.type not in _OURS:
            return True
        told = f"a form makes no {fact.type}: who said what is told by the server"
        self.issues.append(Issue("error", "business-rule", told, (fact.where,)))
        return False

    def _is_not_gone(self, fact: Fact) -> bool:
        if (fact.type, fact.key) not in self.stored.gone:
            return True
        told = f"this {fact.type} was removed from the record since; it is not made again"
        self.issues.append(Issue("information", "informational", told, (fact.where,)))
        return False

    def _is_of_the_patient(self, fact: Fact, there: Mapping[tuple[str, str], Version]) -> bool:
        """Tell whether a fact is in no other record than that of the response's patient (C5)."""
        if fact.type == "Patient" and "id" not in fact.resource and self.patient is not None:
            told = f"this would make a second record beside {self.patient}; let it name its id"
            self.issues.append(Issue("error", "business-rule", told, (fact.where,)))
            return True  # it is what the form asks for: who sends the Bundle decides
        found = patients_of(self.services, fact.resource)
        if _asks_for_patient(fact.resource):
            found.add("Patient?")  # whose record that is will be known when it is too late
        version = there.get((fact.type, str(fact.resource.get("id"))))
        if version is not None:
            found |= patients_of(self.services, _read(version))
        if found <= {self.patient}:
            return True
        told = f"this {fact.type} is in the record of another patient than the response"
        self.issues.append(Issue("error", "business-rule", told, (fact.where,)))
        return False

    def _own(self, fact: Fact, there: Mapping[tuple[str, str], Version]) -> Fact:
        """Return the fact, complete; a new one where it would replace what somebody else said."""
        resource = completed(fact.resource, self.said)
        id_ = resource.get("id")
        version = there.get((fact.type, str(id_)))
        if id_ is not None and version is not None and self._is_others(version):
            resource = {name: value for name, value in resource.items() if name != "id"}
            told = f"{fact.type}/{id_} is what somebody else said; this is said beside it"
            self.issues.append(Issue("information", "informational", told, (fact.where,)))
        if self.response is not None and fact.type == "Observation":
            resource.setdefault("derivedFrom", [{"reference": self.response}])
        return Fact(fact.key, resource, fact.full_url, fact.where, fact.links, fact.request)

    def _is_others(self, version: Version) -> bool:
        """Tell whether a resource is what somebody else said, or nobody knows who did."""
        if version.type in SETTLED or self._is_ours(version):
            return False
        base_url = self.services.base_url
        before, now = author_of(_read(version), base_url), self.said.author(base_url)
        if before.reference is not None and before.reference == now.reference:
            return False
        return version.type in STATEMENTS or now.kind not in ("clinician", "device")

    def _names(self, facts: Iterable[Fact]) -> dict[str, str]:
        """Return what the facts that are there already call themselves here."""
        found = {}
        for fact in facts:
            version = self.stored.facts.get((fact.type, fact.key))
            if version is not None:
                found[fact.full_url] = f"{version.type}/{version.id}"
        return found

    def _version(self, fact: Fact, there: Mapping[tuple[str, str], Version]) -> Version | None:
        if (id_ := fact.resource.get("id")) is not None:
            return there.get((fact.type, str(id_)))
        return self.stored.facts.get((fact.type, fact.key))

    def _is_ours(self, version: Version) -> bool:
        """Tell whether nobody changed a fact since it was extracted."""
        return self.stored.written.get((version.type, version.id)) == version.number

    def _identified(self, fact: Fact, resource: Resource) -> Resource:
        if self.labels:
            meta = resource.get("meta") or {}
            had = meta.get("security") or []
            more = [one for one in self.labels if one not in had]
            resource = {**resource, "meta": {**meta, "security": [*had, *more]}}
        if self.response_id is None or not has_identifier(fact.type):
            return resource
        own = {"system": SYSTEM, "value": f"{self.response_id}#{fact.key}"}
        others = resource.get("identifier") or []
        return {**resource, "identifier": [*others, own]}

    def _create(self, fact: Fact, resource: Resource) -> None:
        request = {"method": "POST", "url": fact.type}
        if (id_ := resource.get("id")) is not None:
            request = {"method": "PUT", "url": f"{fact.type}/{id_}"}
        else:
            resource = self._identified(fact, resource)
            if self.response_id is not None and has_identifier(fact.type):
                request["ifNoneExist"] = self._condition(fact, resource)
        request |= fact.request
        self.needs.add(("create" if request["method"] == "POST" else "update", fact.type))
        self.entries.append({"fullUrl": fact.full_url, "resource": resource, "request": request})
        self._tell(fact.full_url, "CREATE", fact.links)

    def _condition(self, fact: Fact, resource: Resource) -> str:
        """Return the condition that finds the fact again, in the record of its patient alone."""
        value = _SPECIAL.sub(r"\\\1", f"{self.response_id}#{fact.key}")
        pairs = [("identifier", f"{SYSTEM}|{value}")]
        if self.patient is not None and {"subject", "patient"} & resource.keys():
            pairs.append(("patient", self.patient))
        return urlencode(pairs)

    def _update(self, fact: Fact, resource: Resource, version: Version) -> None:
        before = _read(version)
        if _same(resource, before):
            return
        if fact.type == "Observation" and resource.get("status") == "final":
            resource = {**resource, "status": "amended"}
            if _same(resource, before):
                return
        kept = [one for one in before.get("extension") or () if one.get("url") == RELEASE_URL]
        if kept:
            others = [one for one in resource.get("extension") or () if one not in kept]
            resource = {**resource, "extension": [*others, *kept]}
        self.needs.add(("update", version.type))
        self._put(resource, version, fact.request)
        number = version.number + 1
        self._tell(f"{version.type}/{version.id}/_history/{number}", "UPDATE", fact.links)

    def _put(
        self, resource: Resource, version: Version, more: Mapping[str, str] | None = None
    ) -> None:
        name = f"{version.type}/{version.id}"
        meta = {k: v for k, v in (_read(version).get("meta") or {}).items() if k in _KEPT_META}
        rest = {k: v for k, v in resource.items() if k not in ("resourceType", "id", "meta")}
        whole = {"resourceType": version.type, "id": version.id, **({"meta": meta} if meta else {})}
        request = {"method": "PUT", "url": name, "ifMatch": f'W/"{version.number}"', **(more or {})}
        self.entries.append(
            {
                "fullUrl": f"{self.services.base_url}/{name}",
                "resource": {**whole, **rest},
                "request": request,
            }
        )

    def _tell(self, target: str, code: str, links: tuple[str, ...]) -> None:
        """Add the Provenance of a fact: who said it, when, in which answers."""
        made: Resource = {
            "resourceType": "Provenance",
            "target": [{"reference": target}],
            "recorded": instant_text(self.recorded),
            "activity": {"coding": [{"system": OPERATION, "code": code}]},
            "agent": [{"type": participant("author"), "who": self.who}],
        }
        if self.said.at is not None:
            made["occurredDateTime"] = self.said.at
        if self.response is not None:
            made["entity"] = [entity(self.response, links)]
        self.provenance(made)

    @property
    def who(self) -> dict[str, Any]:
        """Who answered, for a Provenance, which must name somebody."""
        return self.said.who or {"display": "the response does not say who answered"}

    def contradicted(self, source: Version, owner: str | None) -> None:
        """Add a Task for who said what the response contradicts: both stay until somebody looks."""
        named = f"{source.type}/{source.id}/_history/{source.number}"
        value = f"{self.response_id}#{source.type}/{source.id}~task"
        labels = [*self.labels, *((_read(source).get("meta") or {}).get("security") or ())]
        made: Resource = {
            "resourceType": "Task",
            **({"meta": {"security": labels}} if labels else {}),
            "identifier": [{"system": SYSTEM, "value": value}],
            "status": "requested",
            "intent": "proposal",
            "code": {"coding": [{"system": TASK, "code": LOOK_AGAIN}], "text": "Look at it again"},
            "description": "An answer says something else. Both stay until somebody has looked.",
            "focus": {"reference": named},
            "for": {"reference": self.patient},
            "authoredOn": instant_text(self.recorded),
            **({"owner": {"reference": owner}} if owner is not None else {}),
            "reasonReference": {"reference": self.response},
        }
        condition = urlencode(
            [("identifier", f"{SYSTEM}|{value}"), ("patient", self.patient or "")]
        )
        request = {"method": "POST", "url": "Task", "ifNoneExist": condition}
        self.entries.append({"resource": made, "request": request})

    def provenance(self, made: Resource) -> None:
        """Add a Provenance."""
        self.entries.append({"resource": made, "request": {"method": "POST", "url": "Provenance"}})

    def replace_provenance(self, made: Resource, version: Version) -> None:
        """Add a new version of a Provenance."""
        self._put(made, version)


def _asks_for_patient(value: Any) -> bool:
    """Tell whether something refers to a Patient by a search (R4 http.html#trules)."""
    if isinstance(value, list):
        return any(_asks_for_patient(one) for one in value)
    if not isinstance(value, dict):
        return False
    text = value.get("reference")
    return (isinstance(text, str) and "Patient?" in text) or any(
        _asks_for_patient(one) for one in value.values()
    )


_KEPT_META: Final = ("profile", "security", "tag", "source")


def _read(version: Version) -> Resource:
    made: Resource = fhir_json.loads(version.body or b"{}")
    return made


def _same(new: Resource, stored: Resource) -> bool:
    """Tell whether a fact says what is stored; a release that the server put there aside."""
    return same_content(_plain(new), _plain(stored))


def _plain(resource: Resource) -> Resource:
    kept = [one for one in resource.get("extension") or () if one.get("url") != RELEASE_URL]
    rest = {name: value for name, value in resource.items() if name != "extension"}
    return {**rest, "extension": kept} if kept else rest
