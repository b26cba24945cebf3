"""The admin API of the feeds: what the interface console shows and does.  Plain JSON, not FHIR.

Only administrators come in, and messages are theirs alone to read: they hold patients' data.
"""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.security import HTTPBearer

from server.access.context import AccessContext, Trace
from server.feeds import admin_inbox
from server.feeds.admin_models import (
    FeedOut,
    FeedsOut,
    LanesOut,
    ListenerOut,
    RatesOut,
    UnmappedOut,
    instant,
)
from server.feeds.framing import MAX_MESSAGE_BYTES
from server.feeds.mllp import Listener
from server.feeds.quarantine import unmapped
from server.feeds.service import FeedService, Port
from server.fhir.errors import NotFound
from server.problems import ProblemRoute, authorization, route_behind

# The Authorization header -> who administers.  Raises LoginRequired, Forbidden.
Administrator = Callable[[bytes | None], Awaitable[AccessContext]]

_MOST_BYTES = 2 * MAX_MESSAGE_BYTES  # an edited message, as JSON writes it

_bearer = HTTPBearer(auto_error=False, description="An administrator token.")


def administering(administrator: Administrator) -> Callable[[Request], Coroutine[Any, Any, None]]:
    """Return what lets administrators in, and keeps with the request who they are."""

    async def who(request: Request) -> None:
        access = await administrator(authorization(request))
        address = request.client.host if request.client is not None else ""
        trace = Trace(request.headers.get("x-request-id", "-")[:64], address)
        request.state.access = replace(access, trace=trace)

    return who


def router(service: FeedService, administrator: Administrator) -> APIRouter:
    """Return the routes below ``/admin``."""
    made = APIRouter(
        prefix="/admin",
        tags=["feeds"],
        route_class=route_behind(ProblemRoute, administering(administrator), _MOST_BYTES),
        dependencies=[Depends(_bearer)],
    )
    _feeds(made, service)
    admin_inbox.look(made, service)
    admin_inbox.act(made, service)
    return made


def _feeds(made: APIRouter, service: FeedService) -> None:
    @made.get("/feeds", summary="All feeds: settings, states, rates, lag; the ports and the lanes")
    async def feeds() -> FeedsOut:
        counts = await service.inbox.counts()
        names = {*counts, *service.maps.feeds, *service.wiring.feeds, *service.counts}
        lanes = service.lanes
        return FeedsOut(
            feeds=[_feed(service, name, counts.get(name, {})) for name in sorted(names)],
            listeners=list(map(_listener, service.listeners, service.ports)),
            lanes=LanesOut(busy=lanes.busy, active=lanes.active, waiting=lanes.waiting),
            map_version=service.maps.version,
            map_problems=list(service.maps.refused),
        )

    @made.get("/feeds/{feed}", summary="One feed")
    async def feed(feed: str) -> FeedOut:
        counts = await service.inbox.counts()
        if feed not in {*counts, *service.maps.feeds, *service.wiring.feeds, *service.counts}:
            raise NotFound(f"there is no feed {feed}")
        return _feed(service, feed, counts.get(feed, {}))

    @made.get(
        "/feeds/{feed}/unmapped",
        summary="Codes and authorities that no table knows, most frequent first",
    )
    async def codes(feed: str) -> list[UnmappedOut]:
        return [
            UnmappedOut(
                code=one.code,
                messages=one.messages,
                last_message=one.last.id,
                last_received=instant(one.last.received),
            )
            for one in await unmapped(service.inbox, feed=feed)
        ]


def _feed(service: FeedService, name: str, states: Any) -> FeedOut:
    feed, wire = service.maps.feed(name), service.wiring.wire(name)
    stats, moment, now = service.counts[name], service.moment(name), service.services.now()
    return FeedOut(
        name=name,
        mode=feed.mode,
        authoritative=feed.authoritative,
        ack=feed.ack,
        ack_quarantined=feed.ack_quarantined,
        lane_when_quarantined=feed.lane_when_quarantined,
        batch=wire.batch,
        acknowledge=wire.acknowledge,
        folder=str(wire.folder) if wire.folder is not None else None,
        states=dict(states),
        quarantined=dict(stats.quarantined),
        received=stats.received,
        repeated=stats.repeated,
        applied=stats.applied,
        refused=stats.refused,
        reused_ids=stats.reused_ids,
        queries=stats.queries,
        bytes=stats.bytes,
        unfinished=moment.unfinished,
        backlog=moment.backlog,
        lag_s=moment.lag_s,
        ack_p99_s=stats.ack_p99_s(),
        connections=moment.connections,
        per_minute=RatesOut(
            one=stats.rate.per_minute(now, 1),
            five=stats.rate.per_minute(now, 5),
            fifteen=stats.rate.per_minute(now, 15),
        ),
        last_message=instant(stats.last) if stats.last else None,
    )


def _listener(one: Listener, port: Port) -> ListenerOut:
    seen = one.counters
    return ListenerOut(
        host=one.host,
        port=one.port,
        feed=port.feed,
        tls=port.tls is not None,
        connections=one.open_connections,
        refused_connections=seen.refused_connections,
        frames=seen.frames,
        refused_frames=seen.refused_frames,
        skipped_bytes=seen.skipped_bytes,
    )
