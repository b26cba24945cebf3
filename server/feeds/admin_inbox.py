"""The routes below ``/admin/inbox``: look at messages, apply them again, dismiss them.

Whoever reads a message, or changes what becomes of it, is told to audit before the answer leaves.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from server.access.context import AccessContext
from server.audit.port import Action
from server.feeds import explaining, looked
from server.feeds.admin_models import (
    DismissIn,
    DryRunOut,
    FilterIn,
    MessageDetail,
    MessageOut,
    MessagesOut,
    ReplayIn,
    ReplayOut,
    SummaryOut,
)
from server.feeds.inbox import STATES, Entry, State
from server.feeds.looked import ADMINISTER, READ
from server.feeds.newest import newest
from server.feeds.quarantine import Filter, Summary, ask_replay, dismiss, dry_run, matching
from server.feeds.service import FeedService
from server.fhir import json as fhir_json
from server.fhir.errors import Conflict, InvalidRequest, NotFound
from server.store.port import CommitConflict

log = logging.getLogger(__name__)

MOST_DRY = 1000  # messages of one dry run of many
MOST_ASKED = 100_000  # replays asked for in one request


def look(made: APIRouter, service: FeedService) -> None:
    """Add the routes that show messages."""
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
    async def message(request: Request, id: str) -> MessageDetail:  # noqa: A002 - in the address
        entry = await _entry(service, id)
        await _tell(service, request, entry)
        return MessageDetail.with_explain(
            entry, await explaining.of_message(inbox, service.maps, entry)
        )

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
        await _tell(service, request, entry)
        log.info("message %s was read by %s", id, _who(request).principal)
        return Response(
            bodies[key],
            media_type="application/hl7-v2",
            headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"},
        )


def act(made: APIRouter, service: FeedService) -> None:
    """Add the routes that change what becomes of messages."""
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
            await _tell(service, request, entry, shown=done.resources)
            rows = explaining.of_plan(service.maps, done.plan, body, entry.feed)
            return _json(ReplayOut(asked=0, dry_run=DryRunOut.of(done, rows)))
        await _tell(service, request, entry, ADMINISTER, "E")
        await ask_replay(store, [id], edited)
        log.info("message %s is applied again for %s", id, _who(request).principal)
        return _json(ReplayOut(asked=1), 202)

    @made.post("/inbox/{id}/dismiss", summary="Decide that it shall never be applied")
    async def dismissed(request: Request, id: str, why: DismissIn) -> MessageOut:  # noqa: A002
        entry = await _entry(service, id)
        await _tell(service, request, entry, ADMINISTER, "U")
        try:
            gone = await dismiss(store, inbox, entry, why.reason, service.services.now())
        except ValueError as error:
            raise Conflict(str(error)) from error
        except CommitConflict as error:
            raise Conflict(f"message {id} was changed meanwhile") from error
        log.info("message %s was dismissed by %s", id, _who(request).principal)
        return MessageOut.of(gone)

    @made.post("/inbox/replay", summary="Apply many again, or see what that would come to")
    async def replay_many(request: Request, wanted: FilterIn) -> SummaryOut:
        asked = f"{request.url.path}?{_said(wanted)}"
        await looked.tell_of_many(service.services, _who(request), asked=asked)
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
        log.info("%d messages are applied again for %s", len(ids), _who(request).principal)
        return SummaryOut(
            messages=min(len(ids), MOST_ASKED),
            asked=min(len(ids), MOST_ASKED),
            complete=len(ids) <= MOST_ASKED,
        )


def _who(request: Request) -> AccessContext:
    access: AccessContext = request.state.access
    return access


async def _tell(
    service: FeedService,
    request: Request,
    entry: Entry,
    interaction: str = READ,
    action: Action = "R",
    *,
    shown: Sequence[dict[str, Any]] = (),
) -> None:
    """Tell audit of a request about one message; only then may it be answered."""
    asked = request.url.path
    await looked.tell(
        service.services, _who(request), interaction, action, entry, asked=asked, shown=shown
    )


def _said(wanted: FilterIn) -> str:
    """Return what a request for many chose, as the parameters of an address."""
    chosen = wanted.model_dump(mode="json", exclude_defaults=True)
    return urlencode(chosen, doseq=True)


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
