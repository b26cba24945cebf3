"""The admin API of the feeds: what the interface console shows and does.  Plain JSON, not FHIR.

Only administrators come in, and messages are theirs alone to read: they hold patients' data.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.security import HTTPBearer

from server.feeds.admin_models import (
    DismissIn,
    DryRunOut,
    FeedOut,
    FeedsOut,
    FilterIn,
    LanesOut,
    ListenerOut,
    MessageDetail,
    MessageOut,
    MessagesOut,
    RatesOut,
    ReplayIn,
    ReplayOut,
    SummaryOut,
    UnmappedOut,
    instant,
)
from server.feeds.inbox import STATES, Entry, State
from server.feeds.mllp import Listener
from server.feeds.newest import newest
from server.feeds.quarantine import (
    Filter,
    Summary,
    ask_replay,
    dismiss,
    dry_run,
    matching,
    unmapped,
)
from server.feeds.service import FeedService, Port
from server.fhir import json as fhir_json
from server.fhir.errors import Conflict, InvalidRequest, NotFound
from server.problems import ProblemRoute, authorization
from server.store.port import CommitConflict

log = logging.getLogger(__name__)

# The Authorization header -> the administrator's name.  Raises LoginRequired, Forbidden.
Administrator = Callable[[bytes | None], Awaitable[str]]

MOST_DRY = 1000  # messages of one dry run of many
MOST_ASKED = 100_000  # replays asked for in one request
_bearer = HTTPBearer(auto_error=False, description="An administrator token.")


def router(service: FeedService, administrator: Administrator) -> APIRouter:
    """Return the routes below ``/admin``."""

    async def who(request: Request) -> str:
        name = await administrator(authorization(request))
        request.state.administrator = name
        return name

    made = APIRouter(
        prefix="/admin",
        tags=["feeds"],
        route_class=ProblemRoute,
        dependencies=[Depends(_bearer), Depends(who)],
    )
    _feeds(made, service)
    _inbox(made, service)
    _actions(made, service)
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
        )

    @made.get("/feeds/{feed}", summary="One feed")
    async def feed(feed: str) -> FeedOut:
        counts = await service.inbox.counts()
        if feed not in {*counts, *service.maps.feeds, *service.wiring.feeds, *service.counts}:
            raise NotFound(f"there is no feed {feed}")
        return _feed(service, feed, counts.get(feed, {}))

    @made.get("/feeds/{feed}/unmapped", summary="Codes that no table knows, most frequent first")
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


def _inbox(made: APIRouter, service: FeedService) -> None:
    inbox = service.inbox

    @made.get("/inbox", summary="Messages, newest or oldest first")
    async def messages(
        feed: str | None = None,
        state: Annotated[list[State] | None, Query()] = None,
        reason: str | None = None,
        type_: Annotated[str | None, Query(alias="type")] = None,
        control_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        map_version: str | None = None,
        order: Annotated[str, Query(pattern="^(newest|oldest)$")] = "newest",
        after: Annotated[str, Query(description="`next` of the page before.")] = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    ) -> MessagesOut:
        wanted = Filter(
            feed,
            tuple(state or STATES),
            reason,
            type_,
            _us(since),
            _us(until),
            map_version,
            control_id,
        )
        found = (
            matching(inbox, wanted, after=after)
            if order == "oldest"
            else newest(service.services.store, inbox, wanted, before=after)
        )
        page = await _first(found, limit + 1)
        more = page[limit - 1].id if len(page) > limit else None
        return MessagesOut(messages=[MessageOut.of(entry) for entry in page[:limit]], next=more)

    @made.get("/inbox/{id}", summary="One message, with where each value came from")
    async def message(id: str) -> MessageDetail:  # noqa: A002 - the name in the address
        entry = await _entry(service, id)
        return MessageDetail.with_explain(entry, await inbox.explain(id))

    @made.get(
        "/inbox/{id}/raw",
        summary="The bytes as received, or as edited for the n-th time",
        response_class=Response,
        responses={200: {"content": {"application/hl7-v2": {}}}},
    )
    async def raw(request: Request, id: str, edit: int = 0) -> Response:  # noqa: A002
        entry = await _entry(service, id)
        bodies = await inbox.bodies(entry)
        key = f"{entry.id}.{edit}" if edit else entry.id
        if key not in bodies:
            raise NotFound(f"message {id} has no edit {edit}")
        log.info("message %s was read by %s", id, request.state.administrator)
        return Response(
            bodies[key],
            media_type="application/hl7-v2",
            headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"},
        )


def _actions(made: APIRouter, service: FeedService) -> None:
    store, inbox = service.services.store, service.inbox

    @made.post(
        "/inbox/{id}/replay",
        summary="Apply a message again, edited or not, or dry",
        response_model=ReplayOut,
        responses={202: {"model": ReplayOut, "description": "asked for"}},
    )
    async def replay(request: Request, id: str, asked: ReplayIn) -> Response:  # noqa: A002
        entry = await _entry(service, id)
        edited = _edited(asked)
        if asked.dry_run:
            body = edited or await inbox.body(entry)
            done = await dry_run(service.services, service.maps, entry, body)
            return _json(ReplayOut(asked=0, dry_run=DryRunOut.of(done)))
        await ask_replay(store, [id], edited)
        log.info("message %s is applied again for %s", id, request.state.administrator)
        return _json(ReplayOut(asked=1), 202)

    @made.post("/inbox/{id}/dismiss", summary="Decide that it shall never be applied")
    async def dismissed(request: Request, id: str, why: DismissIn) -> MessageOut:  # noqa: A002
        entry = await _entry(service, id)
        try:
            gone = await dismiss(store, inbox, entry, why.reason, service.services.now())
        except ValueError as error:
            raise Conflict(str(error)) from error
        except CommitConflict as error:
            raise Conflict(f"message {id} was changed meanwhile") from error
        log.info("message %s was dismissed by %s", id, request.state.administrator)
        return MessageOut.of(gone)

    @made.post("/inbox/replay", summary="Apply many again, or see what that would come to")
    async def replay_many(request: Request, wanted: FilterIn) -> SummaryOut:
        chosen = matching(inbox, _filter(wanted))
        if wanted.dry_run:
            found = await _first(chosen, MOST_DRY + 1)
            summary = Summary()
            for entry in found[:MOST_DRY]:
                body = await inbox.body(entry)
                summary.add(await dry_run(service.services, service.maps, entry, body))
            return SummaryOut.of(summary, complete=len(found) <= MOST_DRY)
        ids = [entry.id for entry in await _first(chosen, MOST_ASKED + 1)]
        await ask_replay(store, ids[:MOST_ASKED])
        log.info("%d messages are applied again for %s", len(ids), request.state.administrator)
        return SummaryOut(
            messages=min(len(ids), MOST_ASKED),
            asked=min(len(ids), MOST_ASKED),
            complete=len(ids) <= MOST_ASKED,
        )


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


async def _entry(service: FeedService, id_: str) -> Entry:
    found = await service.inbox.get(id_)
    if found is None:
        raise NotFound(f"there is no message {id_}")
    return found


async def _first(found: AsyncIterator[Entry], most: int) -> list[Entry]:
    made: list[Entry] = []
    async for entry in found:
        made.append(entry)
        if len(made) == most:
            break
    return made


def _filter(asked: FilterIn) -> Filter:
    return Filter(
        asked.feed,
        tuple(asked.states),
        asked.reason,
        asked.type,
        _us(asked.since),
        _us(asked.until),
        asked.map_version,
    )


def _edited(asked: ReplayIn) -> bytes:
    """Return the edited bytes; text fields of browsers end their lines with LF."""
    if asked.edited is None:
        return b""
    lines = "\r".join(asked.edited.splitlines()) + "\r"
    try:
        return lines.encode(asked.encoding)
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"the edited message is not {asked.encoding}") from error


def _us(at: datetime | None) -> int | None:
    if at is None:
        return None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1e6)


def _json(made: Any, status: int = 200) -> Response:
    """Return a model as JSON; resources in it keep their decimals as they are."""
    return Response(fhir_json.dumps(made.model_dump()), status, media_type="application/json")
