"""The ASGI application for ``/fhir``: one table look-up per request, no framework in between.

Measured, CPU per GET: bare ASGI 18 us, a dispatcher such as this 19, FastAPI with a body model
1,061 (docs/decisions).  Stored bytes go out as they are.
"""

from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from time import perf_counter
from typing import Any

from server.access.context import AccessContext
from server.fhir.errors import (
    FhirError,
    InvalidRequest,
    InvalidSearch,
    LoginRequired,
    MethodNotAllowed,
    StoreUnavailable,
    Throttled,
)
from server.interactions import audit_failures
from server.interactions.services import Services
from server.operations.registry import Registry
from server.rest import asynchronous, compression, errors, headers, negotiate, request_log
from server.rest.answer import Answer, Asked, Header, Pairs, Receive, Scope, Send
from server.rest.body import ClientGoneError, Intake, Limits
from server.rest.capability import Prepared
from server.rest.context import Context
from server.rest.cors import Cors
from server.rest.exchange import Exchange
from server.rest.jobs import Job, Jobs
from server.rest.metrics import Metrics
from server.rest.pretty import indented
from server.rest.reading import pairs_of
from server.rest.routes import AT_ONCE, PUBLIC, ROUTES, WELL_KNOWN, template

# The value of the Authorization header, if there is one -> who calls.  Raises LoginRequired.
Authenticate = Callable[[bytes | None], Awaitable[AccessContext]]

# Who calls -> nothing, or raises Throttled, which says when to come back.
Throttle = Callable[[AccessContext], None]

NOBODY = AccessContext("-", "-", ())

_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"private, no-store"))
_WITH_BODY = frozenset(("POST", "PUT", "PATCH"))
_NO_FORMAT: tuple[Pairs, str | None, bool] = ((), None, False)


class Dispatcher:
    """Answers every request below ``prefix``; whatever happens, with FHIR and not with a crash."""

    def __init__(
        self,
        services: Services,
        *,
        authenticate: Authenticate,
        registry: Registry,
        capability: Callable[[], Prepared],
        limits: Limits,
        cors: Cors,
        metrics: Metrics,
        prefix: str,
        well_known: Mapping[str, Callable[[], dict[str, Any]]] = {},
        throttle: Throttle | None = None,
    ) -> None:
        self._services = services
        self._audit = services.audit
        self._throttle = throttle
        self.jobs = Jobs(services, limits, self._run_job)
        self._context = Context(
            services, registry, limits, capability, self.jobs, self._on_bug, well_known
        )
        self._authenticate = authenticate
        self._cors = cors
        self._metrics = metrics
        self._prefix = prefix
        self._most = limits.in_flight
        self._compress = limits.compress_bytes
        self._in_flight = 0
        metrics.in_flight = lambda: self._in_flight
        self._ids = count(1)
        self._start = services.new_id()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI 3)."""
        started = perf_counter()
        sent_headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = headers.request_id(sent_headers.get(b"x-request-id"))
        if request_id is None:
            request_id = f"{self._start}-{next(self._ids)}"
        exchange = Exchange(scope["method"], request_id, _address(scope))
        intake = Intake(receive, sent_headers) if exchange.method in _WITH_BODY else None
        self._in_flight += 1
        try:
            answer = await self._answer(scope, intake or receive, sent_headers, exchange)
            if exchange.access is not None:
                answer = await self._audited(answer, exchange)
            if intake is not None and answer.status >= 400:
                await intake.discard()
            if self._compress is not None:
                accepted = sent_headers.get(b"accept-encoding")
                await compression.compress(answer, accepted, self._compress)
            more = [*_ALWAYS, (b"x-request-id", request_id.encode())]
            if (origin := sent_headers.get(b"origin")) is not None:
                more += self._cors.headers(origin, public=exchange.public)
            await self._send(answer, more, send, exchange)
        except ClientGoneError:
            return
        finally:
            self._in_flight -= 1
            if self._audit is not None and exchange.access is not None:
                self._audit.take(exchange.trace)
        seconds = perf_counter() - started
        self._metrics.answered(exchange.method, exchange.route, answer.status, seconds)
        request_log.answered(
            exchange.method,
            exchange.route,
            answer.status,
            seconds * 1000,
            request_id,
            exchange.principal,
        )

    async def _answer(
        self, scope: Scope, receive: Receive, sent: dict[bytes, bytes], exchange: Exchange
    ) -> Answer:
        try:
            if self._in_flight > self._most:
                raise Throttled("too many requests at once", retry_after_s=1)
            return await self._handled(scope, receive, sent, exchange)
        except FhirError as error:
            if self._audit is not None and isinstance(error, LoginRequired):
                self._audit.refused(exchange.address)
            return errors.failure(error)
        except ClientGoneError:
            raise
        # A bug in one request must not take the connection, or the server, with it.
        except Exception as error:
            request_log.failed(error, exchange.request_id, exchange.route)
            return errors.bug(exchange.request_id)

    async def _handled(
        self, scope: Scope, receive: Receive, sent: dict[bytes, bytes], exchange: Exchange
    ) -> Answer:
        method = exchange.method
        path = self._path(scope["path"])
        exchange.public = public = path is not None and "/" + "/".join(path) in PUBLIC
        if method == "OPTIONS":
            preflight = self._cors.preflight(sent, public=public)
            if preflight is not None:
                exchange.route = "preflight"
                return preflight
        access = NOBODY
        if not public and method != "OPTIONS":
            access = await self._authenticate(sent.get(b"authorization"))
            exchange.principal = access.principal
            if self._throttle is not None:
                self._throttle(access)
            access = exchange.traced(access, sent.get(b"x-provenance"))
            exchange.path = path or ()
        if path is None:
            raise InvalidRequest("an empty segment in the address")
        exchange.route = route = template(path)
        methods = ROUTES[route]
        handler = methods.get("GET" if method == "HEAD" else method)
        if handler is None:
            return _not_allowed(method, route)
        query = scope["query_string"]
        pairs, format_, pretty = _parameters(query) if query else _NO_FORMAT
        exchange.pairs = pairs
        wants_json = route in WELL_KNOWN or negotiate.check_accept(sent.get(b"accept"), format_)
        asked = Asked(
            "GET" if method == "HEAD" else method,
            path,
            pairs,
            sent,
            access,
            headers.prefer(sent.get(b"prefer")),
            receive,
            exchange.request_id,
            wants_json,
        )
        if asked.prefer.respond_async and route not in AT_ONCE and not exchange.head:
            answer = await asynchronous.accept(self._context, asked, route)
        else:
            answer = await handler(self._context, asked)
        if pretty and isinstance(answer.body, bytes) and _is_json(answer):
            answer.body, answer.gzipped = indented(answer.body), None
        return answer

    async def _audited(self, answer: Answer, exchange: Exchange) -> Answer:
        """Tell audit of what nobody told it of; return the answer, or why it cannot be given.

        Nothing is shown that audit could not be told of.  An answer that shows nothing leaves all
        the same: it is a failure already.
        """
        audit, access = self._audit, exchange.access
        if audit is None or access is None:
            return answer
        try:
            if not audit.take(exchange.trace):
                audit_failures.tell(
                    self._services,
                    access,
                    exchange.method,
                    exchange.path,
                    exchange.pairs,
                    answer.status,
                )
            if audit.durable:
                await audit.settled()
        except StoreUnavailable as error:
            return answer if answer.status >= 400 else errors.failure(error)
        return answer

    async def _send(
        self, answer: Answer, more: list[Header], send: Send, exchange: Exchange
    ) -> None:
        answer.headers.extend(more)
        body, head = answer.body, exchange.head
        if isinstance(body, bytes):
            if answer.status not in (204, 304):
                answer.headers.append((b"content-length", b"%d" % len(body)))
            await _start(answer, send)
            await send({"type": "http.response.body", "body": b"" if head else body})
            return
        await _start(answer, send)
        try:
            if not head:
                async for chunk in body:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        # The status is out already.  Ending here without the last piece makes the server cut the
        # connection, which is the only way left to say that the answer is not complete.
        except Exception as error:
            request_log.failed(error, exchange.request_id, exchange.route)
            return
        await send({"type": "http.response.body", "body": b""})

    def _path(self, path: str) -> tuple[str, ...] | None:
        """Return the decoded segments below the prefix; ``None`` when one of them is empty."""
        below = path[len(self._prefix) :].strip("/")
        if not below:
            return ()
        segments = tuple(below.split("/"))
        return segments if all(segments) else None

    async def _run_job(self, job: Job, body: bytes) -> bytes:
        """Answer a request that was accepted earlier; counted and logged like any other."""
        started = perf_counter()
        route = f"{job.route} (async)"
        exchange = Exchange(job.method, job.request_id, "")
        try:
            asked = asynchronous.replayed(job, body)
            sent_by_client = asked.headers.get(b"x-provenance")
            asked.access = exchange.traced(asked.access, sent_by_client)
            exchange.path, exchange.pairs = asked.path, asked.pairs
            answer = await ROUTES[job.route][job.method](self._context, asked)
            most = self._context.limits.job_bytes
            answer = await asynchronous.collected(answer, most, repeatable=job.repeatable)
        except FhirError as error:
            answer = errors.failure(error)
        # A bug is an answer as well: the caller must not wait for one that never comes.
        except Exception as error:
            request_log.failed(error, job.request_id, route)
            answer = errors.bug(job.request_id)
        answer = await self._audited(answer, exchange)
        seconds, who = perf_counter() - started, job.access.principal
        self._metrics.answered(job.method, route, answer.status, seconds)
        request_log.answered(job.method, route, answer.status, seconds * 1000, job.request_id, who)
        return asynchronous.as_bundle(answer, repeatable=job.repeatable)

    def _on_bug(self, error: BaseException, request_id: str) -> None:
        request_log.failed(error, request_id, "batch entry")


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _parameters(query: bytes) -> tuple[Pairs, str | None, bool]:
    """Return the parameters, with those that speak of the format taken out."""
    pairs = pairs_of(query)
    if b"_format" not in query and b"_pretty" not in query:
        return pairs, None, False
    about = {name: text for name, text in pairs if name in ("_format", "_pretty")}
    kept = tuple(pair for pair in pairs if pair[0] not in about)
    if len(kept) + len(about) != len(pairs):
        raise InvalidSearch("_format or _pretty was given twice", expression=tuple(about))
    return kept, about.get("_format"), negotiate.pretty(about.get("_pretty", "false"))


def _not_allowed(method: str, route: str) -> Answer:
    known = sorted({*ROUTES[route], "OPTIONS", *(("HEAD",) if "GET" in ROUTES[route] else ())})
    allow = (b"allow", ", ".join(known).encode())
    if method == "OPTIONS":
        return Answer(204, b"", [allow])
    answer = errors.failure(MethodNotAllowed(f"{route} knows {', '.join(known)}"))
    answer.headers.append(allow)
    return answer


def _is_json(answer: Answer) -> bool:
    return any(name == b"content-type" and b"fhir+json" in value for name, value in answer.headers)


async def _start(answer: Answer, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
