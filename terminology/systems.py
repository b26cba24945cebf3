"""Code systems whose concepts are all known: HL7's own, and those of the record.

Both become the same value, :class:`Hierarchy`, so that what is asked of them is written once.
R4 codesystem.html.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from server.fhir import codes
from terminology.port import NotEnumerable, Unknown

_SUBSUMES = frozenset(("is-a", "part-of", "grouped-by", ""))
_PARENTS = frozenset(("parent", "subsumedBy"))
_INACTIVE = frozenset(("retired", "inactive"))


@dataclass(slots=True)
class Hierarchy:
    """The concepts of a code system, in its order; ``children`` and ``parents`` are direct ones."""

    url: str
    version: str
    codes: dict[str, None] = field(default_factory=dict)
    children: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    parents: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    inactive: set[str] = field(default_factory=set)

    def below(self, code: str) -> list[str]:
        """Return the code and all descendants, each once; cycles end."""
        return self._reached(code, self.children)

    def above(self, code: str) -> list[str]:
        """Return the code and all ancestors, each once."""
        return self._reached(code, self.parents)

    def _reached(self, code: str, edges: Mapping[str, list[str]]) -> list[str]:
        if code not in self.codes:
            raise Unknown(f"{self.url} has no code {code[:200]!r}")
        found = {code: None}
        todo = [code]
        while todo:
            for other in edges.get(todo.pop(), ()):
                if other not in found:
                    found[other] = None
                    todo.append(other)
        return list(found)

    def _place(self, above: str, below: str) -> None:
        self.children[above].append(below)
        self.parents[below].append(above)


@lru_cache(maxsize=64)
def packaged(url: str) -> Hierarchy | None:
    """Return a code system that HL7 publishes with R4, by URL without version.

    Raises:
        NotEnumerable: HL7 publishes its name, and not all of its concepts.
    """
    found = codes.code_system(url)
    if found is None:
        return None
    _demand_complete(url, found.content)
    at = found.codes
    made = Hierarchy(url, found.version, dict.fromkeys(at))
    made.inactive.update(at[n] for n in found.inactive)
    if found.hierarchy_meaning in _SUBSUMES:
        for n, above in enumerate(found.parents):
            if above >= 0:
                made._place(at[above], at[n])
        for above, below in found.edges:
            made._place(at[above], at[below])
    return made


def stored(resource: Mapping[str, Any]) -> Hierarchy:
    """Return what a valid CodeSystem resource holds.

    Raises:
        NotEnumerable: it says itself that it does not hold all.
    """
    url = resource.get("url", "")
    _demand_complete(url, resource["content"])
    made = Hierarchy(url, resource.get("version", ""))
    nested = resource.get("hierarchyMeaning", "") in _SUBSUMES
    todo: list[tuple[Any, str | None]] = []
    todo.extend((concept, None) for concept in reversed(resource.get("concept", ())))
    while todo:
        concept, above = todo.pop()
        code = concept["code"]
        made.codes[code] = None
        if above is not None and nested:
            made._place(above, code)
        _read_properties(made, code, concept.get("property", ()))
        todo.extend((inner, code) for inner in reversed(concept.get("concept", ())))
    return made


def _read_properties(made: Hierarchy, code: str, properties: Iterable[Any]) -> None:
    """Read what R4 defines for all code systems (codesystem.html#defined-props)."""
    for stated in properties:
        name, other = stated["code"], stated.get("valueCode")
        if isinstance(other, str) and name in _PARENTS:
            made._place(other, code)
        elif isinstance(other, str) and name == "child":
            made._place(code, other)
        elif (name == "status" and other in _INACTIVE) or (
            name == "inactive" and stated.get("valueBoolean") is True
        ):
            made.inactive.add(code)


def _demand_complete(url: str, content: str) -> None:
    if content != "complete":
        raise NotEnumerable(f"not all codes of {url[:200]} are here (its content: {content})")
