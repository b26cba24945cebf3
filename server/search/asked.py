"""One criterion of a search request, as handed to the file of its parameter type."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from server.search.catalog import R4, Catalog
from server.search.query import AnyOf, HasKey, Predicate
from server.search.value import refused

MAX_KEYS = 10_000  # of one criterion; a bare id may mean a resource of any of 146 types


@dataclass(frozen=True, slots=True)
class Asked:
    """``name[:modifier]=values``: any of ``values`` (OR), each still escaped, none empty.

    ``types``: the resource types searched, all of which have the parameter.
    ``name`` is the parameter as sent, with its modifier, for messages; ``label`` instead of it
    where rows stand under a name that nobody sent.
    """

    types: tuple[str, ...]
    param: str
    modifier: str | None
    values: tuple[str, ...]
    base_url: str = ""
    catalog: Catalog = R4
    label: str = ""

    @property
    def name(self) -> str:
        """The parameter as sent, with its modifier."""
        if self.label:
            return self.label
        return self.param if self.modifier is None else f"{self.param}:{self.modifier}"

    def has_key(self, tails: Sequence[str]) -> HasKey:
        """Return the predicate "has one of these keys"; ``tails`` stand behind ``Type|param|``."""
        return self.has_keys((type_, tails) for type_ in self.types)

    def has_keys(self, tails_of: Iterable[tuple[str, Sequence[str]]]) -> HasKey:
        """Return the predicate "has one of these keys", where types have each their own tails."""
        keys = (f"{type_}|{self.param}|{tail}" for type_, tails in tails_of for tail in tails)
        distinct = tuple(dict.fromkeys(keys))
        if len(distinct) > MAX_KEYS:
            raise refused(
                self.name, f"means {len(distinct)} values; at most {MAX_KEYS}, name types"
            )
        return HasKey(distinct)


def any_of(predicates: Sequence[Predicate]) -> Predicate:
    """Return the one predicate, or their OR, without repeats."""
    distinct = tuple(dict.fromkeys(predicates))
    return distinct[0] if len(distinct) == 1 else AnyOf(distinct)
