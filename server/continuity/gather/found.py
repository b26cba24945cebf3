"""What was read for one form: resources with their versions, and of what there is more."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from server.continuity.statement import Code
from server.continuity.statements import things
from server.continuity.statements.read import Resource
from server.continuity.statements.read import codes as codes_of
from server.continuity.statements.responses import Answered
from server.fhir import json as fhir_json
from server.store.port import Version

_NUMBERS: Final = (b"Quantity", b"Decimal", b"Range", b"Ratio", b"Age", b"Duration")


@dataclass(slots=True)
class Gathered:
    """Resources by ``Type/id`` with their versions; ``cut`` are the types, ``cut_codes``
    the codes that have more."""

    versions: dict[str, Version] = field(default_factory=dict)
    resources: dict[str, Resource] = field(default_factory=dict)
    others: dict[str, Resource] = field(default_factory=dict)
    forms: dict[str, Answered] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    cut_codes: set[Code] = field(default_factory=set)

    def add(self, found: Iterable[Version]) -> None:
        """Keep what was found."""
        for version in found:
            local = f"{version.type}/{version.id}"
            if local not in self.versions and version.body is not None:
                self.versions[local] = version
                read = fhir_json.glance if _is_plain(version) else fhir_json.loads
                self.resources[local] = read(version.body)

    def codes_with(self, least: int, versions: Iterable[Version]) -> set[Code]:
        """Return the codes that so many of the versions bear."""
        counted = Counter(
            code
            for one in versions
            for resource in (self.resources[f"{one.type}/{one.id}"],)
            for part in (resource, *resource.get("component", ()))
            for code in codes_of(part.get("code"))
        )
        return {code for code, count in counted.items() if count >= least}


def _is_plain(version: Version) -> bool:
    """Tell whether no number of a resource can become an answer: it need not be literal then."""
    if version.type in things.ELEMENTS:
        return True
    body = version.body or b""
    answered = version.type == "QuestionnaireResponse"
    return answered and not any(name in body for name in _NUMBERS)
