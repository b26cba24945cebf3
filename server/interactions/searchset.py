"""A search's page as a Bundle.  R4 bundle.html#searchset.  Made by joining stored bytes."""

from collections.abc import Iterable, Sequence

from server.fhir import json as fhir_json
from server.fhir.errors import Issue, outcome
from server.interactions import explained
from server.interactions.contained import Inside
from server.interactions.links import page_url, resource_url
from server.interactions.search import Found
from server.interactions.subset import shaped
from server.search.query import Search
from server.store.port import Version


def searchset(base_url: str, found: Found) -> bytes:
    """Return the Bundle of a page.

    First the plan, if it was asked for, then matches, then includes, last what was not understood
    and what may be missing.
    """
    wanted = found.search
    links = [("self", page_url(base_url, found.path, wanted.used, found.cursor))]
    if found.next is not None:
        links.append(("next", page_url(base_url, found.path, wanted.used, found.next)))
    entries = [
        *_entries(base_url, found.matches, b"match", wanted),
        *(_inside(base_url, one, wanted) for one in found.inside),
        *_entries(base_url, found.included, b"include", wanted),
    ]
    if found.plan is not None:
        entries.insert(0, _outcome_entry(explained.issues(found.plan)))
    if wanted.reported or found.warnings:
        entries.append(_outcome_entry([*_not_used(wanted), *found.warnings]))
    return bundle("searchset", total=found.total, links=links, entries=entries)


def bundle(
    type_: str,
    *,
    entries: Iterable[bytes],
    total: int | None = None,
    links: Iterable[tuple[str, str]] = (),
) -> bytes:
    """Return a Bundle of entries that are JSON already.

    >>> bundle("history", entries=[b'{"fullUrl":"x"}'], total=1)
    b'{"resourceType":"Bundle","type":"history","total":1,"entry":[{"fullUrl":"x"}]}'
    """
    return bundle_head(type_, total=total, links=links) + bundle_tail(b",".join(entries))


def bundle_head(
    type_: str, *, total: int | None = None, links: Iterable[tuple[str, str]] = ()
) -> bytes:
    """Return the JSON of a Bundle up to its entries, without a comma at its end."""
    head = b'{"resourceType":"Bundle","type":"%b"' % type_.encode()
    if total is not None:
        head += b',"total":%d' % total
    if stated := [{"relation": relation, "url": url} for relation, url in links]:
        head += b',"link":' + fhir_json.dumps(stated)
    return head


def bundle_tail(entries: bytes) -> bytes:
    """Return the rest of a Bundle; FHIR has no empty arrays."""
    return b',"entry":[' + entries + b"]}" if entries else b"}"


def entry(base_url: str, version: Version, mode: bytes, body: bytes) -> bytes:
    """Return one entry of a searchset."""
    url = resource_url(base_url, version.type, version.id).encode()
    return b'{"fullUrl":"%b","resource":%b,"search":{"mode":"%b"}}' % (url, body, mode)


def _entries(
    base_url: str, versions: Iterable[Version], mode: bytes, wanted: Search
) -> list[bytes]:
    if wanted.summary in (None, "false") and not wanted.elements:
        return [entry(base_url, v, mode, v.body or b"{}") for v in versions]
    return [
        entry(base_url, v, mode, shaped(v.body or b"{}", v.type, wanted.summary, wanted.elements))
        for v in versions
    ]


def _inside(base_url: str, one: Inside, wanted: Search) -> bytes:
    """Return the entry of a container, or of what it contains (R4 search.html#contained)."""
    container, resource = one.container, one.resource
    if resource is None:
        return _entries(base_url, [container], b"match", wanted)[0]
    body = fhir_json.dumps(resource)
    if wanted.summary not in (None, "false") or wanted.elements:
        body = shaped(body, resource["resourceType"], wanted.summary, wanted.elements)
    url = resource_url(base_url, container.type, container.id)
    facts = {"fullUrl": f"{url}#{resource['id']}", "search": {"mode": "match"}}
    return b'{"resource":%b,%b' % (body, fhir_json.dumps(facts)[1:])


def _not_used(wanted: Search) -> list[Issue]:
    return [
        Issue("warning", "not-supported", f"{r.param} was not used as sent: {r.why}", (r.param,))
        for r in wanted.reported
    ]


def _outcome_entry(issues: Sequence[Issue]) -> bytes:
    return b'{"resource":%b,"search":{"mode":"outcome"}}' % fhir_json.dumps(outcome(issues))
