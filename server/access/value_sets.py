"""Value sets of a policy, and the codes of a resource that are looked up in them."""

from collections.abc import Iterable, Iterator, Sequence, Set
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


def codes(resource: dict[str, Any], elements: Sequence[str]) -> frozenset[str]:
    """Return ``system|code`` of what is coded at element paths, such as ``component.code``.

    A coding without system or code is left out.

    >>> sorted(codes({"code": {"coding": [{"system": "s", "code": "c"}]}}, ["code"]))
    ['s|c']
    """
    found: set[str] = set()
    for name, rest in steps(tuple(elements)):
        if name in resource:
            for value in at(resource[name], rest):
                found.update(_codes_of(value))
    return frozenset(found)


@lru_cache(maxsize=1024)  # of a policy, a few dozen
def steps(elements: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the first property of each path, and what is left of it: most are not there.

    >>> steps(("code", "component.code"))
    (('code', ''), ('component', 'code'))
    """
    return tuple((name, rest) for name, _, rest in (each.partition(".") for each in elements))


def _codes_of(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for coding in value.get("coding") or (value,):
            if isinstance(coding, dict) and "system" in coding and "code" in coding:
                yield f"{coding['system']}|{coding['code']}"


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
