"""What the choices of a form may be: ``answerValueSet``, stored, contained, or HL7's own."""

from dataclasses import dataclass, field
from typing import Any

from server.continuity.form import Item
from server.continuity.populate.coerce import Options
from server.continuity.populate.world import World
from server.fhir.errors import FhirError
from server.interactions.expand import StoredDefinitions
from terminology.enumerated import Enumerated


@dataclass(slots=True)
class Listed:
    """The value sets of one form, each listed once, for one caller."""

    world: World
    form: dict[str, Any]
    _known: dict[str, Options] = field(default_factory=dict)

    async def of(self, item: Item) -> Options:
        """Return the codes of an item's value set; unchecked, when it cannot be listed."""
        url = item.raw.get("answerValueSet")
        if not url:
            return Options()
        if url not in self._known:
            self._known[url] = await self._listed(url)
        return self._known[url]

    async def _listed(self, url: str) -> Options:
        stored = StoredDefinitions(self.world.services, self.world.access)
        contained = {
            f"#{one.get('id')}": one
            for one in self.form.get("contained", ())
            if one.get("resourceType") == "ValueSet"
        }
        try:
            codes = await Enumerated(_Within(contained, stored)).codes_in(url)
        except FhirError as error:
            self.world.warn(f"answers could not be checked: {error.diagnostics}")
            return Options(unchecked=True)
        return Options(frozenset(codes))


@dataclass(frozen=True, slots=True)
class _Within:
    """The definitions of the record, and before them those contained in the form."""

    contained: dict[str, dict[str, Any]]
    stored: StoredDefinitions

    async def value_set(self, url: str) -> dict[str, Any] | None:
        if url.startswith("#"):
            return self.contained.get(url)
        return await self.stored.value_set(url)

    async def code_system(self, url: str) -> dict[str, Any] | None:
        return await self.stored.code_system(url)
