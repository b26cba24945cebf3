"""Asks the server what it knows, asks the nurse what is so, and counts where they differ."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from server.access.context import AccessContext, Permit
from server.continuity.answers import known_answers
from server.continuity.form import form_of
from server.continuity.known import Known
from server.continuity.rules.case import Rule
from server.continuity.rules.judge import RULES
from server.continuity.site import Site
from server.interactions.prepare import to_write
from server.interactions.services import Services
from server.store.memory import MemoryStore
from tests.continuity.histories.form import CONCEPT_MAP, QUESTIONNAIRE
from tests.continuity.histories.nurse import Verdict, verdict
from tests.continuity.histories.world import RESTRICTED, Moment, World
from tests.contract.made import Clock, index

BASE = "http://fhir.test/fhir"
FORM = form_of(QUESTIONNAIRE)

Fault = Literal["wrong known", "wrong patient", "missed conflict", "needless ask",
                "needless confirm"]  # fmt: skip
GRAVE: frozenset[Fault] = frozenset(("wrong known", "wrong patient", "missed conflict"))

SEES_ALL = AccessContext("user/doctor", "desk", (Permit("*"),), person="Practitioner/doctor")
SEES_NORMAL = AccessContext(
    "user/desk", "desk", (Permit("*", hidden=(RESTRICTED,)),), person="Practitioner/desk"
)


@dataclass(frozen=True, slots=True)
class Judged:
    """One item at one moment.  ``due``: a careful nurse would have taken it as known; ``stated``:
    as known or to be confirmed."""

    item: str
    fault: Fault | None
    due: bool
    stated: bool
    told: str


async def judged(
    world: World,
    site: Site,
    rules: Mapping[str, Rule] = RULES,
    desk: AccessContext = SEES_NORMAL,
) -> AsyncIterator[Judged]:
    """Play the history and judge every item at every moment.

    ``rules`` and ``desk``, who asks where not all may be seen, are others when a mutation is tried.
    """
    clock = Clock()
    store = MemoryStore(now=clock, index=index)
    services = Services(store, BASE, clock, lambda: "new", b"k" * 32)
    await _keep(store, (QUESTIONNAIRE, CONCEPT_MAP))
    events = iter(world.events)
    waiting = next(events, None)
    for moment in world.moments:
        while waiting is not None and waiting.at <= moment.at:
            clock.at = waiting.at
            await _keep(store, waiting.resources)
            waiting = next(events, None)
        clock.at = moment.at
        access = SEES_ALL if moment.sees_restricted else desk
        found = await known_answers(
            services, access, "p", FORM, site, encounter=moment.encounter, rules=rules
        )
        for known in found:
            yield judge(world, moment, known)


async def _keep(store: MemoryStore, resources: Iterable[dict[str, Any]]) -> None:
    for one in resources:
        await store.commit([to_write(one, base_url=BASE, method="PUT")])


def judge(world: World, moment: Moment, known: Known) -> Judged:
    """Return what is wrong with one answer, if anything."""
    item = known.item.link_id
    right = verdict(item, world.claims, moment)
    due = right.allowed == frozenset(("known",))
    stated = due or "confirm" in right.allowed
    shown = frozenset(text_of(candidate.value) for candidate in known.candidates)
    cited = {source.reference for one in known.candidates for source in one.sources}
    fault = _fault(known, right, shown, bool(cited & world.foreign))
    told = (
        f"{world.seed} {item}: {known.state} {sorted(shown)} ({known.rule}), but "
        f"{sorted(right.allowed)} {sorted(right.values)}; {'; '.join(world.stories)}"
    )
    return Judged(item, fault, due, stated, told)


def _fault(known: Known, right: Verdict, shown: frozenset[str], foreign: bool) -> Fault | None:
    if foreign:
        return "wrong patient"
    if known.state == "known" and ("known" not in right.allowed or shown != right.values):
        return "wrong known"
    if known.state == "confirm" and not shown <= right.values:
        return "wrong known"  # to be confirmed with one tap, and nobody ever said so
    if "conflict" in right.allowed and known.state in ("confirm", "known"):
        return "missed conflict"
    if known.state == "ask" and "ask" not in right.allowed:
        return "needless ask"
    if known.state in ("confirm", "conflict") and known.state not in right.allowed:
        return "needless confirm"
    return None


def text_of(value: dict[str, Any]) -> str:
    """Return an answer as claims write it."""
    ((name, said),) = value.items()
    if name == "valueCoding":
        return f"{said.get('system', '')}|{said['code']}"
    if name == "valueQuantity":
        unit = said.get("code") or said.get("unit", "")
        in_kg = unit == "g"
        return f"{said['value'] // 1000} kg" if in_kg else f"{said['value']} {unit}"
    return str(said).lower() if isinstance(said, bool) else str(said)
