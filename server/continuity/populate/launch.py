"""The launch contexts of a form: ``%patient``, ``%user``, ``%encounter`` ...

SDC 4.0, StructureDefinition-sdc-questionnaire-launchContext.  A context is named by the form and
given by the caller, as a reference (read under the caller's access) or as the resource itself.  The
patient is always the subject, and the user is who calls, whatever is sent in their names.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from server.continuity.populate import sdc
from server.continuity.populate.world import World, bound
from server.fhir.errors import FhirError
from server.fhir.fhirpath.items import Item as PathItem
from server.validation import check


@dataclass(frozen=True, slots=True)
class Given:
    """One ``context`` of the call; ``content`` are References and resources."""

    name: str
    content: tuple[Any, ...]


async def scope(
    world: World, form: Mapping[str, Any], patient: dict[str, Any], given: Iterable[Given]
) -> dict[str, list[PathItem]]:
    """Return the variables that the launch of the form gives; what is unfit is warned of."""
    declared = sdc.launch_contexts(form)
    made = {"patient": bound(patient)}
    if world.access.person is not None:
        user = await world.read(world.access.person)
        if user is not None:
            made["user"] = bound(user)
    for one in given:
        if one.name in ("patient", "user"):
            _check_same(world, one, made.get(one.name, []))
        elif one.name in declared or _is_variable(form, one.name):
            made[one.name] = await _content(world, one, declared.get(one.name, frozenset()))
        else:
            world.warn(f"the form has no context {one.name[:80]!r}; it is not used")
    for name in declared:
        if name not in made:
            world.warn(f"the context {name[:80]!r} of the form was not given")
    return made


def _is_variable(form: Mapping[str, Any], name: str) -> bool:
    stated = sdc.expressions(form, sdc.VARIABLE, "Questionnaire")
    return name == "sourceQueries" or any(one.name == name for one in stated)


def _check_same(world: World, given: Given, there: list[PathItem]) -> None:
    """Warn when a caller says that the patient or the user is somebody else."""
    here = {f"{one.type}/{one.value.get('id')}" for one in there if isinstance(one.value, dict)}
    for content in given.content:
        if "resourceType" in content:
            named = f"{content['resourceType']}/{content.get('id')}"
        else:
            named = content.get("reference", "").removeprefix(f"{world.services.base_url}/")
        if named.partition("/_history/")[0] not in here:
            world.warn(f"the context {given.name!r} is not the one that the call is for")


async def _content(world: World, given: Given, types: frozenset[str]) -> list[PathItem]:
    found: list[PathItem] = []
    for content in given.content:
        resource = await _one(world, given.name, content)
        if resource is None:
            continue
        if types and resource["resourceType"] not in types:
            wanted = " or ".join(sorted(types))
            world.warn(f"the context {given.name[:80]!r} is a {wanted}; it is not used")
            continue
        found += bound(resource)
    return found


async def _one(world: World, name: str, content: Any) -> dict[str, Any] | None:
    if "resourceType" not in content:
        found = await world.read(content.get("reference", ""))
        if found is None:
            world.warn(f"the context {name[:80]!r} refers to nothing that is here")
        return found
    try:
        check(content)
    except FhirError as error:
        world.warn(f"the context {name[:80]!r} is not valid: {error.diagnostics}")
        return None
    return world.fitting(dict(content))
