"""read and vread.  R4 http.html#read, #vread."""

from server.access.context import AccessContext
from server.fhir.dates import instant_text
from server.fhir.errors import Gone
from server.interactions.rights import demand, not_found
from server.interactions.services import Services
from server.store.port import Version


async def read(services: Services, access: AccessContext, type_: str, id_: str) -> Version:
    """Return the latest version, to be shown to the caller; its ``body`` is there.

    Raises:
        Forbidden: the caller may not read the type at all.
        NotFound: there is none, or none that the caller may see.
        Gone: the latest version is a deletion.
        StoreUnavailable: audit cannot be told of it.
    """
    found = await looked_up(services, access, type_, id_)
    if services.audit is not None:
        services.audit.shown(access, "read", (found,), None)
    return found


async def looked_up(
    services: Services,
    access: AccessContext,
    type_: str,
    id_: str,
    *,
    place: tuple[str, ...] = (),
) -> Version:
    """Return what :func:`read` returns, for who tells audit of it in his own words.

    ``place``: what named the resource, to be told as the place of the fault.
    """
    demand(access, "read", type_)
    found = await services.store.read(access, type_, id_)
    if found is None:
        raise not_found(type_, id_, place)
    if found.body is None:
        raise Gone(f"{type_}/{id_} was deleted at {instant_text(found.at)}", expression=place)
    return found


async def vread(
    services: Services, access: AccessContext, type_: str, id_: str, version: str
) -> Version:
    """Return one version; ``version`` is the text of the URL.  Errors as :func:`read`."""
    demand(access, "read", type_)
    number = int(version) if version.isascii() and version.isdigit() and len(version) < 16 else 0
    found = await services.store.vread(access, type_, id_, number) if number else None
    if found is None:
        raise not_found(type_, f"{id_}/_history/{version}")
    if found.body is None:
        raise Gone(f"{type_}/{id_} was deleted at {instant_text(found.at)}, in this version")
    if services.audit is not None:
        services.audit.shown(access, "vread", (found,), None)
    return found
