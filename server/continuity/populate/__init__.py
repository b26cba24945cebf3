"""``Questionnaire/$populate``: a form as far as the record can answer it.  SDC 4.0, populate.html.

There are four ways to an answer, and one judge.  By *expression* (``initialExpression`` over
launch contexts, variables, queries), by *link* (``observationLinkPeriod``), by *default*
(``initial``) and, where an item has none of these, by *meaning* (``known_answers``).  The first two
only say where to look: what they find is judged by the rules that every answer is judged by
(:mod:`.judge`), so that no form can show as known what the record would not.  In doubt an answer is
to be confirmed; what is in conflict or to be asked stays empty, and the extension ``known`` says
so.

``enableWhen`` is not evaluated: SDC leaves that to who shows the form.  ``candidateExpression``
offers choices and answers nothing.  Everything is read under the caller's access; a hidden source
is one that is not there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from server.access.context import AccessContext
from server.access.labels import labelled
from server.continuity.answers import answered
from server.continuity.form import Form, Item
from server.continuity.known import Known
from server.continuity.populate import judge, launch, link, response
from server.continuity.populate.fill import Filling
from server.continuity.populate.launch import Given
from server.continuity.populate.options import Listed
from server.continuity.populate.proposed import Node, Proposed
from server.continuity.populate.world import World
from server.continuity.rules.judge import NOTHING
from server.continuity.site import Site, synonyms, untranslated
from server.continuity.statement import Source
from server.continuity.story.composition import highest
from server.fhir import json as fhir_json
from server.fhir.errors import BusinessRule, Issue
from server.fhir.fhirpath.items import Item as PathItem
from server.fhir.fhirpath.items import root
from server.interactions.read import looked_up
from server.interactions.services import Services
from server.search.marks import labels
from server.store.port import Version

__all__ = ["Given", "Populated", "populated"]


@dataclass(frozen=True, slots=True)
class Populated:
    """The response, the warnings about it, and the versions it was made of.

    ``sources`` are those of answers; ``read`` is everything that expressions could see.
    """

    response: dict[str, Any]
    issues: tuple[Issue, ...]
    sources: frozenset[Source]
    read: tuple[Version, ...]


async def populated(
    services: Services,
    access: AccessContext,
    patient: str,
    form: Form,
    site: Site,
    *,
    contexts: Iterable[Given] = (),
    local: bool = True,
    stored: bool = False,
) -> Populated:
    """Return what the record answers of a form for a patient, a logical id.

    ``local`` false: nothing but the contexts is looked at.  ``stored``: the form is one of the
    record, not one that was sent.

    Raises:
        NotFound, Gone, Forbidden: the patient cannot be read.
        BusinessRule: the patient's record was merged into another.
    """
    subject = await looked_up(services, access, "Patient", patient, place=("subject",))
    world = World(services, access, patient, services.now(), stored)
    resource = world.enter(subject)
    if resource is None:  # no Patient is unfit for herself
        raise BusinessRule("the patient cannot be the subject", expression=("subject",))
    _demand_not_merged(resource)
    base = root(response.skeleton(form, patient, world.at))
    launched = await launch.scope(world, form.raw, resource, contexts)
    links = [item for item in form.walk() if local and link.period(item) is not None]
    translated = await synonyms(site, services, access) if links else untranslated
    if translated is None:
        world.warn("more concept maps are stored than are looked through; none was")
        translated = untranslated
    linked = await link.observations(world, links, translated)
    filling = Filling(
        world, form.raw, base, Listed(world, form.raw), linked, translated, local=local
    )
    nodes = await filling.items(form.items, await filling.root_scope(launched), within=False)
    encounter = _encounter(world, launched) if local else None
    await _decide(world, form, nodes, site, encounter, local=local)
    made = dict(base.value)
    if nodes:
        made["item"] = response.items(nodes)
    known = [node.known for node in _walk(nodes) if node.known is not None]
    sources = frozenset(source for one in known for source in response.sources(one))
    made = labelled(made, _labels(world, known, sources))
    return Populated(made, tuple(world.issues), sources, tuple(world.versions.values()))


def _labels(world: World, known: Iterable[Known], sources: Iterable[Source]) -> list[str]:
    """Return the highest labels of what the answers were made of (C7).

    What something was computed of cannot be told: then everything counts that could be read.
    """
    computed = any(not c.sources for one in known for c in response.shown(one))
    of = world.versions.keys() if computed else {(one.type, one.id) for one in sources}
    found = (world.versions[key] for key in of if key in world.versions)
    return highest(mark for one in found for mark in labels(fhir_json.loads(one.body or b"{}")))


def _demand_not_merged(patient: Mapping[str, Any]) -> None:
    for one in patient.get("link", ()):
        if one.get("type") == "replaced-by":
            other = one.get("other", {}).get("reference", "another record")
            raise BusinessRule(
                f"the record of this patient was merged into {other}: populate for that one",
                expression=("subject",),
            )


def _encounter(world: World, launched: Mapping[str, list[PathItem]]) -> str | None:
    """Return the id of the Encounter in context, if it is stored here and this patient's."""
    for one in launched.get("encounter", ()):
        origin = world.origin(one)
        if origin is not None and origin.version.type == "Encounter":
            return origin.version.id
    return None


async def _decide(
    world: World,
    form: Form,
    nodes: Sequence[Node],
    site: Site,
    encounter: str | None,
    *,
    local: bool,
) -> None:
    """Put what is known into every node that can have an answer."""
    every = [node for node in _walk(nodes) if node.item.type not in ("group", "display")]
    asked = judge.Questions()
    ids = [
        [
            asked.about(node.item, one.origin, proposed.texts, within=node.within)
            if one.origin
            else ""
            for one in proposed.values
        ]
        for node in every
        for proposed in (node.proposed or _NOTHING,)
    ]
    known: dict[str, Known] = {}
    if local:
        found = await answered(
            world.services,
            world.access,
            world.patient,
            replace(form, items=(*form.items, *asked.items)),
            site,
            encounter=encounter,
        )
        known = {one.item.link_id: one for one in found.known}
        world.versions |= {(one.type, one.id): one for one in found.shown}
    for node, own_ids in zip(every, ids, strict=True):
        own = known.get(node.item.link_id) if not node.within else None
        own = own or _nothing(node.item)
        sources = [known.get(id_) for id_ in own_ids]
        node.known = judge.capped(judge.judged(node, own, sources), own, site.validity, world.at)
    for node in _walk(nodes):
        if node.item.type == "group" and node.item.repeats and not node.within:
            _keep_together(node)


_NOTHING: Final = Proposed("expression")


def _nothing(item: Item) -> Known:
    return Known(item, "ask", (), *NOTHING)


def _keep_together(group: Node) -> None:
    """Ask what a repeating group asks, unless all its answers are of one resource.

    Which of several belong together cannot be told by their meaning alone: a reaction must not
    stand beside another allergy.
    """
    inner = [node for node in _walk(group.children) if node.known and node.known.candidates]
    by_meaning = [node for node in inner if node.proposed is None and node.known is not None]
    known = [node.known for node in by_meaning if node.known is not None]
    resources = {(s.type, s.id) for one in known for s in response.sources(one)}
    if len(resources) > 1 or any(len(one.candidates) > 1 for one in known):
        for node in by_meaning:
            told = "Which answers of the group belong together is not known."
            node.known = Known(node.item, "ask", (), "group", told)


def _walk(nodes: Iterable[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from _walk(node.children)
