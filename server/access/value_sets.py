"""Value sets of a policy, and the codes of a resource that are looked up in them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class CodeSet:
    """Codes as ``system|code``, and what codes begin with."""

    exact: frozenset[str]
    beginnings: tuple[str, ...] = ()

    def holds(self, coding: Any) -> bool:
        """Tell whether a Coding is of the set; one without system or code is not."""
        if not isinstance(coding, dict) or "system" not in coding or "code" not in coding:
            return False
        text = f"{coding['system']}|{coding['code']}"
        return text in self.exact or text.startswith(self.beginnings)


def code_set(words: Iterable[str]) -> CodeSet:
    """Return the set of ``system|code`` and ``system|beginning*``.

    Raises ValueError with a word that is neither.

    >>> code_set(["http://x.test|A5*"]).holds({"system": "http://x.test", "code": "A51.0"})
    True
    """
    exact: set[str] = set()
    beginnings: list[str] = []
    for word in words:
        system, bar, code = word.partition("|")
        if not (system and bar and code.removesuffix("*")):
            raise ValueError(word)
        if code.endswith("*"):
            beginnings.append(word[:-1])
        else:
            exact.add(word)
    return CodeSet(frozenset(exact), tuple(beginnings))


def codings(resource: dict[str, Any], elements: Sequence[str]) -> Iterator[Any]:
    """Yield the codings at element paths, such as ``component.code``, of any coded type."""
    for element in elements:
        for value in at(resource, element):
            if isinstance(value, dict):
                yield from value.get("coding") or ((value,) if "code" in value else ())


def at(value: Any, path: str) -> Iterator[Any]:
    """Yield what stands at a path of JSON properties, lists opened."""
    if isinstance(value, list):
        for item in value:
            yield from at(item, path)
    elif path == "":
        yield value
    elif isinstance(value, dict):
        name, _, rest = path.partition(".")
        if name in value:
            yield from at(value[name], rest)
