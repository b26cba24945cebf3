"""The search parameters that a server knows: those of R4, and those added to it at run time.

A catalog never changes.  When a SearchParameter is stored or removed, the server makes another one
and hands it to everything that parses, indexes or sorts from then on.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, tzinfo
from functools import cached_property
from hashlib import blake2b
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from server.fhir import definitions
from server.fhir.definitions import SearchParameter
from server.search.rows import VERSION


class Catalog:
    """The parameters of R4 with ``custom`` ones, which win over those of the same code.

    ``zone``: IANA name of the time zone of dates that state none, stored and asked alike; here,
    because index rows depend on it as they do on the parameters.  Raises ValueError if unknown.

    Two catalogs of equal parameters and zone are equal, so that they may be keys of caches.
    """

    def __init__(self, custom: Iterable[SearchParameter] = (), *, zone: str = "UTC") -> None:
        self.custom = tuple(sorted(custom, key=lambda parameter: parameter.url))
        self.zone = zone
        self.tzinfo = _tzinfo(zone)
        self._hash = hash((self.custom, zone))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Catalog) and (
            (self.custom, self.zone) == (other.custom, other.zone)
        )

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def fingerprint(self) -> str:
        """A name for what index rows depend on; it changes when they do."""
        name = f"{VERSION}.{definitions.fingerprint()}"
        if self.custom:
            made = blake2b(repr(self.custom).encode("utf-8", "surrogatepass"), digest_size=8)
            name = f"{name}.{made.hexdigest()}"
        return name if self.tzinfo is UTC else f"{name}.{self.zone}"

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
    def by_url(self) -> Mapping[str, SearchParameter]:
        """All parameters by the URL of their definition."""
        known = (*definitions.all_search_parameters(), *self.custom)
        return MappingProxyType({parameter.url: parameter for parameter in known})

    @cached_property
    def _by_type(self) -> dict[str, Mapping[str, SearchParameter]]:
        return {}


def _tzinfo(zone: str) -> tzinfo:
    if zone == "UTC":
        return UTC
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder of zones
        raise ValueError(f"{zone!r} is not a time zone, as in UTC or Europe/Berlin") from None


R4 = Catalog()
"""Only what the specification defines."""
