"""``$meta``, ``$meta-add``, ``$meta-delete``: profiles, tags and security labels of a resource.

R4 resource-operation-meta.html.  A change makes a new version: what was stored never changes.
Of a type or of everything, ``$meta`` tells what is in use, within what the caller may search.
"""

from collections.abc import Callable
from typing import Any

from server.fhir import json as fhir_json
from server.interactions import rights, write
from server.interactions.commit import commit, replanned
from server.interactions.read import looked_up
from server.operations.meta_in_use import in_use
from server.operations.registry import Call, Operation, Param
from server.store.port import Version
from server.validation import check

Meta = dict[str, Any]

_LISTS = ("profile", "security", "tag")


async def show(call: Call) -> bytes:
    """Return Parameters with ``return``, the meta of the latest version, or what is in use."""
    if call.id is None:
        return _parameters(await in_use(call))
    found = await looked_up(call.services, call.access, call.type or "", call.id)
    if call.services.audit is not None:
        address = f"{call.type}/{call.id}/$meta"
        call.services.audit.shown(call.access, "operation", (found,), address)
    return _answer(found)


async def add(call: Call) -> bytes:
    """Add what is not there yet; codings are equal by system and code."""
    return await _change(call, _added)


async def delete(call: Call) -> bytes:
    """Take away what is named and there."""
    return await _change(call, _removed)


async def _change(call: Call, change: Callable[[Meta, Meta], Meta]) -> bytes:
    sent: Meta = call.args["meta"]

    async def attempt() -> Version:
        current = await looked_up(call.services, call.access, call.type or "", call.id or "")
        resource = fhir_json.loads(current.body or b"{}")
        meta = change(resource["meta"], sent)
        if meta == resource["meta"]:
            return current
        resource["meta"] = meta
        check(resource)
        planned = await write.plan_update(
            call.services, call.access, resource, current, if_match=current.number
        )
        (version,) = await commit(call.services, call.access, [planned])
        return version

    rights.demand(call.access, "update", call.type or "")
    return _answer(await replanned(attempt, versions=True))


def _added(meta: Meta, sent: Meta) -> Meta:
    made = dict(meta)
    for name in _LISTS:
        there = {_key(item) for item in meta.get(name, ())}
        new = [item for item in _items(sent, name) if _key(item) not in there]
        if new:
            made[name] = [*meta.get(name, ()), *new]
    return made


def _removed(meta: Meta, sent: Meta) -> Meta:
    made = dict(meta)
    for name in _LISTS:
        gone = {_key(item) for item in _items(sent, name)}
        kept = [item for item in meta.get(name, ()) if _key(item) not in gone]
        made.pop(name, None)
        if kept:
            made[name] = kept
    return made


def _items(sent: Meta, name: str) -> list[Any]:
    found = sent.get(name, [])
    return found if isinstance(found, list) else [found]


def _key(item: Any) -> object:
    return (item.get("system"), item.get("code")) if isinstance(item, dict) else str(item)


def _answer(version: Version) -> bytes:
    return _parameters(fhir_json.loads(version.body or b"{}")["meta"])


def _parameters(meta: Meta) -> bytes:
    """FHIR has no empty objects: an empty meta is no parameter."""
    parameter = {"parameter": [{"name": "return", "valueMeta": meta}]} if meta else {}
    return fhir_json.dumps({"resourceType": "Parameters", **parameter})


_META = Param("meta", "Meta", "Profiles, tags and security labels.", required=True)

OPERATIONS = (
    Operation(
        code="meta",
        definition="http://hl7.org/fhir/OperationDefinition/Resource-meta",
        documentation="Returns the meta of a resource, without the resource. Of a type, or of the "
        "whole record: the profiles, tags and security labels that are used in it, as far as the "
        "caller may search it; at most 50,000 resources that have any are looked at.",
        levels=("system", "type", "instance"),
        run=show,
    ),
    Operation(
        code="meta-add",
        definition="http://hl7.org/fhir/OperationDefinition/Resource-meta-add",
        documentation="Adds profiles, tags and security labels, in a new version.",
        levels=("instance",),
        params=(_META,),
        affects_state=True,
        needs=("read", "update"),
        run=add,
    ),
    Operation(
        code="meta-delete",
        definition="http://hl7.org/fhir/OperationDefinition/Resource-meta-delete",
        documentation="Takes profiles, tags and security labels away, in a new version.",
        levels=("instance",),
        params=(_META,),
        affects_state=True,
        needs=("read", "update"),
        run=delete,
    ),
)
