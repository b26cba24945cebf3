"""The parts an expression is made of; ``of=None`` is the focus ($this of where it stands).

``at``: where in the text, in characters from 0; two nodes are equal wherever they stand.  Not
frozen, because that doubles the time to make one; nobody changes a node.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal as Either

LiteralType = Either["boolean", "string", "integer", "decimal", "date", "dateTime", "time"]


@dataclass(slots=True)
class Literal:
    """A constant; dates and times stay texts, without the ``@`` and a time's ``T``."""

    type: LiteralType
    value: bool | str | int | Decimal
    at: int = field(default=0, compare=False)


@dataclass(slots=True)
class Quantity:
    """``4 'mg'`` or ``4 days``: a UCUM code, or a calendar unit as written."""

    value: Decimal
    unit: str
    calendar: bool
    at: int = field(default=0, compare=False)


@dataclass(slots=True)
class Empty:
    """``{}``."""


@dataclass(slots=True)
class Variable:
    """``$this``, ``$index``, ``$total`` or ``%name``."""

    name: str
    at: int = field(default=0, compare=False)


@dataclass(slots=True)
class Member:
    """``of.name``; without ``of`` also a type name at the start of a path."""

    of: "Node | None"
    name: str
    at: int = field(default=0, compare=False)


@dataclass(slots=True)
class Call:
    """``of.name(args)``."""

    of: "Node | None"
    name: str
    args: tuple["Node", ...]
    at: int = field(default=0, compare=False)


@dataclass(slots=True)
class Indexer:
    """``of[index]``."""

    of: "Node"
    index: "Node"
    at: int = field(default=0, compare=False)


@dataclass(slots=True)
class Unary:
    """``+of`` or ``-of``."""

    op: str
    of: "Node"
    at: int = field(default=0, compare=False)


@dataclass(slots=True)
class Binary:
    """``left op right``."""

    op: str
    left: "Node"
    right: "Node"
    at: int = field(default=0, compare=False)


@dataclass(slots=True)
class TypeOp:
    """``of is type`` or ``of as type``; ``type`` may be qualified: ``FHIR.Patient``."""

    op: str
    of: "Node"
    type: str
    at: int = field(default=0, compare=False)


Node = Literal | Quantity | Empty | Variable | Member | Call | Indexer | Unary | Binary | TypeOp
