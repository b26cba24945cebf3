"""What a site decides about continuity, handed in by the composition root."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from server.access.context import AccessContext
from server.continuity.statement import Code
from server.continuity.story.looked import Departments
from server.continuity.story.rephrase import Rephraser
from server.continuity.validity import Validity, load_validity
from server.fhir.errors import TooCostly
from server.interactions.concept_maps import translations
from server.interactions.services import Services

Translated = Callable[[Code], frozenset[Code]]
"""Codes that mean exactly the same in other systems (ConceptMap ``equal``, ``equivalent``)."""

Translations = Callable[[Services, AccessContext], Awaitable[Translated]]
"""Reads the stored ConceptMaps that the caller may see."""


async def no_translations(_services: Services, _access: AccessContext) -> Translated:
    """Return what maps nothing."""
    return untranslated


async def synonyms(site: "Site", services: Services, access: AccessContext) -> Translated | None:
    """Return what the stored ConceptMaps say; ``None``: there are more than can be looked through.

    Raises:
        DeadlineExceeded, StoreUnavailable: as of a search.
    """
    try:
        return await site.translations(services, access)
    except TooCostly:
        return None


def untranslated(_code: Code) -> frozenset[Code]:
    """Return what nothing is the same as."""
    return frozenset()


@dataclass(frozen=True, slots=True)
class Site:
    """``validity``: how long what was said holds (C1).  ``translations``: the stored ConceptMaps.

    ``rephraser``: what may say the sentences of a story in other words; ``None`` without a model.
    ``departments``: who works where, for when a department last looked.
    """

    validity: Validity = field(default_factory=load_validity)
    translations: Translations = translations
    rephraser: Rephraser | None = None
    departments: Departments | None = None
