"""What an expression, a link or a default proposes as an answer, before it is judged."""

from dataclasses import dataclass, field
from typing import Any, Literal

from server.continuity.form import Item
from server.continuity.known import Known
from server.continuity.populate.world import Origin

By = Literal["expression", "link", "default"]


@dataclass(frozen=True, slots=True)
class Value:
    """One answer, ``{"value[x]": ...}``; ``origin``: ``None`` when it was computed or sent.

    ``unchecked``: it could not be checked against the answers that the item takes.
    """

    answer: dict[str, Any]
    origin: Origin | None = None
    unchecked: bool = False


@dataclass(frozen=True, slots=True)
class Proposed:
    """``values`` in their order; ``withheld``: there is something, and it may be no more than an
    absence; ``texts``: the expressions that found them."""

    by: By
    values: tuple[Value, ...] = ()
    withheld: bool = False
    texts: tuple[str, ...] = ()


@dataclass(slots=True)
class Node:
    """One item of the response to be.

    ``within``: it is in a repetition of a group, so what is known of the item as such does not
    belong to it.  ``known`` is what was decided of it.
    """

    item: Item
    proposed: Proposed | None = None
    children: list["Node"] = field(default_factory=list)
    within: bool = False
    known: Known | None = None
