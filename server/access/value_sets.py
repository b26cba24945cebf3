"""Value sets of a policy, and the codes of a resource that are looked up in them."""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Any


@dataclass(frozen=True, slots=True)
class CodeSet:
    """Codes as ``system|code``, and what codes begin with."""

    exact: frozenset[str]
    beginnings: tuple[str, ...] = ()

    def holds_any(self, codes: Set[str]) -> bool:
        """Tell whether one of ``system|code`` is of the set.

        >>> code_set(["http://x.test|A5*"]).holds_any({"http://x.test|A51.0"})
        True
        """
        return not self.exact.isdisjoint(codes) or any(
            code.startswith(self.beginnings) for code in codes
        )


def code_set(words: Iterable[str]) -> CodeSet:
    """Return the set of ``system|code`` and ``system|beginning*``.

    Raises ValueError with a word that is neither.
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


def codes(resource: dict[str, Any], elements: Sequence[str]) -> set[str]:
    """Return ``system|code`` of what is coded at element paths, such as ``component.code``.

    A coding without system or code is left out.

    >>> sorted(codes({"code": {"coding": [{"system": "s", "code": "c"}]}}, ["code"]))
    ['s|c']
    """
    found: set[str] = set()
    for value in at_any(resource, tuple(elements)):
        if isinstance(value, dict):
            for coding in value.get("coding") or (value,):
                if isinstance(coding, dict) and "system" in coding and "code" in coding:
                    found.add(f"{coding['system']}|{coding['code']}")
    return found


def at_any(resource: dict[str, Any], elements: tuple[str, ...]) -> list[Any]:
    """Return what stands at element paths of a resource, lists opened.

    >>> at_any({"a": [{"b": 1}, {"b": [2]}], "c": 3}, ("a.b", "c", "d"))
    [1, 2, 3]
    """
    found: list[Any] = []
    names, steps = _steps(elements)
    if not names.isdisjoint(resource):
        for name, rest in steps:
            if name in resource:
                _enter(resource[name], rest, found)
    return found


@lru_cache(maxsize=1024)  # of a policy, a few dozen
def _steps(
    elements: tuple[str, ...],
) -> tuple[frozenset[str], tuple[tuple[str, tuple[str, ...]], ...]]:
    """Return the first properties of the paths, and of each what is left: most are not there."""
    split = (element.split(".") for element in elements)
    steps = tuple((names[0], tuple(names[1:])) for names in split)
    return frozenset(name for name, _ in steps), steps


def _enter(value: Any, path: tuple[str, ...], found: list[Any]) -> None:
    if isinstance(value, list):
        for item in value:
            _enter(item, path, found)
    elif not path:
        found.append(value)
    elif isinstance(value, dict) and path[0] in value:
        _enter(value[path[0]], path[1:], found)
