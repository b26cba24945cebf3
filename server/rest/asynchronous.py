"""``Prefer: respond-async``: any request, answered later.  R4 async.html, RFC 7240 section 4.1.

R4 leaves open what the address of the answer returns for requests that are no bulk export.  This
follows the page that R5 wrote for it (async-bundle.html): a ``batch-response`` Bundle whose one
entry is the response.
"""

from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from server.fhir import json as fhir_json
from server.fhir.dates import SECOND, http_date, instant_text
from server.fhir.errors import Issue, TooCostly, outcome
from server.interactions.searchset import bundle
from server.rest import errors, headers, operating
from server.rest.answer import FHIR_JSON, Answer, Asked, Receive, fhir
from server.rest.body import read_body
from server.rest.context import Context
from server.rest.jobs import Job

# What a handler reads of the request later.  Authorization is not among them.
_KEPT = (
    b"accept", b"content-type", b"if-match", b"if-modified-since", b"if-none-exist",
    b"if-none-match", b"prefer", b"x-provenance", b"x-security-context",
)  # fmt: skip


async def accept(context: Context, asked: Asked, route: str) -> Answer:
    """Answer 202 with the address of the answer to come; the request then runs by itself."""
    limits, now = context.limits, context.services.now()
    with context.jobs.place(asked.access.identity) as id_:
        body = b""
        if asked.method in ("POST", "PUT", "PATCH"):
            body = await read_body(
                asked.receive, asked.headers, limits.bundle_bytes, ratio=limits.inflate_ratio
            )
        kept = {name: asked.headers[name] for name in _KEPT if name in asked.headers}
        job = Job(
            id_,
            asked.access,
            asked.method,
            route,
            asked.path,
            asked.pairs,
            tuple((name.decode(), value.decode("latin-1")) for name, value in kept.items()),
            asked.request_id,
            _changes_nothing(context, asked, route),
            now,
            now + limits.job_kept_s * SECOND,
        )
        await context.jobs.begin(job, body)
    address = f"{context.services.base_url}/_async/{id_}".encode()
    more = ((b"content-location", address), (b"preference-applied", b"respond-async"))
    return _told(202, "accepted; GET the Content-Location for the answer", *more)


async def poll(context: Context, asked: Asked) -> Answer:
    """``GET /_async/{job}``: 202 while it runs, then 200 with the answer in a Bundle."""
    job = await context.jobs.find(asked.access, asked.path[1])
    if job.done:
        expires = http_date(job.expires_at).encode()
        return fhir(200, await context.jobs.result(job), (b"expires", expires))
    seconds = max(0, context.services.now() - job.at) // SECOND
    wait = b"%d" % min(1 + seconds // 4, 30)
    progress = b"running, accepted %d seconds ago" % seconds
    return Answer(202, b"", [(b"x-progress", progress), (b"retry-after", wait)])


async def remove(context: Context, asked: Asked) -> Answer:
    """``DELETE /_async/{job}``: stop it, forget its answer; later requests for it are 404."""
    await context.jobs.remove(asked.access, asked.path[1])
    return _told(202, "removed; what it had written before stays written")


def replayed(job: Job, body: bytes) -> Asked:
    """Return the request as its handler saw it, content of a Binary as FHIR JSON."""
    sent = {name.encode(): value.encode("latin-1") for name, value in job.headers}
    return Asked(
        job.method,
        job.path,
        job.pairs,
        sent,
        job.access,
        headers.prefer(sent.get(b"prefer")),
        _received(body),
        job.request_id,
        wants_json=True,
    )


async def collected(answer: Answer, most: int, *, repeatable: bool) -> Answer:
    """Return the answer with its body in one piece.

    One longer than ``most`` bytes is not kept.  A read fails with that; a write happened, so it
    keeps its status, without the body.
    """
    if isinstance(answer.body, bytes):
        parts, size = [answer.body], len(answer.body)
    else:
        parts, size = [], 0
        async for chunk in answer.body:
            parts.append(chunk)
            size += len(chunk)
            if size > most:
                break
    if size <= most:
        return Answer(answer.status, b"".join(parts), answer.headers)
    told = f"the answer is longer than {most} bytes, which is what is kept: ask for less at a time"
    if repeatable:
        return errors.failure(TooCostly(told))
    issue = Issue("warning", "too-costly", f"carried out, but {told}")
    return Answer(answer.status, _outcome(issue), answer.headers)


def as_bundle(answer: Answer, *, repeatable: bool) -> bytes:
    """Return the Bundle that holds an answer, its body in one piece.

    An OperationOutcome that a read returns is what was asked for (``$validate``), not an outcome.
    """
    assert isinstance(answer.body, bytes)
    sent = dict(answer.headers)
    status = HTTPStatus(answer.status)
    facts: dict[str, Any] = {"status": f"{status.value} {status.phrase}"}
    for name in ("location", "etag"):
        if (value := sent.get(name.encode())) is not None:
            facts[name] = value.decode()
    if (date := sent.get(b"last-modified")) is not None:
        seconds = parsedate_to_datetime(date.decode()).timestamp()
        facts["lastModified"] = instant_text(int(seconds) * SECOND)
    response, body = fhir_json.dumps(facts), answer.body
    if not body:
        return bundle("batch-response", entries=[b'{"response":%b}' % response])
    told = not repeatable and body.startswith(b'{"resourceType":"OperationOutcome"')
    if status >= 400 or told:
        entry = b'{"response":%b,"outcome":%b}}' % (response[:-1], body)
    else:
        entry = b'{"resource":%b,"response":%b}' % (body, response)
    return bundle("batch-response", entries=[entry])


def _changes_nothing(context: Context, asked: Asked, route: str) -> bool:
    if "{operation}" in route:
        return not operating.find(context, asked.path).affects_state
    return asked.method == "GET" or route.endswith("/_search")


def _received(body: bytes) -> Receive:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    return receive


def _told(status: int, text: str, *more: tuple[bytes, bytes]) -> Answer:
    return Answer(status, _outcome(Issue("information", "informational", text)), [FHIR_JSON, *more])


def _outcome(issue: Issue) -> bytes:
    return fhir_json.dumps(outcome([issue]))
