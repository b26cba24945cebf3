"""What a person reads of a section: a small table.  R4 narrative.html."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Final

Resource = dict[str, Any]
Names = Mapping[str, str]
"""What to call a resource that another refers to, by ``Type/id``."""

_WHAT: Final = ("code", "vaccineCode", "medicationCodeableConcept", "category")
_WHEN: Final = (
    "effectiveDateTime", "effectiveInstant", "occurrenceDateTime", "performedDateTime",
    "onsetDateTime", "timingDateTime", "authoredOn", "dateAsserted", "recordedDate", "recordedOn",
    "dateTime", "date", "issued", "created",
)  # fmt: skip
_PERIODS: Final = ("effectivePeriod", "performedPeriod", "onsetPeriod", "timingPeriod", "period")
_REFERRED: Final = ("medicationReference", "device")
_STATES: Final = ("status", "clinicalStatus", "verificationStatus", "criticality")


def table(resources: Iterable[Resource], names: Names) -> dict[str, str]:
    """Return a Narrative with one row per resource: what, its value, when, in which state."""
    rows = "".join(_row(resource, names) for resource in resources)
    head = "<tr><th>What</th><th>Value</th><th>When</th><th>State</th></tr>"
    return narrative(f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>")


def sentence(text: str) -> dict[str, str]:
    """Return a Narrative of one sentence."""
    return narrative(f"<p>{escape(text)}</p>")


def narrative(inside: str) -> dict[str, str]:
    """Return a Narrative of XHTML that is escaped already."""
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{inside}</div>'
    return {"status": "generated", "div": div}


def _row(resource: Resource, names: Names) -> str:
    cells = (what(resource, names), value_text(resource), when(resource), _state(resource))
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def what(resource: Resource, names: Names) -> str:
    """Return what a resource is about, in its own words before those of its codes."""
    for name in _REFERRED:
        reference = resource.get(name)
        if isinstance(reference, dict):
            named = names.get(str(reference.get("reference")))
            if text := reference.get("display") or named:
                return str(text)
    for name in _WHAT:
        if text := words(resource.get(name)):
            return text
    return str(resource.get("title") or resource.get("description") or resource["resourceType"])


def words(concept: Any) -> str:
    """Return the text of a CodeableConcept, or of the first of a list; a bare code at last."""
    listed = concept if isinstance(concept, list) else [concept]
    for one in listed:
        if not isinstance(one, dict):
            continue
        codings = one.get("coding", ())
        displays = [coding["display"] for coding in codings if coding.get("display")]
        codes = [coding["code"] for coding in codings if coding.get("code")]
        if text := one.get("text") or (displays + codes + [""])[0]:
            return str(text)
    return ""


def value_text(resource: Resource) -> str:
    """Return the value of an Observation, or of its components; the reactions to an allergen."""
    if components := resource.get("component"):
        return "; ".join(
            f"{words(one.get('code'))} {value_text(one)}".strip() for one in components
        )
    if reactions := resource.get("reaction"):
        said = [words(one.get("manifestation")) for one in reactions if isinstance(one, dict)]
        return "; ".join(text for text in said if text)
    for name in resource:
        if name.startswith("value"):
            return _plain(resource[name])
    return words(resource.get("dataAbsentReason"))


def _plain(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if "value" in value:
        unit = value.get("unit") or value.get("code") or ""
        return f"{value.get('comparator', '')}{value['value']} {unit}".strip()
    if "start" in value or "end" in value:
        return _span(value)
    return words(value)


def when(resource: Resource) -> str:
    """Return when it was, as the record says it, cut to the day."""
    for name in _WHEN:
        if isinstance(resource.get(name), str):
            return str(resource[name])[:10]
    for name in _PERIODS:
        if isinstance(resource.get(name), dict):
            return _span(resource[name])
    return ""


def _span(period: dict[str, Any]) -> str:
    start, end = (str(period.get(name, ""))[:10] for name in ("start", "end"))
    return f"{start} - {end}" if end else f"since {start}" if start else ""


def _state(resource: Resource) -> str:
    listed = (resource.get(name) for name in _STATES)
    said = [one if isinstance(one, str) else words(one) for one in listed]
    if is_modified(resource):
        said.append("changed by something that this server does not understand: read the entry")
    return ", ".join(text for text in said if text)


def is_modified(value: Any) -> bool:
    """Tell whether something inside says that what is written means something else.

    R4 extensibility.html#modifierExtension, resource.html#implicitRules: it must not be ignored.
    """
    todo = [value]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            if "modifierExtension" in part or "implicitRules" in part:
                return True
            todo += part.values()
        elif isinstance(part, list):
            todo += part
    return False
