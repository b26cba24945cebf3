"""A Composition -> the document Bundle of everything it refers to.  R4
composition-operation-document.html.

A reference to a version brings that version, frozen; one without brings what is there now.  What
is not there and what the caller may not see is told in the same words.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from server.access.context import AccessContext
from server.continuity.story.composition import document
from server.continuity.story.wording import Json, listed, plain
from server.fhir import json as fhir_json
from server.fhir.errors import Issue, outcome
from server.fhir.references import split_reference
from server.interactions.links import resource_url
from server.interactions.services import Services
from server.store.port import Version

MOST = 5_000  # references of one Composition


@dataclass(frozen=True, slots=True)
class Assembled:
    """``versions``: what is inside, the Composition first."""

    bundle: Json
    versions: tuple[Version, ...]


async def assemble(services: Services, access: AccessContext, composition: Version) -> Assembled:
    """Return the document of a Composition; what is missing is told by an OperationOutcome in it.

    An OperationOutcome is the last entry then: a document that lacks something says so.
    """
    body = _parsed(composition)
    found: dict[str, Version] = {}
    issues: list[Issue] = []
    for place, text in references(body):
        if text.startswith("#") or text in found:
            continue
        if len(found) + len(issues) >= MOST:
            told = f"more than {MOST} references; the rest is left out"
            issues.append(Issue("warning", "too-long", told, (place,)))
            break
        version = await _resolved(services, access, text)
        if version is None:
            told = f"{plain(text)} is not known, and not in this document"
            issues.append(Issue("warning", "not-found", told, (place,)))
        else:
            found[text] = version
    itself = (composition.type, composition.id, composition.number)
    versions = {(v.type, v.id, v.number): v for v in found.values()}
    versions.pop(itself, None)
    entries = [
        (resource_url(services.base_url, one.type, one.id), _parsed(one))
        for one in versions.values()
    ]
    if issues:
        entries.append((f"urn:uuid:{services.new_id()}", outcome(issues)))
    bundle = document(body, entries, services.base_url, services.now(), services.new_id())
    return Assembled(bundle, (composition, *versions.values()))


def references(composition: Json) -> Iterator[tuple[str, str]]:
    """Yield (place, reference as written) of every reference of a Composition, in its order."""
    todo: list[tuple[str, Any]] = [("Composition", composition)]
    while todo:
        place, part = todo.pop(0)
        if not isinstance(part, dict):
            continue
        if isinstance(text := part.get("reference"), str):
            yield place, text
        for name, value in part.items():
            if name in ("contained", "text"):
                continue
            many = isinstance(value, list)
            todo += [
                (f"{place}.{name}" + (f"[{at}]" if many else ""), one)
                for at, one in enumerate(listed(value))
            ]


async def _resolved(services: Services, access: AccessContext, text: str) -> Version | None:
    named = split_reference(text, services.base_url)
    if named.type is None or named.id is None:
        return None
    if named.version is None:
        there = await services.store.read_many(access, [(named.type, named.id)])
        return there.get((named.type, named.id))
    number = int(named.version) if named.version.isascii() and named.version.isdigit() else 0
    if not 0 < number < 10**15:
        return None
    version = await services.store.vread(access, named.type, named.id, number)
    return version if version is not None and version.body is not None else None


def _parsed(version: Version) -> Json:
    made: Json = fhir_json.loads(version.body or b"{}")
    return made
