"""What a person reads of a section: a small table.  R4 narrative.html."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Final

from server.continuity.story.allergies import NONE_KNOWN
from server.continuity.story.conflicts import NO_PROBLEMS

Resource = dict[str, Any]
Names = Mapping[str, str]
"""What to call a resource that another refers to, by ``Type/id``."""

_WHAT: Final = ("code", "vaccineCode", "medicationCodeableConcept", "category")
_WHEN: Final = (  # when it was, before when it was written down
    "effectiveDateTime", "effectiveInstant", "effectivePeriod", "occurrenceDateTime",
    "performedDateTime", "performedPeriod", "onsetDateTime", "onsetPeriod", "timingDateTime",
    "timingPeriod", "period", "authoredOn", "dateAsserted", "recordedDate", "recordedOn",
    "dateTime", "date", "issued", "created",
)  # fmt: skip
_REFERRED: Final = ("medicationReference", "device")
_STATES: Final = (
    "intent", "status", "clinicalStatus", "verificationStatus", "severity", "criticality",
)  # fmt: skip
_NONE: Final = frozenset((*NONE_KNOWN, *NO_PROBLEMS))
_USUAL: Final = "order"  # an intent that goes without saying


def table(resources: Iterable[Resource], names: Names, ahead: str = "") -> dict[str, str]:
    """Return a Narrative with one row per resource: what, its value, when, in which state.

    ``ahead``: a sentence that must be read first.
    """
    rows = "".join(_row(resource, names) for resource in resources)
    cells = "".join(f'<th scope="col">{one}</th>' for one in ("What", "Value", "When", "State"))
    first = f"<p>{escape(ahead)}</p>" if ahead else ""
    head = f"<thead><tr>{cells}</tr></thead>"
    return narrative(f"{first}<table>{head}<tbody>{rows}</tbody></table>")


def sentence(text: str) -> dict[str, str]:
    """Return a Narrative of one sentence."""
    return narrative(f"<p>{escape(text)}</p>")


def narrative(inside: str) -> dict[str, str]:
    """Return a Narrative of XHTML that is escaped already."""
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{inside}</div>'
    return {"status": "generated", "div": div}


def _row(resource: Resource, names: Names) -> str:
    named = what(resource, names)
    if site := ", ".join(filter(None, map(words, _listed(resource.get("bodySite"))))):
        named += f" ({site})"
    cells = (named, value_text(resource), when(resource), _state(resource))
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
        parts = [f"{words(one.get('code'))} {value_text(one)}".strip() for one in components]
        return _judged("; ".join(parts), resource)
    if reactions := resource.get("reaction"):
        said = [_reaction(one) for one in reactions if isinstance(one, dict)]
        return "; ".join(text for text in said if text)
    for name in resource:
        if name.startswith("value"):
            return _judged(_plain(resource[name]), resource)
    if conclusion := resource.get("conclusion"):
        return str(conclusion)
    dosage = [*_listed(resource.get("dosage")), *_listed(resource.get("dosageInstruction"))]
    return "; ".join(one["text"] for one in dosage if one.get("text")) or words(
        resource.get("dataAbsentReason")
    )


def _judged(text: str, resource: Resource) -> str:
    said = [words(one) for one in _listed(resource.get("interpretation"))]
    told = ", ".join(filter(None, said))
    return f"{text} ({told})" if told and text else text


def _reaction(reaction: Resource) -> str:
    said = [words(one) for one in _listed(reaction.get("manifestation"))]
    said.append(str(reaction.get("severity", "")))
    return ", ".join(filter(None, said))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _plain(value: Any) -> str:
    if not isinstance(value, dict):
        said = {True: "yes", False: "no"}
        return said[value] if isinstance(value, bool) else str(value)
    for ends, between in ((("low", "high"), " - "), (("numerator", "denominator"), " / ")):
        if any(end in value for end in ends):
            return between.join(_plain(value[end]) if end in value else "?" for end in ends)
    if "value" in value:
        unit = value.get("unit") or value.get("code") or ""
        return f"{value.get('comparator', '')}{value['value']} {unit}".strip()
    if "start" in value or "end" in value:
        return _span(value)
    return words(value)


def when(resource: Resource) -> str:
    """Return when it was, as the record says it, cut to the day."""
    for name in _WHEN:
        found = resource.get(name)
        if told := _span(found) if isinstance(found, dict) else str(found or "")[:10]:
            return told
    return ""


def _span(period: dict[str, Any]) -> str:
    start, end = (str(period.get(name, ""))[:10] for name in ("start", "end"))
    if start and end:
        return start if start == end else f"{start} - {end}"
    return f"until {end}" if end else f"since {start}" if start else ""


def _state(resource: Resource) -> str:
    listed = (resource.get(name) for name in _STATES)
    said = [one if isinstance(one, str) else words(one) for one in listed if one != _USUAL]
    if is_unsigned_none(resource):
        said.append("without author or date: ask again")
    if is_modified(resource):
        said.append("changed by something that this server does not understand: read the entry")
    return ", ".join(text for text in said if text)


def is_unsigned_none(resource: Resource) -> bool:
    """Tell whether nobody, or nobody at a known time, said that there is no allergy (C3)."""
    if resource["resourceType"] != "AllergyIntolerance" or not is_none(resource):
        return False
    return not resource.get("recordedDate") or not (
        resource.get("asserter") or resource.get("recorder")
    )


def is_none(resource: Resource) -> bool:
    """Tell whether an entry says that there is none: no known allergy, no problems."""
    codings = _listed((resource.get("code") or {}).get("coding"))
    return any((one.get("system"), one.get("code")) in _NONE for one in codings)


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
