"""One criterion of a search request, as handed to the file of its parameter type."""

from dataclasses import dataclass

from server.search.query import AnyOf, HasKey, Predicate


@dataclass(frozen=True, slots=True)
class Asked:
    """``name[:modifier]=values``: any of ``values`` (OR), each still escaped, none empty.

    ``types``: the resource types searched, all of which have the parameter.
    ``name`` is the parameter as sent, with its modifier, for messages.
    """

    types: tuple[str, ...]
    param: str
    modifier: str | None
    values: tuple[str, ...]
    base_url: str = ""

    @property
    def name(self) -> str:
        """The parameter as sent, with its modifier."""
        return self.param if self.modifier is None else f"{self.param}:{self.modifier}"

    def has_key(self, tails: list[str]) -> HasKey:
        """Return the predicate "has one of these keys"; ``tails`` stand behind ``Type|param|``."""
        keys = (f"{type_}|{self.param}|{tail}" for type_ in self.types for tail in tails)
        return HasKey(tuple(dict.fromkeys(keys)))


def any_of(predicates: list[Predicate]) -> Predicate:
    """Return the one predicate, or their OR, without repeats."""
    distinct = tuple(dict.fromkeys(predicates))
    return distinct[0] if len(distinct) == 1 else AnyOf(distinct)
