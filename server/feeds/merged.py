"""Patients that were merged into others: who answers for them now.

A merge (A40, A34) leaves the loser inactive with ``link replaced-by`` the survivor, which says
``replaces`` of the loser (R4 patient.html#link): what comes late for the loser reaches the
survivor.
"""

from dataclasses import replace
from typing import Any

from mappings.plan import PlannedResource
from server.access.context import SYSTEM
from server.feeds.at_hand import Hit
from server.fhir import json as fhir_json
from server.interactions.services import Services

_PLAN = "plan:"
_LONGEST = 50  # merges one after the other; a circle ends earlier


def merging(planned: PlannedResource) -> tuple[str, ...]:
    """Return the labels of the patients that the message says ``planned`` is replaced by."""
    return tuple(
        other.removeprefix(_PLAN)
        for other in _replaced_by(planned.values)
        if other.startswith(_PLAN)
    )


async def surviving(services: Services, id_: str, hit: Hit) -> tuple[str, Hit]:
    """Return the id and the record that answer for a patient: its own, or its last survivor's.

    Raises:
        StoreUnavailable: the record could not be read now.
    """
    seen = {id_}
    while len(seen) < _LONGEST:
        others = [ref.removeprefix("Patient/") for ref in _replaced_by(hit[1])]
        if not others or others[0] in seen:
            break
        version = await services.store.read(SYSTEM, "Patient", others[0])
        if version is None or version.body is None:
            break
        id_, hit = others[0], (version, fhir_json.loads(version.body))
        seen.add(id_)
    return id_, hit


def without_itself(planned: PlannedResource, reference: str) -> PlannedResource:
    """Return a patient without links to itself: two of its own numbers need no merge."""
    links = planned.values.get("link", ())
    others = [link for link in links if link.get("other", {}).get("reference") != reference]
    if len(others) == len(links):
        return planned
    values = {name: value for name, value in planned.values.items() if name != "link"}
    if others:
        return replace(planned, values=values | {"link": others})
    return replace(planned, values=values, touched=planned.touched - {"link"})


def _replaced_by(patient: dict[str, Any]) -> list[str]:
    links = patient.get("link", ())
    return [
        link["other"]["reference"]
        for link in links
        if link.get("type") == "replaced-by" and "reference" in link.get("other", {})
    ]
