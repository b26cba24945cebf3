"""read, vread, search, history and capabilities: the handlers that change nothing."""

from functools import partial
from urllib.parse import parse_qsl

import anyio.to_thread

from server.fhir import definitions
from server.fhir import json as fhir_json
from server.fhir.errors import InvalidSearch, NotFound, NotSupported, UnsupportedMediaType
from server.interactions import history as histories
from server.interactions import read as reads
from server.interactions import search as searches
from server.interactions.searchset import searchset
from server.interactions.subset import shaped
from server.rest import binary, headers, negotiate
from server.rest.answer import FHIR_JSON, Answer, Asked, Pairs, fhir
from server.rest.body import read_body
from server.rest.context import Context
from server.search.parse import parse_search
from server.store.port import Version

FORM = "application/x-www-form-urlencoded"
MAX_PAIRS = 2_000
FORM_AT_ONCE = 32 * 1024  # bytes
SHAPED_AT_ONCE = 100  # resources; to take a part of one takes some tenths of a millisecond


async def read(context: Context, asked: Asked) -> Answer:
    """``GET /{type}/{id}``."""
    type_, id_ = asked.path
    version = await reads.read(context.services, asked.access, type_, id_)
    return _version(context, asked, version)


async def vread(context: Context, asked: Asked) -> Answer:
    """``GET /{type}/{id}/_history/{vid}``."""
    type_, id_, _, number = asked.path
    version = await reads.vread(context.services, asked.access, type_, id_, number)
    return _version(context, asked, version)


async def search(context: Context, asked: Asked) -> Answer:
    """``GET /{type}``, ``GET /`` and ``GET /{compartment}/{id}/{type}``."""
    return await _search(context, asked, asked.path, asked.pairs)


async def search_by_post(context: Context, asked: Asked) -> Answer:
    """``POST .../_search`` with a form; parameters of the address count as well."""
    media_type = negotiate.media_type(asked.headers.get(b"content-type"))
    if media_type not in (FORM, ""):
        raise UnsupportedMediaType(f"_search takes a form ({FORM})", expression=("Content-Type",))
    limits = context.limits
    raw = await read_body(
        asked.receive, asked.headers, limits.form_bytes, ratio=limits.inflate_ratio
    )
    large = len(raw) > FORM_AT_ONCE
    sent = await anyio.to_thread.run_sync(pairs_of, raw) if large else pairs_of(raw)
    form = tuple(pair for pair in sent if pair[0] not in ("_format", "_pretty"))
    return await _search(context, asked, asked.path[:-1], asked.pairs + form)


async def history(context: Context, asked: Asked) -> Answer:
    """``GET /_history``, ``/{type}/_history`` and ``/{type}/{id}/_history``."""
    type_ = asked.path[0] if len(asked.path) > 1 else None
    id_ = asked.path[1] if len(asked.path) > 2 else None
    body = await histories.history(
        context.services, asked.access, type_, id_, asked.pairs, strict=asked.prefer.strict
    )
    return fhir(200, body)


async def capabilities(context: Context, asked: Asked) -> Answer:
    """``GET /metadata``; the same bytes until the server is another one."""
    mode = dict(asked.pairs).get("mode", "full")
    if mode != "full":
        raise NotSupported(f"metadata has mode=full only, not {mode[:40]!r}", expression=("mode",))
    body, gzipped, etag = context.capability()
    known = asked.headers.get(b"if-none-match", b"").split(b",")
    if etag.removeprefix(b"W/") in [text.strip().removeprefix(b"W/") for text in known]:
        return Answer(304, b"", [(b"etag", etag)])
    return Answer(200, body, [FHIR_JSON, (b"etag", etag)], gzipped)


async def well_known(context: Context, asked: Asked) -> Answer:
    """``GET /.well-known/...``: plain JSON whatever ``Accept`` says (SMART conformance.html)."""
    make = context.well_known.get(asked.path[1])
    if make is None:
        raise NotFound("this server has no authorization server")
    return Answer(200, fhir_json.dumps(make()), [(b"content-type", b"application/json")])


def pairs_of(query: bytes) -> Pairs:
    """Return the decoded parameters of a query string or form, in their order.

    Raises:
        InvalidSearch: too many, or not UTF-8.
    """
    try:
        return tuple(
            parse_qsl(
                query.decode("utf-8"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=MAX_PAIRS,
            )
        )
    except UnicodeError:
        raise InvalidSearch("the parameters are not UTF-8") from None
    except ValueError:
        raise InvalidSearch(f"more than {MAX_PAIRS} parameters") from None


def _version(context: Context, asked: Asked, version: Version) -> Answer:
    validators = headers.validators(version)
    if headers.not_modified(asked.headers, version):
        return Answer(304, b"", validators)
    body = version.body or b""
    if asked.pairs:
        body = _shaped(context, asked, version.type, body)
    if version.type == "Binary" and not asked.wants_json:
        return binary.raw(body, validators)
    return Answer(200, body, [FHIR_JSON, *validators])


def _shaped(context: Context, asked: Asked, type_: str, body: bytes) -> bytes:
    """Apply ``_summary`` and ``_elements``, which a read knows as well (R4 search.html#summary)."""
    pairs = [pair for pair in asked.pairs if pair[0] in ("_summary", "_elements")]
    unknown = [name for name, _ in asked.pairs if name not in ("_summary", "_elements")]
    if unknown and asked.prefer.strict:
        raise InvalidSearch(f"read has no parameter {unknown[0][:80]!r}", expression=(unknown[0],))
    wanted = parse_search(type_, pairs, default_count=1, max_count=1)
    if wanted.summary == "count":
        raise InvalidSearch("_summary=count is for searches", expression=("_summary",))
    return shaped(body, type_, wanted.summary, wanted.elements)


async def _search(context: Context, asked: Asked, path: tuple[str, ...], pairs: Pairs) -> Answer:
    compartment = None
    type_: str | None = path[0] if path else None
    if len(path) == 3:
        if path[0] not in definitions.compartments():
            known = ", ".join(sorted(definitions.compartments()))
            raise NotSupported(f"{path[0]} is no compartment of R4; there are {known}")
        compartment = f"{path[0]}/{path[1]}"
        type_ = None if path[2] == "*" else path[2]
    found = await searches.search(
        context.services,
        asked.access,
        type_,
        pairs,
        compartment=compartment,
        strict=asked.prefer.strict,
    )
    made = partial(searchset, context.services.base_url, found)
    if found.shaped > SHAPED_AT_ONCE:
        return fhir(200, await anyio.to_thread.run_sync(made))
    return fhir(200, made())
