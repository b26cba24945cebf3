"""Observation-based population: ``item.code`` and ``observationLinkPeriod``.  SDC 4.0, populate.

The latest Observation of the patient whose code is one of the item's, or means the same, with a
value, final, amended or corrected, and whose clinical time lies in the period before now.  Without
a clinical time it cannot be said to lie there, so it answers nothing by this way.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from server.continuity.form import Item
from server.continuity.populate import sdc
from server.continuity.populate.world import World
from server.continuity.site import Translated
from server.continuity.statement import Code
from server.fhir import ucum
from server.fhir.dates import InvalidDate, interval
from server.fhir.errors import FhirError
from server.fhir.fhirpath.expression import compile_expression
from server.fhir.fhirpath.items import Item as PathItem
from server.interactions.expand import expand
from server.interactions.question import parsed

MAX_LOOKED_AT: Final = 500  # Observations, newest first, of all linked items together
MAX_CODES: Final = 500  # of all linked items, with their synonyms

_STATUSES: Final = frozenset(("final", "amended", "corrected"))
_VALUE: Final = compile_expression("Observation.value")
_WORDS: Final = {"year": "a", "month": "mo", "week": "wk", "day": "d", "hour": "h", "minute": "min"}


@dataclass(frozen=True, slots=True)
class Linked:
    """An Observation that may answer an item; times in microseconds."""

    resource: dict[str, Any]
    codes: frozenset[Code]
    at: tuple[int, int]


def period(item: Item) -> dict[str, Any] | None:
    """Return the Duration of the item's link, ``None`` when it has none."""
    found = sdc.value(item.raw, *sdc.LINK_PERIOD)
    return found if found is not None and item.codes else None


async def observations(world: World, items: Iterable[Item], translated: Translated) -> list[Linked]:
    """Return what may answer the items, the latest first; nothing hidden is among them."""
    own = {code for item in items for code in item.codes}
    wanted = sorted(own.union(*(translated(code) for code in own)))
    if not wanted:
        return []
    if len(wanted) > MAX_CODES:
        world.warn(f"the form links to more than {MAX_CODES} codes; none of them was looked for")
        return []
    pairs = [
        ("subject", f"Patient/{world.patient}"),
        ("code", ",".join(_token(code) for code in wanted)),
        ("status", ",".join(sorted(_STATUSES))),
    ]
    services = world.services
    try:
        asked = await parsed(services, world.access, "Observation", pairs, strict=True)
        query = (await expand(services, world.access, asked)).query
        page = await services.store.search(
            world.access, query, limit=MAX_LOOKED_AT, deadline_s=services.policy.deadline_s
        )
    except FhirError as error:
        world.warn(f"Observations could not be looked for: {error.diagnostics}")
        return []
    entered = (world.enter(version) for version in page.versions)
    found = [_linked(resource) for resource in entered if resource is not None]
    return sorted((one for one in found if one is not None), key=lambda one: one.at, reverse=True)


def _token(code: Code) -> str:
    system, own = (_escaped(part) for part in code)
    return f"{system}|{own}" if system else own


def _escaped(text: str) -> str:
    for special in ("\\", ",", "|", "$"):
        text = text.replace(special, f"\\{special}")
    return text


def _linked(resource: dict[str, Any]) -> Linked | None:
    at = _effective(resource)
    coding = resource.get("code", {}).get("coding", ())
    codes = frozenset((c.get("system", ""), c["code"]) for c in coding if c.get("code"))
    valued = any(key.startswith("value") for key in resource)
    if at is None or not valued or resource.get("status") not in _STATUSES or "focus" in resource:
        return None
    return Linked(resource, codes, at)


def _effective(resource: dict[str, Any]) -> tuple[int, int] | None:
    told = resource.get("effectiveDateTime") or resource.get("effectiveInstant")
    told = told or resource.get("effectivePeriod", {}).get("end")
    try:
        return interval(told) if isinstance(told, str) else None
    except InvalidDate:
        return None


def latest(world: World, item: Item, among: Sequence[Linked], same: Translated) -> list[PathItem]:
    """Return the value of the latest one in the item's period; of several at once, all values.

    Raises:
        ValueError: the period of the item cannot be read.
    """
    duration = period(item)
    assert duration is not None
    since = world.at - _length_us(duration)
    wanted = item.codes.union(*(same(code) for code in item.codes))
    fitting = [
        one
        for one in among
        if _shares(one.codes, wanted) and since <= one.at[1] and one.at[0] <= world.at
    ]
    if not fitting:
        return []
    together = [one for one in fitting if one.at == fitting[0].at]
    return [value for one in together for value in _VALUE.evaluate(one.resource)]


def _shares(codes: frozenset[Code], wanted: frozenset[Code]) -> bool:
    return any(code in wanted or ("", code[1]) in wanted for code in codes)


def _length_us(duration: dict[str, Any]) -> int:
    unit = duration.get("code") or _WORDS.get(str(duration.get("unit", "")).rstrip("s"), "")
    value = duration.get("value")
    if value is None or duration.get("comparator") or ucum.canonical(unit) is None:
        raise ValueError("its observationLinkPeriod is no duration")
    if not ucum.comparable(unit, "s"):
        raise ValueError("its observationLinkPeriod is no duration")
    return int(ucum.convert(value, unit, "s") * 1_000_000)
