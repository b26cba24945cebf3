"""What the rules of an emit map see: the resources, the version before, and what they note.

Nothing is read here: whoever calls has gathered the resources (:mod:`server.feeds.outbound`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mappings.emit_destination import Destination
from mappings.encode_codes import Reverse

Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class World:
    """The resources that a message is made of, as they are at one time.

    ``about``: the one whose change is told, ``None``: there is none (it is new, or deleted).
    ``roots``: those that the map names.  ``others``: what they refer to, by ``Type/id``.
    """

    about: Resource | None
    roots: Mapping[str, Sequence[Resource]] = field(default_factory=dict)
    others: Mapping[str, Resource] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """What happened: the world now, the one before, and what the resource was before that.

    ``by``: event of the HL7v2 message that brought the change (``A12``), ``""`` for all else.
    ``at``: when it happened, a FHIR instant.
    """

    now: World
    was: World | None = None
    older: Resource | None = None
    deleted: bool = False
    by: str = ""
    at: str = ""


@dataclass(slots=True)
class Run:
    """The making of one message.  ``notes``: what could not be said, without values."""

    destination: Destination
    reverse: Reverse
    change: Change
    world: World
    event: str = ""
    notes: list[str] = field(default_factory=list)
    roots: Mapping[str, Sequence[Resource]] = field(default_factory=dict)
    numbers: dict[tuple[str, int], int] = field(default_factory=dict)
    _before: "Scope | None" = None

    @property
    def version(self) -> tuple[int, ...]:
        """The version of HL7 that is written."""
        return self.destination.version_number

    @property
    def was(self) -> World | None:
        """The world before the change."""
        return self.change.was

    @property
    def older(self) -> Resource | None:
        """The resource two versions ago."""
        return self.change.older

    @property
    def deleted(self) -> bool:
        """Whether the resource was deleted."""
        return self.change.deleted

    @property
    def by(self) -> str:
        """The event of the message that brought the change."""
        return self.change.by

    def note(self, text: str) -> None:
        """Note, once, that something could not be said."""
        if text not in self.notes:
            self.notes.append(text)

    @property
    def before(self) -> "Scope":
        """The scope of the version before, empty where there was none."""
        if self._before is None:
            world = self.was or World(None)
            self._before = _scope(self, world, world.about)
        return self._before

    def resolve(self, reference: Any) -> Any:
        """Return the resource that a Reference points to, when it was gathered."""
        if not isinstance(reference, dict):
            return None
        text = str(reference.get("reference", ""))
        key = "/".join(text.split("/_history/")[0].rsplit("/", 2)[-2:])
        return self.world.others.get(key)


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a rule stands: the run, and the value that its paths speak of."""

    run: Run
    here: Any
    above: "Scope | None" = None

    def at(self, value: Any) -> "Scope":
        """Return a scope in which paths speak of ``value``."""
        return Scope(self.run, value, self)

    def older(self) -> "Scope":
        """Return the scope of the version before that."""
        return _scope(self.run, World(self.run.older), self.run.older)


def _scope(run: Run, world: World, about: Resource | None) -> Scope:
    inner = Run(run.destination, run.reverse, run.change, world, run.event)
    inner.roots = roots_of(world)
    return Scope(inner, about if about is not None else {})


def roots_of(world: World) -> dict[str, Sequence[Resource]]:
    """Return the named resources; the one the map is about goes by its type."""
    made = dict(world.roots)
    if world.about is not None:
        made.setdefault(str(world.about.get("resourceType", "")), [world.about])
    return made
