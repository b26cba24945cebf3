"""The search parameters that a server knows: those of R4, and those added to it at run time.

A catalog never changes.  When a SearchParameter is stored or removed, the server makes another one
and hands it to everything that parses, indexes or sorts from then on.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from hashlib import blake2b
from types import MappingProxyType

from server.fhir import definitions
from server.fhir.definitions import SearchParameter
from server.search.rows import VERSION


class Catalog:
    """The parameters of R4 with ``custom`` ones, which win over those of the same code.

    Two catalogs of equal parameters are equal, so that they may be keys of caches.
    """

    def __init__(self, custom: Iterable[SearchParameter] = ()) -> None:
        self.custom = tuple(sorted(custom, key=lambda parameter: parameter.url))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Catalog) and self.custom == other.custom

    def __hash__(self) -> int:
        return hash(self.custom)

    @cached_property
    def fingerprint(self) -> str:
        """A name for what index rows depend on; it changes when they do."""
        if not self.custom:
            return f"{VERSION}.{definitions.fingerprint()}"
        made = blake2b(repr(self.custom).encode("utf-8", "surrogatepass"), digest_size=8)
        return f"{VERSION}.{definitions.fingerprint()}.{made.hexdigest()}"

    def parameters(self, type_: str) -> Mapping[str, SearchParameter]:
        """Return by code all parameters of a resource type, those it inherits as well."""
        found = self._by_type.get(type_)
        if found is None:
            made = dict(definitions.search_parameters(type_))
            above = {type_, "Resource", "DomainResource"}
            made |= {p.code: p for p in self.custom if not above.isdisjoint(p.base)}
            found = self._by_type[type_] = MappingProxyType(made)
        return found

    @cached_property
    def _by_type(self) -> dict[str, Mapping[str, SearchParameter]]:
        return {}


R4 = Catalog()
"""Only what the specification defines."""
