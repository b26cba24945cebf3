"""Where a page walk goes on, and the cursor that says so.

A page of a search is made of matches, of the includes of matches that an earlier page showed, and,
with ``_contained``, of what is inside other resources.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.interactions.contained import Spot
from server.interactions.cursor import seal, unseal
from server.interactions.includes import START, Position
from server.store.port import Scalar, Version

Ref = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """What a cursor holds.

    ``after``: the row that the matches go on behind; ``held``: matches of an earlier page whose
    includes go on; ``inside``: where the walk through containers is, once it began.  ``first`` is
    the page without a cursor.
    """

    after: tuple[Scalar, ...] | None = None
    total: int | None = None
    held: tuple[Ref, ...] = ()
    includes: Position = START
    inside: Spot | None = None
    first: bool = True


FIRST = Place()


def sealed(key: bytes, context: str, place: Place) -> str:
    """Return the cursor of a place; ``context`` binds it to its caller and its question."""
    state: dict[str, Any] = {"a": place.after, "t": place.total}
    if place.held:
        state["m"] = _texts(place.held)
        at = place.includes
        state["w"] = [at.round, at.reverse, at.forward, at.part, at.after]
    if (inside := place.inside) is not None:
        state["c"] = [inside.after, _texts(inside.held), inside.skip, inside.last]
    return seal(key, state, context)


def opened(key: bytes, context: str, cursor: str) -> Place:
    """Return the place of a cursor.  Raises ``InvalidSearch`` as :func:`.cursor.unseal`."""
    state: Mapping[str, Any] = unseal(key, cursor, context)
    held = _refs(state.get("m", ()))
    includes, inside = START, None
    if "w" in state:  # the includes of a cursor of an older server begin anew
        round_, reverse, forward, part, after = state["w"]
        includes = Position(round_, reverse, forward, part, _row(after))
    if "c" in state:
        after, containers, skip, last = state["c"]
        inside = Spot(_row(after), _refs(containers), skip, last)
    return Place(_row(state["a"]), state["t"], held, includes, inside, first=False)


def refs(versions: Sequence[Version]) -> tuple[Ref, ...]:
    """Return (type, id) of some versions."""
    return tuple((version.type, version.id) for version in versions)


def _row(values: list[Scalar] | None) -> tuple[Scalar, ...] | None:
    return tuple(values) if values is not None else None


def _texts(named: Sequence[Ref]) -> list[str]:
    return ["/".join(ref) for ref in named]


def _refs(texts: Sequence[str]) -> tuple[Ref, ...]:
    parts = (text.partition("/") for text in texts)
    return tuple((type_, id_) for type_, _, id_ in parts)
