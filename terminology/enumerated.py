"""Value sets and hierarchies as lists of codes, as far as they can be listed exactly.

R4 valueset.html#compositions.  Listed codes, whole code systems, ``is-a`` and ``descendent-of`` of
complete ones, imports, exclusions, and expansions that came with a value set.  What cannot be
listed (other filters, systems that are not here) is an error that names it.
"""

from collections.abc import Iterable
from typing import Any

from server.fhir import codes
from server.fhir.codes import Include, ValueSet
from server.fhir.errors import FhirError, TooCostly
from terminology import systems
from terminology.port import Definitions, NotEnumerable, Unknown
from terminology.systems import Hierarchy

MAX_CODES = 20_000  # of one value set or hierarchy: what one search can hold
MAX_DEPTH = 50  # value sets that import each other in a row

Code = tuple[str, str]

_CUT = frozenset(
    f"http://hl7.org/fhir/StructureDefinition/valueset-{name}" for name in ("unclosed", "toocostly")
)


class Enumerated:
    """A :class:`~terminology.port.Terminology` of what is stored and what HL7 publishes with R4.

    What is stored wins over HL7's own of the same address.
    """

    def __init__(self, record: Definitions) -> None:
        self._record = record
        self._known: dict[str, dict[Code, None]] = {}

    async def codes_in(self, value_set: str) -> list[Code]:
        """See :meth:`terminology.port.Terminology.codes_in`."""
        return list(await self._members(value_set, ()))

    async def below(self, system: str, code: str) -> list[Code]:
        """See :meth:`terminology.port.Terminology.below`."""
        found = (await self._system(system, "")).below(code)
        return list(_limited(f"{system}|{code}", [(system, one) for one in found]))

    async def above(self, system: str, code: str) -> list[Code]:
        """See :meth:`terminology.port.Terminology.above`."""
        found = (await self._system(system, "")).above(code)
        return list(_limited(f"{system}|{code}", [(system, one) for one in found]))

    async def _members(self, url: str, path: tuple[str, ...]) -> dict[Code, None]:
        if url in path:
            raise NotEnumerable(f"the value set imports itself: {' -> '.join((*path, url))[:500]}")
        if len(path) >= MAX_DEPTH:
            raise NotEnumerable(f"more than {MAX_DEPTH} value sets import each other in a row")
        if url not in self._known:
            try:
                self._known[url] = _limited(url, await self._listed(url, (*path, url)))
            except (NotEnumerable, Unknown) as error:
                told = f"value set {url[:300]}: {error.diagnostics}"
                raise (error if path else type(error)(told)) from error
        return self._known[url]

    async def _listed(self, url: str, path: tuple[str, ...]) -> dict[Code, None]:
        stored = await self._record.value_set(url)
        if stored is None:
            return await self._composed(_packaged(url), True, path)
        compose = stored.get("compose")
        if compose is None:
            return _expanded(stored)
        try:
            active_only = compose.get("inactive") is False
            return await self._composed(_read(stored), not active_only, path)
        except FhirError:
            # What its author lists is as good, where it says that it is all.
            if "expansion" not in stored:
                raise
            return _expanded(stored)

    async def _composed(
        self, wanted: ValueSet, inactive: bool, path: tuple[str, ...]
    ) -> dict[Code, None]:
        found: dict[Code, None] = {}
        for include in wanted.include:
            found |= await self._selected(include, inactive, path)
        for exclude in wanted.exclude:
            for code in await self._selected(exclude, True, path):
                found.pop(code, None)
        return found

    async def _selected(
        self, include: Include, inactive: bool, path: tuple[str, ...]
    ) -> dict[Code, None]:
        """Return what one ``include`` or ``exclude`` selects: what all its parts have in common."""
        parts = [await self._members(url, path) for url in include.value_sets]
        if include.system or not parts:
            parts.insert(0, await self._of_system(include, inactive))
        first, *others = parts
        return {code: None for code in first if all(code in other for other in others)}

    async def _of_system(self, include: Include, inactive: bool) -> dict[Code, None]:
        system = include.system
        if include.withheld:
            raise NotEnumerable(f"{include.withheld} codes of {system} in it are not shipped")
        if not system:
            raise NotEnumerable("an include names neither a system nor a value set")
        if include.concepts:
            return {(system, code): None for code, _ in include.concepts}
        known = await self._system(system, include.version)
        found = known.codes if inactive else dict.fromkeys(_active(known, known.codes))
        for filter_ in include.filters:
            kept = _filtered(known, *filter_)
            found = {code: None for code in found if code in kept}
        return {(system, code): None for code in found}

    async def _system(self, url: str, version: str) -> Hierarchy:
        named = f"{url}|{version}" if version else url
        resource = await self._record.code_system(named)
        if resource is not None:
            return systems.stored(resource)
        known = systems.packaged(url)
        if known is None:
            raise Unknown(f"the code system {url[:300]} is not here")
        if version and version != known.version:
            raise NotEnumerable(f"{url[:300]} is here in version {known.version}, not {version}")
        return known


def _packaged(url: str) -> ValueSet:
    plain, _, version = url.partition("|")
    found = codes.value_set(plain)
    if found is None or version not in ("", found.version):
        raise Unknown("it is not here")
    return found


def _read(resource: dict[str, Any]) -> ValueSet:
    """Return a stored ValueSet in the form of HL7's own."""
    compose = resource["compose"]
    return ValueSet(
        url=resource.get("url", ""),
        version=resource.get("version", ""),
        name=resource.get("name", ""),
        include=tuple(_include(part) for part in compose.get("include", ())),
        exclude=tuple(_include(part) for part in compose.get("exclude", ())),
    )


def _include(part: dict[str, Any]) -> Include:
    filters = part.get("filter", ())
    return Include(
        system=part.get("system", ""),
        version=part.get("version", ""),
        concepts=tuple((one["code"], one.get("display", "")) for one in part.get("concept", ())),
        filters=tuple((one["property"], one["op"], one["value"]) for one in filters),
        value_sets=tuple(part.get("valueSet", ())),
        withheld=0,
    )


def _filtered(known: Hierarchy, property_: str, op: str, value: str) -> set[str]:
    """Return what a filter keeps (R4 valueset-filter-operator.html)."""
    if property_ in ("concept", "code") and op in ("is-a", "descendent-of", "is-not-a"):
        below = set(known.below(value))
        if op == "is-not-a":
            return set(known.codes) - below
        return below if op == "is-a" else below - {value}
    raise NotEnumerable(f"the filter {property_} {op} {value!r} of {known.url}"[:500])


def _active(known: Hierarchy, found: Iterable[str]) -> list[str]:
    return [code for code in found if code not in known.inactive]


def _expanded(resource: dict[str, Any]) -> dict[Code, None]:
    """Return the codes of an expansion that came with the value set, if it is complete."""
    expansion = resource.get("expansion")
    if expansion is None:
        raise NotEnumerable("it has neither a composition nor an expansion")
    if any(extension.get("url") in _CUT for extension in expansion.get("extension", ())):
        raise NotEnumerable("its expansion says that it is not complete")
    found: dict[Code, None] = {}
    listed = 0
    todo = list(expansion.get("contains", ()))
    while todo:
        part = todo.pop()
        listed += 1
        if "code" in part and not part.get("abstract", False):
            found[part.get("system", ""), part["code"]] = None
        todo.extend(part.get("contains", ()))
    if expansion.get("offset", 0) or expansion.get("total", listed) > listed:
        raise NotEnumerable(f"its expansion holds {listed} of {expansion.get('total')} codes")
    return found


def _limited(name: str, found: Iterable[Code]) -> dict[Code, None]:
    made = dict.fromkeys(found)
    if len(made) > MAX_CODES:
        raise TooCostly(f"{name[:300]} has {len(made)} codes; at most {MAX_CODES} can be searched")
    return made
