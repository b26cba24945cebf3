"""What FHIR adds: extensions, primitives, references, narrative (R4 fhirpath.html#functions)."""

from typing import Any

from server.fhir import xhtml
from server.fhir.fhirpath.environment import Environment
from server.fhir.fhirpath.functions.function import Function
from server.fhir.fhirpath.items import Item, Items, boolean, computed, member, plain, root
from server.fhir.fhirpath.singleton import single, text
from server.fhir.fhirpath.types import is_primitive

_extensions = member("extension")
_contained = member("contained")
_entries = member("entry")
_resources = member("resource")


def _extension(env: Environment, items: Items, url: Items) -> Items:
    wanted = text(url)
    found = _extensions(items)
    env.spend(len(found))
    return [item for item in found if type(item.value) is dict and item.value.get("url") == wanted]


def _has_extension(env: Environment, items: Items, url: Items) -> Items:
    return boolean(bool(_extension(env, items, url)))


def _has_value(env: Environment, items: Items) -> Items:
    return boolean(len(items) == 1 and _is_primitive(items[0]) and items[0].value is not None)


def _get_value(env: Environment, items: Items) -> Items:
    if len(items) != 1 or not _is_primitive(items[0]):
        return []
    return computed(plain(items[0]))


def _is_primitive(item: Item) -> bool:
    return is_primitive(item.type) or item.type.startswith("System.")


def _html_checks(env: Environment, items: Items) -> Items:
    """``htmlChecks()``: the rules txt-1 and txt-2 of a narrative's ``div``."""
    item = single(items, "a narrative")
    if item is None:
        return []
    value = item.value.get("div") if type(item.value) is dict else item.value
    if type(value) is not str:
        return boolean(False)
    env.spend(len(value) / 100)
    return boolean(not xhtml.faults(value))


def _resolve(env: Environment, items: Items) -> Items:
    """Return the resources that references, or the texts of references, lead to.

    Looked for inside: in what the resource contains, and in the Bundle around it; then outside.
    What is not found is left out.
    """
    found: Items = []
    for item in items:
        reference = _reference(item)
        if reference is None:
            continue
        env.spend(1 + len(reference) / 100)
        target = _inside(env, item, reference)
        if target is None and env.resolve is not None and not reference.startswith("#"):
            resource = env.resolve(reference)
            target = None if resource is None else _elsewhere(resource)
        if target is not None:
            found.append(target)
    return found


def _reference(item: Item) -> str | None:
    value = item.value.get("reference") if type(item.value) is dict else item.value
    return value if type(value) is str else None


def _elsewhere(resource: Any) -> Item:
    """Return a resource from outside: it has no place in the one that is looked at."""
    found = root(resource)
    found.step = None
    return found


def _inside(env: Environment, item: Item, reference: str) -> Item | None:
    start = item if item.parent is not None else env.context
    if reference.startswith("#"):
        return _in_container(env, start.resource, reference[1:])
    bundle: Item | None = start.root
    if bundle is None or bundle.type != "Bundle":
        return None
    return _in_bundle(env, bundle, reference, _base(start))


def _in_container(env: Environment, resource: Item | None, id_: str) -> Item | None:
    if resource is None:
        return None
    if resource.parent is not None and resource.step and resource.step[0] == "contained":
        resource = resource.parent
    if not id_:
        return resource
    contained = _contained([resource])
    env.spend(len(contained))
    return next((item for item in contained if _id(item) == id_), None)


def _id(item: Item) -> Any:
    return item.value.get("id") if type(item.value) is dict else None


def _base(item: Item) -> str | None:
    """Return the base URL of the Bundle entry that an item is in, as its ``fullUrl`` tells."""
    entry: Item | None = item
    while entry is not None and not (entry.step and entry.step[0] == "entry"):
        entry = entry.parent
    url = entry.value.get("fullUrl") if entry is not None and type(entry.value) is dict else None
    parts = url.rsplit("/", 2) if type(url) is str else ()
    return f"{parts[0]}/" if len(parts) == 3 else None


def _in_bundle(env: Environment, bundle: Item, reference: str, base: str | None) -> Item | None:
    """Return the entry that a reference names (R4 bundle.html#references)."""
    wanted = {reference.partition("/_history/")[0]}
    if base is not None and ":" not in reference:
        wanted = {base + url for url in wanted}
    entries = _entries([bundle])
    env.spend(len(entries))
    for entry in entries:
        told = entry.value.get("fullUrl") if type(entry.value) is dict else None
        url = told if type(told) is str else None
        found = _resources([entry])
        if found and (url in wanted or (url is None and _local(found[0]) in wanted)):
            return found[0]
    return None


def _local(resource: Item) -> str:
    return f"{resource.type}/{_id(resource)}"


FUNCTIONS = {
    "extension": Function(_extension, 1, 1),
    "hasExtension": Function(_has_extension, 1, 1),
    "hasValue": Function(_has_value),
    "getValue": Function(_get_value),
    "resolve": Function(_resolve),
    "htmlChecks": Function(_html_checks),
}
