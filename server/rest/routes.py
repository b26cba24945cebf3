"""The addresses below ``/fhir``, each with its methods: about 15, whatever the number of types."""

from collections.abc import Awaitable, Callable, Mapping

from server.fhir import definitions
from server.fhir.errors import NotFound, NotSupported
from server.rest import asynchronous, operating, reading, writing
from server.rest.answer import Answer, Asked
from server.rest.context import Context

Handler = Callable[[Context, Asked], Awaitable[Answer]]

# Everything else demands an AccessContext, that is a caller who was recognised.
WELL_KNOWN = ("/.well-known/smart-configuration", "/.well-known/openid-configuration")
PUBLIC = frozenset(("/metadata", *WELL_KNOWN))

# ``Prefer: respond-async`` is for requests of somebody who can be told the answer later.
AT_ONCE = PUBLIC | {"/_async/{job}"}

_OPERATION = {"GET": operating.operate, "POST": operating.operate}
_SEARCH_FORM = {"POST": reading.search_by_post}

ROUTES: Mapping[str, Mapping[str, Handler]] = {
    "/": {"GET": reading.search, "POST": writing.run_bundle},
    "/metadata": {"GET": reading.capabilities},
    **{route: {"GET": reading.well_known} for route in WELL_KNOWN},
    "/_history": {"GET": reading.history},
    "/_search": _SEARCH_FORM,
    "/_async/{job}": {"GET": asynchronous.poll, "DELETE": asynchronous.remove},
    "/{operation}": _OPERATION,
    "/{type}": {
        "GET": reading.search,
        "POST": writing.create,
        "PUT": writing.conditional_update,
        "PATCH": writing.conditional_patch,
        "DELETE": writing.conditional_delete,
    },
    "/{type}/_search": _SEARCH_FORM,
    "/{type}/_history": {"GET": reading.history},
    "/{type}/{operation}": _OPERATION,
    "/{type}/{id}": {
        "GET": reading.read,
        "PUT": writing.update,
        "PATCH": writing.patch_by_id,
        "DELETE": writing.delete,
    },
    "/{type}/{id}/_history": {"GET": reading.history},
    "/{type}/{id}/_history/{vid}": {"GET": reading.vread},
    "/{type}/{id}/{operation}": _OPERATION,
    "/{type}/{id}/{member}": {"GET": reading.search},
    "/{type}/{id}/{member}/_search": _SEARCH_FORM,
}


def template(path: tuple[str, ...]) -> str:
    """Return the route of decoded path segments.

    Raises:
        NotSupported: R4 has no such resource type.
        NotFound: no address of FHIR looks like this.

    >>> template(("Patient", "1", "_history", "2"))
    '/{type}/{id}/_history/{vid}'
    """
    count = len(path)
    if count == 2:
        # By far the most frequent first.
        first, second = path
        if first == "_async":
            return "/_async/{job}"
        if first == ".well-known":
            address = f"/{first}/{second}"
            return address if address in WELL_KNOWN else _nowhere()
        _demand_type(first)
        if second[0] == "$":
            return "/{type}/{operation}"
        if second[0] == "_":
            return f"/{{type}}/{second}" if second in ("_search", "_history") else _nowhere()
        return "/{type}/{id}"
    if count == 0:
        return "/"
    if count == 1:
        return _one(path[0])
    _demand_type(path[0])
    if count == 3:
        return _three(path[2])
    if count == 4 and path[2] == "_history":
        return "/{type}/{id}/_history/{vid}"
    if count == 4 and path[3] == "_search":
        _demand_member(path[2])
        return "/{type}/{id}/{member}/_search"
    return _nowhere()


def _one(first: str) -> str:
    if first in ("metadata", "_history", "_search"):
        return f"/{first}"
    if first[0] == "$":
        return "/{operation}"
    _demand_type(first)
    return "/{type}"


def _three(third: str) -> str:
    if third == "_history":
        return "/{type}/{id}/_history"
    if third[0] == "$":
        return "/{type}/{id}/{operation}"
    _demand_member(third)
    return "/{type}/{id}/{member}"


def _demand_type(type_: str) -> None:
    if type_ not in definitions.resource_types():
        raise NotSupported(f"R4 has no resource type {type_[:80]!r}", expression=("type",))


def _demand_member(member: str) -> None:
    if member != "*":
        _demand_type(member)


def _nowhere() -> str:
    raise NotFound("this is no address of a FHIR server")
