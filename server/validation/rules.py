"""What needs more than one property: reference targets, bindings of concepts, contained resources.

R4 references.html, terminologies.html#required.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from server.fhir import definitions
from server.fhir.definitions import Child
from server.validation.report import Place, Report

# Nothing behind a "?" or "/_history/" is looked at: what could fail there would be tried again from
# each slash of the text.
_literal = re.compile(
    r"(?:https?://.+/|/)?([A-Z][A-Za-z]+)(?:/[A-Za-z0-9.-]{1,64}(?:\Z|/_history/.)|\?)"
).match
_SHOWN: Final = 8  # target types named in a message


def check_reference(value: dict[str, Any], child: Child, place: Place, report: Report) -> None:
    """Report a literal reference or ``type`` that is none of the types allowed here."""
    targets = child.targets
    literal = value.get("reference")
    if type(literal) is str and literal.partition("/")[0] not in targets:
        found = _contained_type(literal, report) if literal[:1] == "#" else _target_type(literal)
        if found is not None and found not in targets:
            report.add("value", _not_allowed(found, targets), (place, "reference", None))
    named = value.get("type")
    if type(named) is str and named not in targets and named in definitions.resource_types():
        report.add("value", _not_allowed(named, targets), (place, "type", None))


def _target_type(literal: str) -> str | None:
    """Return the resource type of ``Type/id``, relative or absolute, or of ``Type?query``."""
    if any(map(str.isspace, literal)):
        return None
    match = _literal(literal)
    return match.group(1) if match and match.group(1) in definitions.resource_types() else None


def _contained_type(literal: str, report: Report) -> str | None:
    """Return the type of the contained resource ``#id``; ``#`` is the resource itself."""
    if literal == "#":
        return str(report.root.get("resourceType"))
    return report.contained_types().get(literal[1:])


def _not_allowed(found: str, targets: tuple[str, ...]) -> str:
    wanted = ", ".join(targets[:_SHOWN]) + (" ..." if len(targets) > _SHOWN else "")
    return f"a reference to {found} is not allowed here; allowed: {wanted}"


def check_binding(value: dict[str, Any], child: Child, place: Place, report: Report) -> None:
    """Report a concept without a coding from the value set that is required.

    A concept with an extension may say there why it has none (data-absent-reason).
    """
    systems = definitions.required_codes(child.binding or "") or {}
    codings = value.get("coding")
    for coding in codings if isinstance(codings, list) else ():
        if isinstance(coding, dict) and _is_among(coding, systems):
            return
    if not codings and "extension" in value:
        return
    report.add("code-invalid", f"no coding is from {child.binding}, which is required", place)


def _is_among(coding: dict[str, Any], systems: Mapping[str, frozenset[str]]) -> bool:
    system, code = coding.get("system"), coding.get("code")
    return type(system) is str and type(code) is str and code in systems.get(system, ())


def check_contained(resource: dict[str, Any], place: Place, report: Report) -> None:
    """Report what a contained resource may not have (dom-2, dom-4, dom-5), and a missing id."""
    if "id" not in resource:
        report.add("required", "a contained resource must have an id", (place, "id", None))
    if "contained" in resource:
        report.add(
            "structure",
            "a contained resource must not contain others (dom-2)",
            (place, "contained", None),
        )
    meta = resource.get("meta")
    for name, rule in (("versionId", 4), ("lastUpdated", 4), ("security", 5)):
        if isinstance(meta, dict) and name in meta:
            report.add(
                "structure",
                f"a contained resource must not have meta.{name} (dom-{rule})",
                ((place, "meta", None), name, None),
            )
