"""A small record of some patients, and what a caller sees of it, asked of the oracle."""

from collections.abc import Iterable, Sequence
from typing import Any

from server.access.context import AccessContext, Interaction, Permit
from server.access.narrow import decide, narrow
from server.search.extract import index_rows
from server.search.match import Candidate, Moment, names_of
from server.search.query import Query

NOON = 1_795_348_800_000_000  # 2026-11-22T12:00:00Z
DAY = 86_400_000_000

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
SENSITIVITY = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"

Resource = dict[str, Any]


def resource(type_: str, id_: str, *labels: str, **elements: Any) -> Resource:
    """Return a resource; an element that is a text with a ``/`` is a reference."""
    made: Resource = {"resourceType": type_, "id": id_}
    if labels:
        security = [_label(label) for label in labels]
        made["meta"] = {"security": security}
    for name, value in elements.items():
        refers = isinstance(value, str) and "/" in value and ":" not in value
        made[name] = {"reference": value} if refers else value
    return made


def lab(id_: str, patient: str, *labels: str, category: str = "laboratory") -> Resource:
    coding = [{"system": OBSERVATION_CATEGORY, "code": category}]
    return resource("Observation", id_, *labels, subject=patient, category=[{"coding": coding}])


def _label(code: str) -> dict[str, str]:
    return {"system": CONFIDENTIALITY if len(code) == 1 else SENSITIVITY, "code": code}


class World:
    """Resources among which references are followed."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self.all = [Candidate(one, index_rows(one), NOON) for one in resources]

    def named(self, target: int) -> list[Candidate]:
        return [one for one in self.all if target in names_of(one.resource, one.rows)]

    def of_type(self, type_: str) -> list[Candidate]:
        return [one for one in self.all if one.resource["resourceType"] == type_]


def context(permits: Sequence[Permit]) -> AccessContext:
    return AccessContext("user/x", "app", tuple(permits))


def seen(
    permits: Sequence[Permit], resources: Sequence[Resource], doing: Interaction = "read"
) -> set[str]:
    """Return what the permits open, as ``Type/id``; what the marks say must be the same."""
    world, access = World(resources), context(permits)
    moment = Moment(world)
    found = set()
    for one in world.all:
        type_ = one.resource["resourceType"]
        is_open = moment.matches(narrow(Query((type_,)), access, doing), one)
        said = decide(access, doing, type_, one.rows.keys)
        assert said in (None, is_open), one.place
        if is_open:
            found.add("/".join(one.place))
    return found
