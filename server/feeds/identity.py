"""Find what a plan's resources already are in the record.

A planned resource states alternatives (``Identity.any_of``); their hits are united.  No hit makes a
new resource, and the commit then expects that there still is none (``Expect``), so that two
messages can never make one patient twice.  One hit updates it.  Several are a conflict.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mappings.feed import Feed
from mappings.plan import Plan, PlannedResource
from server.feeds.at_hand import Hit
from server.feeds.lookup import Sought, find, sought
from server.feeds.merged import merging, surviving
from server.feeds.overlay import disagreement
from server.feeds.refused import Reason, RefusedMessage
from server.interactions.services import Services
from server.store.port import Expect, Version

PLAN = "plan:"
_ESCAPED = re.compile(r"\\[\\,|$]")

Alternative = tuple[str, tuple[tuple[str, str], ...]]  # type, criteria


@dataclass(frozen=True, slots=True)
class Target:
    """What one planned resource is: ``version`` and ``resource`` are ``None`` for a new one.

    ``expects``: what its commit must expect, the alternatives that nothing matched.
    """

    type: str
    id: str
    version: Version | None
    resource: dict[str, Any] | None
    expects: tuple[Expect, ...]

    @property
    def reference(self) -> str:
        """``Type/id``."""
        return f"{self.type}/{self.id}"


@dataclass(frozen=True, slots=True)
class _Asked:
    """The alternatives of one planned resource; ``sought`` are those that could match."""

    alternatives: tuple[Alternative, ...]
    sought: tuple[Sought, ...]


class Resolution:
    """Resolves one plan; ``targets`` is by label."""

    def __init__(self, services: Services, feed: Feed) -> None:
        self.targets: dict[str, Target] = {}
        self._services = services
        self._feed = feed
        self._new: dict[Alternative, Target] = {}
        self._followed: set[str] = set()  # labels whose record was merged into another
        self.nothing_to_merge: set[str] = set()  # labels of losers that are the survivor already

    @property
    def references(self) -> dict[str, str]:
        """``plan:LABEL`` -> ``Type/id``."""
        return {f"{PLAN}{label}": target.reference for label, target in self.targets.items()}

    async def resolve(self, plan: Plan) -> None:
        """Fill :attr:`targets`: first what depends on nothing, then what those identify.

        Raises:
            RefusedMessage: several matches, another person, or a map that cannot be followed.
        """
        left = list(plan.resources)
        while left:
            ready = [planned for planned in left if _needs(planned) <= self.targets.keys()]
            if not ready:
                labels = ", ".join(sorted(planned.label for planned in left))
                raise RefusedMessage("map-error", f"the map identifies in a circle: {labels}")
            asked = [self._asked(planned) for planned in ready]
            found = await find(self._services, [one for each in asked for one in each.sought])
            for planned, each in zip(ready, asked, strict=True):
                if planned.type == "Patient" and not merging(planned):
                    found |= await self._survivors(planned.label, each, found)
                self.targets[planned.label] = self._target(planned, each, found)
            left = [planned for planned in left if planned.label not in self.targets]
        self._merges(plan)

    async def _survivors(
        self, label: str, asked: _Asked, hits: Mapping[str, Mapping[str, Hit]]
    ) -> dict[str, dict[str, Hit]]:
        """Return the hits of a patient with those that were merged away replaced by survivors."""
        made: dict[str, dict[str, Hit]] = {}
        for one in asked.sought:
            found: dict[str, Hit] = {}
            for id_, hit in hits[one.claim].items():
                last, survivor = await surviving(self._services, id_, hit)
                found[last] = survivor
                if last != id_:
                    self._followed.add(label)
            made[one.claim] = found
        return made

    def _merges(self, plan: Plan) -> None:
        """Leave out a merge of a record with itself; refuse one that would go in a circle."""
        for planned in plan.resources:
            for label in merging(planned):
                if self.targets[planned.label].id != self.targets[label].id:
                    continue
                if label in self._followed:
                    raise RefusedMessage(
                        "identity-conflict",
                        f"{planned.label} took the place of {label} in an earlier merge:"
                        " this one would go in a circle",
                    )
                self.nothing_to_merge.add(planned.label)

    def _asked(self, planned: PlannedResource) -> _Asked:
        alternatives: list[Alternative] = []
        asked: list[Sought] = []
        for criteria in planned.identity.any_of:
            final = tuple((name, self._final(value)) for name, value in criteria)
            alternatives.append((planned.type, final))
            if not any(self._is_new(value) for _, value in criteria):
                asked.append(sought(self._services, planned, final))
            # else: nothing can refer to what does not exist yet
        return _Asked(tuple(alternatives), tuple(asked))

    def _target(
        self, planned: PlannedResource, asked: _Asked, hits: Mapping[str, Mapping[str, Hit]]
    ) -> Target:
        expects = tuple(one.expect_none() for one in asked.sought if not hits[one.claim])
        found = {id_: hit for one in asked.sought for id_, hit in hits[one.claim].items()}
        if planned.type == "Patient" and found:
            found = self._same_person(planned, found)
        if len(found) > 1:
            reason: Reason = (
                "patient-conflict" if planned.type == "Patient" else "identity-conflict"
            )
            ids = ", ".join(sorted(f"{planned.type}/{id_}" for id_ in found))
            raise RefusedMessage(
                reason, f"the identifiers of {planned.label} belong to {len(found)} records: {ids}"
            )
        if found:
            ((id_, (version, resource)),) = found.items()
            return Target(planned.type, id_, version, resource, expects)
        return self._made(planned, asked, expects)

    def _made(self, planned: PlannedResource, asked: _Asked, expects: tuple[Expect, ...]) -> Target:
        """Return a new resource, the same one for equal alternatives within the plan."""
        for alternative in asked.alternatives:
            if alternative in self._new:
                return self._new[alternative]
        made = Target(planned.type, self._services.new_id(), None, None, expects)
        self._new |= dict.fromkeys(asked.alternatives, made)
        return made

    def _same_person(self, planned: PlannedResource, found: dict[str, Hit]) -> dict[str, Hit]:
        """Leave out patients that cannot be this one, or refuse, as the feed wants it."""
        others = {id_: disagreement(planned.values, had) for id_, (_, had) in found.items()}
        clashes = {id_: why for id_, why in others.items() if why is not None}
        if clashes and self._feed.on_conflict == "quarantine":
            id_, why = min(clashes.items())
            raise RefusedMessage(
                "patient-overlay", f"an identifier is that of Patient/{id_}, but {why} disagree"
            )
        return {id_: pair for id_, pair in found.items() if id_ not in clashes}

    def _final(self, value: str) -> str:
        if not value.startswith(PLAN):
            return _one_value(value)
        return self.targets[value.removeprefix(PLAN)].reference

    def _is_new(self, value: str) -> bool:
        label = value.removeprefix(PLAN)
        return value.startswith(PLAN) and self.targets[label].version is None


def _one_value(value: str) -> str:
    r"""Return a token (or other) search value that stands for one value whatever is in it.

    R4 search.html#escaping: a bare comma would be an "or", a second bar part of nothing.

    >>> _one_value("urn:h|4 East, bed 2|B")
    'urn:h|4 East\\, bed 2\\|B'
    """
    if _ESCAPED.search(value):
        return value
    system, bar, code = value.partition("|")
    return system.replace(",", "\\,") + bar + code.replace(",", "\\,").replace("|", "\\|")


def _needs(planned: PlannedResource) -> set[str]:
    """Return the labels that an identity speaks of."""
    return {
        value.removeprefix(PLAN)
        for criteria in planned.identity.any_of
        for _, value in criteria
        if value.startswith(PLAN)
    }
