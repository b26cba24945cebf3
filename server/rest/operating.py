"""``$operations`` at three levels, and inside a batch.  R4 operations.html#executing."""

from typing import Any

from server.access.context import AccessContext
from server.fhir.errors import InvalidParameter, MethodNotAllowed
from server.interactions.entries import Entry
from server.interactions.links import CURSOR
from server.operations.registry import Call, Level, Operation, Result, Streamed
from server.rest import headers, negotiate
from server.rest.answer import Answer, Asked, Pairs, fhir
from server.rest.body import parse, read_body
from server.rest.context import Context
from server.store.port import Version

_LEVELS: tuple[Level, ...] = ("system", "type", "instance")


async def operate(context: Context, asked: Asked) -> Answer:
    """``GET`` or ``POST`` of ``/$code``, ``/{type}/$code``, ``/{type}/{id}/$code``."""
    body = None
    operation = find(context, asked.path)
    if asked.method == "POST":
        negotiate.demand_json(asked.headers.get(b"content-type"))
        limits = context.limits
        raw = await read_body(
            asked.receive, asked.headers, limits.body_bytes, ratio=limits.inflate_ratio
        )
        body = await parse(raw) if raw else None
    call = _call(context, operation, asked.access, asked.method, asked.path, asked.pairs, body)
    return _answer(await operation(call))


async def in_batch(context: Context, access: AccessContext, entry: Entry) -> bytes:
    """Run an operation for a batch entry; return the JSON of its answer."""
    operation = find(context, entry.path)
    call = _call(context, operation, access, entry.method, entry.path, entry.pairs, entry.resource)
    result = await operation(call)
    if isinstance(result, Streamed):
        return b"".join([chunk async for chunk in result.chunks])
    return result.body or b"" if isinstance(result, Version) else result


def find(context: Context, path: tuple[str, ...]) -> Operation:
    """Return the operation that an address names; raises ``NotSupported``."""
    level = _LEVELS[len(path) - 1]
    type_ = path[0] if len(path) > 1 else None
    return context.registry.find(path[-1].removeprefix("$"), level, type_)


def _call(
    context: Context,
    operation: Operation,
    access: AccessContext,
    method: str,
    path: tuple[str, ...],
    pairs: Pairs,
    body: Any,
) -> Call:
    if method not in ("GET", "HEAD", "POST") or (method != "POST" and operation.affects_state):
        raise MethodNotAllowed(f"${operation.code} is called with POST")
    cursor = None
    if operation.paged:
        cursor = next((value for name, value in pairs if name == CURSOR), None)
        pairs = tuple(pair for pair in pairs if pair[0] != CURSOR)
    if body is not None and pairs:
        raise InvalidParameter(
            "parameters go into the body or into the address, not into both",
            expression=(pairs[0][0],),
        )
    args, beside = operation.from_query(pairs) if body is None else operation.from_body(body)
    type_ = path[0] if len(path) > 1 else None
    id_ = path[1] if len(path) > 2 else None
    return Call(context.services, access, type_, id_, args, beside, cursor)


def _answer(result: Result) -> Answer:
    if isinstance(result, Version):
        return fhir(200, result.body or b"", *headers.validators(result))
    return fhir(200, result.chunks if isinstance(result, Streamed) else result)
