"""The reads of a batch or transaction: what a GET entry answers."""

from http import HTTPStatus
from typing import Any

from server.access.context import AccessContext
from server.fhir import definitions
from server.fhir import json as fhir_json
from server.fhir.dates import instant_text
from server.fhir.errors import NotFound
from server.interactions.entries import Entry
from server.interactions.history import history
from server.interactions.read import read, vread
from server.interactions.search import search
from server.interactions.searchset import searchset
from server.interactions.services import Services
from server.store.port import Version


async def fetch(services: Services, access: AccessContext, entry: Entry) -> bytes:
    """Return the response entry of a read, vread, search or history.

    Raises:
        NotFound: the address is none of them; others as the interactions.
    """
    match entry.path:
        case ("_history",):
            return _bundle(await history(services, access, None, None, entry.pairs))
        case (type_, "_history") if _is_type(type_):
            return _bundle(await history(services, access, type_, None, entry.pairs))
        case (type_, id_, "_history") if _is_type(type_):
            return _bundle(await history(services, access, type_, id_, entry.pairs))
        case (type_, id_, "_history", number) if _is_type(type_):
            return _version(entry, await vread(services, access, type_, id_, number))
        case (type_, id_) if _is_type(type_):
            return _version(entry, await read(services, access, type_, id_))
        case ():
            found = await search(services, access, None, entry.pairs)
        case (type_,) if _is_type(type_):
            found = await search(services, access, type_, entry.pairs)
        case (owner, id_, member) if _is_compartment(owner, member):
            type_or_all = None if member == "*" else member
            found = await search(
                services, access, type_or_all, entry.pairs, compartment=f"{owner}/{id_}"
            )
        case _:
            raise NotFound(f"{'/'.join(entry.path)[:200]} is not an address of this server")
    return _bundle(searchset(services.base_url, found))


def _is_type(text: str) -> bool:
    return text in definitions.resource_types()


def _is_compartment(owner: str, member: str) -> bool:
    return owner in definitions.compartments() and (member == "*" or _is_type(member))


def _bundle(body: bytes) -> bytes:
    return b'{"resource":%b,"response":{"status":"200 OK"}}' % body


def _version(entry: Entry, version: Version) -> bytes:
    etag = f'W/"{version.number}"'
    unchanged = entry.if_none_match is not None and etag in entry.if_none_match
    status = HTTPStatus.NOT_MODIFIED if unchanged else HTTPStatus.OK
    facts: dict[str, Any] = {
        "status": f"{status.value} {status.phrase}",
        "etag": etag,
        "lastModified": instant_text(version.at),
    }
    if unchanged or version.body is None:
        return b'{"response":%b}' % fhir_json.dumps(facts)
    return b'{"resource":%b,"response":%b}' % (version.body, fhir_json.dumps(facts))
