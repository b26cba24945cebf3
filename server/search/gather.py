"""What the indexers of one resource write into while it is walked."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Gathered:
    """Index rows in the making; the columns are those of :class:`server.search.rows.IndexRows`."""

    base_url: str = ""
    keys: set[int] = field(default_factory=set)
    compartments: set[str] = field(default_factory=set)
    strings: list[tuple[int, str]] = field(default_factory=list)
    dates: list[tuple[int, int, int]] = field(default_factory=list)
    numbers: list[tuple[int, float, float, int]] = field(default_factory=list)
    texts: list[tuple[int, str, int]] = field(default_factory=list)
    references: list[tuple[int, int]] = field(default_factory=list)
    points: list[tuple[int, float, float]] = field(default_factory=list)


Indexer = Callable[[Any, Gathered], None]
"""Writes the rows of one value, which is never ``None``, of one FHIR type for one parameter."""
