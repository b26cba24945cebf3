"""create, update, patch, delete, their conditional forms, and Bundles: the handlers that write."""

from http import HTTPStatus
from typing import Any

from server.access.context import AccessContext
from server.fhir import json as fhir_json
from server.fhir.errors import InvalidRequest, Issue, UnsupportedMediaType, outcome
from server.interactions import bundle as bundles
from server.interactions import conditional, patch, write
from server.interactions.entries import Entry
from server.interactions.links import version_url
from server.interactions.patch import Patch
from server.interactions.write import Written
from server.rest import binary, headers, negotiate, operating
from server.rest.answer import Answer, Asked, fhir
from server.rest.body import parse, read_body
from server.rest.context import Context


async def create(context: Context, asked: Asked) -> Answer:
    """``POST /{type}``, with ``If-None-Exist`` a conditional create."""
    (type_,) = asked.path
    condition = headers.if_none_exist(asked.headers)
    resource, raw = await _resource(context, asked)
    if condition is not None:
        written = await conditional.conditional_create(
            context.services, asked.access, type_, resource, condition, raw=raw
        )
    else:
        written = await write.create(context.services, asked.access, type_, resource, raw=raw)
    return _written(context, asked, written)


async def update(context: Context, asked: Asked) -> Answer:
    """``PUT /{type}/{id}``."""
    type_, id_ = asked.path
    resource, raw = await _resource(context, asked)
    if raw is None:
        resource["id"] = id_  # content that was wrapped into a Binary
    written = await write.update(
        context.services,
        asked.access,
        type_,
        id_,
        resource,
        raw=raw,
        if_match=headers.if_match(asked.headers),
        must_be_new=headers.must_be_new(asked.headers),
    )
    return _written(context, asked, written)


async def conditional_update(context: Context, asked: Asked) -> Answer:
    """``PUT /{type}?...``."""
    (type_,) = asked.path
    resource, raw = await _resource(context, asked)
    written = await conditional.conditional_update(
        context.services,
        asked.access,
        type_,
        resource,
        asked.pairs,
        raw=raw,
        if_match=headers.if_match(asked.headers),
    )
    return _written(context, asked, written)


async def patch_by_id(context: Context, asked: Asked) -> Answer:
    """``PATCH /{type}/{id}``."""
    type_, id_ = asked.path
    operations = await _patch(context, asked)
    written = await patch.patch(
        context.services,
        asked.access,
        type_,
        id_,
        operations,
        if_match=headers.if_match(asked.headers),
    )
    return _written(context, asked, written)


async def conditional_patch(context: Context, asked: Asked) -> Answer:
    """``PATCH /{type}?...``."""
    (type_,) = asked.path
    operations = await _patch(context, asked)
    written = await patch.conditional_patch(
        context.services,
        asked.access,
        type_,
        operations,
        asked.pairs,
        if_match=headers.if_match(asked.headers),
    )
    return _written(context, asked, written)


async def delete(context: Context, asked: Asked) -> Answer:
    """``DELETE /{type}/{id}``."""
    type_, id_ = asked.path
    written = await write.delete(
        context.services,
        asked.access,
        type_,
        id_,
        if_match=headers.if_match(asked.headers),
    )
    return _deleted(asked, [written.version] if written.version else [])


async def conditional_delete(context: Context, asked: Asked) -> Answer:
    """``DELETE /{type}?...``."""
    (type_,) = asked.path
    versions = await conditional.conditional_delete(
        context.services, asked.access, type_, asked.pairs
    )
    return _deleted(asked, versions)


async def run_bundle(context: Context, asked: Asked) -> Answer:
    """``POST /`` with a batch or transaction."""
    negotiate.demand_json(asked.headers.get(b"content-type"))
    raw = await _body(context, asked, context.limits.bundle_bytes)

    async def operate(access: AccessContext, entry: Entry) -> bytes:
        return await operating.in_batch(context, access, entry)

    body = await bundles.process(
        context.services,
        asked.access,
        await parse(raw),
        raw=raw,
        prefer=asked.prefer.returns or "minimal",
        operate=operate,
        on_bug=lambda error: context.on_bug(error, asked.request_id),
    )
    return fhir(200, body)


async def _resource(context: Context, asked: Asked) -> tuple[Any, bytes | None]:
    """Return the resource and its JSON; content for a Binary is wrapped, and has none."""
    type_ = asked.path[0]
    media_type = negotiate.media_type(asked.headers.get(b"content-type"))
    limits = context.limits
    most = limits.bundle_bytes if type_ == "Bundle" else limits.body_bytes
    if type_ == "Binary" and media_type and not negotiate.is_fhir(media_type):
        content = await _body(context, asked, most)
        owner = asked.headers.get(b"x-security-context")
        return binary.wrapped(content, media_type, owner), None
    negotiate.demand_json(asked.headers.get(b"content-type"))
    raw = await _body(context, asked, most)
    return await parse(raw), raw


async def _patch(context: Context, asked: Asked) -> Patch:
    """Return the patch; its media type says which of the two kinds it is (R4 http.html#patch)."""
    media_type = negotiate.media_type(asked.headers.get(b"content-type"))
    if media_type != negotiate.JSON_PATCH and not negotiate.is_json(media_type):
        raise UnsupportedMediaType(
            f"this server patches with {negotiate.JSON_PATCH}, and with application/fhir+json "
            "(FHIRPath Patch); XML Patch is not read",
            expression=("Content-Type",),
        )
    raw = await _body(context, asked, context.limits.body_bytes)
    sent = await parse(raw)
    if media_type == negotiate.JSON_PATCH:
        return Patch("json", sent)
    await write.accepted("Parameters", sent, raw)
    return Patch("fhirpath", sent)


async def _body(context: Context, asked: Asked, most: int) -> bytes:
    raw = await read_body(asked.receive, asked.headers, most, ratio=context.limits.inflate_ratio)
    if not raw and negotiate.media_type(asked.headers.get(b"content-type")) == "":
        raise InvalidRequest(f"{asked.method} needs a body")
    return raw


def _written(context: Context, asked: Asked, written: Written) -> Answer:
    """Answer as ``Prefer: return`` asks; the whole resource when it does not."""
    version = written.version
    assert version is not None
    status = 201 if written.created else 200
    more = headers.validators(version)
    if written.created or not written.changed:
        location = version_url(context.services.base_url, version.type, version.id, version.number)
        more.append((b"location", location.encode()))
    returns = asked.prefer.returns
    if returns == "minimal":
        return Answer(status, b"", more)
    if returns == "OperationOutcome":
        return fhir(status, _outcome(status), *more)
    return fhir(status, version.body or b"", *more)


def _deleted(asked: Asked, versions: list[Any]) -> Answer:
    more = headers.validators(versions[-1]) if len(versions) == 1 else []
    if asked.prefer.returns == "OperationOutcome":
        told = Issue("information", "informational", f"{len(versions)} deleted")
        return fhir(200, fhir_json.dumps(outcome([told])), *more)
    return Answer(204, b"", more)


def _outcome(status: int) -> bytes:
    told = Issue("information", "informational", HTTPStatus(status).phrase)
    return fhir_json.dumps(outcome([told]))
