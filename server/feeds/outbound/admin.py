"""The admin API of destinations: what waits for each, and what to do about a parked message.

What is told is read from the store, so any of several servers answers for all of them.  Messages
are shown without their content; ``tellonce outbound show --raw`` shows it.
"""

import logging
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Depends, Query, Request
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from mappings.emit_destination import Destination
from server.access.context import AccessContext
from server.feeds import looked
from server.feeds.admin import Administrator, administering
from server.feeds.admin_models import DismissIn, instant
from server.feeds.outbound.queue import (
    STATE,
    Message,
    MessageState,
    Queue,
    is_paused,
    retry,
    set_paused,
    skip,
)
from server.feeds.outbound.service import OutboundService
from server.fhir.errors import Conflict, NotFound
from server.interactions.services import Services
from server.problems import ProblemRoute, route_behind
from server.store.port import CommitConflict

log = logging.getLogger(__name__)

_MOST_BYTES = 65_536  # of a request
_SHOWN: tuple[MessageState, ...] = ("waiting", "held", "parked", "withheld")  # not those sent
_bearer = HTTPBearer(auto_error=False, description="An administrator token.")


class DestinationOut(BaseModel):
    """One destination: how it is set, how much waits for it, and how it is reached."""

    model_config = ConfigDict(extra="forbid")

    name: str
    host: str
    port: int
    tls: bool
    version: str
    on_parked: str
    clearance: str
    states: dict[str, int] = Field(description="Messages by state; those sent are not counted.")
    lag_s: float = Field(description="Age of the oldest change that waits to be sent.")
    told_up_to: str | None = Field(description="Changes up to then were made into messages.")
    paused: bool
    connection: str = Field(description="connected, idle, or why the last try failed.")


class OutMessage(BaseModel):
    """One message, without its content."""

    model_config = ConfigDict(extra="forbid")

    id: str
    type: str
    control_id: str
    about: str = Field(description="The version that it tells of.")
    state: str
    changed: str
    updated: str
    attempts: int
    unanswered: int
    reason: str
    problem: str
    answer: str
    notes: list[str]
    size_bytes: int

    @classmethod
    def of(cls, message: Message) -> "OutMessage":
        """Return what is shown of a message."""
        own = {
            name: getattr(message, name)
            for name in cls.model_fields
            if name not in ("changed", "updated", "notes")
        }
        changed, updated = instant(message.at), instant(message.updated)
        return cls(**own, changed=changed, updated=updated, notes=list(message.notes))


class OutMessagesOut(BaseModel):
    """A page of messages, in the order in which they are sent; ``next`` is ``after`` of more."""

    messages: list[OutMessage]
    next: str | None


def router(service: OutboundService, administrator: Administrator) -> APIRouter:
    """Return the routes below ``/admin/destinations``."""
    made = APIRouter(
        prefix="/admin/destinations",
        tags=["destinations"],
        route_class=route_behind(ProblemRoute, administering(administrator), _MOST_BYTES),
        dependencies=[Depends(_bearer)],
    )
    _look(made, service)
    _decide(made, service)
    return made


def _look(made: APIRouter, service: OutboundService) -> None:
    services = service.services

    @made.get("", summary="All destinations: what waits, lag, connection")
    async def destinations() -> list[DestinationOut]:
        return [await _destination(services, one) for one in service.destinations]

    @made.get("/{name}", summary="One destination")
    async def destination(name: str) -> DestinationOut:
        return await _destination(services, _named(service, name))

    @made.get("/{name}/messages", summary="Messages of a state, in the order of sending")
    async def messages(
        name: str,
        state: Literal["waiting", "held", "parked", "sent", "skipped", "withheld"] = "parked",
        after: Annotated[str, Query(description="`next` of the page before.")] = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    ) -> OutMessagesOut:
        queue = Queue(services.store, _named(service, name).name)
        page = await queue.of_state(state, after=after, limit=limit + 1)
        more = page[limit - 1].id if len(page) > limit else None
        return OutMessagesOut(messages=[OutMessage.of(one) for one in page[:limit]], next=more)


def _decide(made: APIRouter, service: OutboundService) -> None:
    services = service.services

    @made.post("/{name}/messages/{id}/retry", summary="Send it again; what it held follows")
    async def again(request: Request, name: str, id: str) -> OutMessage:  # noqa: A002
        queue, message = await _message(service, name, id)
        await _tell(services, request, message, "E")
        try:
            return OutMessage.of(await retry(queue, message, now=services.now()))
        except (ValueError, CommitConflict) as error:
            raise _conflict(message, error) from error

    @made.post("/{name}/messages/{id}/skip", summary="Decide that it shall not be sent")
    async def skipped(request: Request, name: str, id: str, why: DismissIn) -> OutMessage:  # noqa: A002
        queue, message = await _message(service, name, id)
        await _tell(services, request, message, "U")
        try:
            return OutMessage.of(await skip(queue, message, why.reason, now=services.now()))
        except (ValueError, CommitConflict) as error:
            raise _conflict(message, error) from error

    @made.post("/{name}/pause", summary="Send nothing until it goes on")
    async def pause(request: Request, name: str) -> DestinationOut:
        return await _set(service, request, name, paused=True)

    @made.post("/{name}/resume", summary="Let it go on")
    async def resume(request: Request, name: str) -> DestinationOut:
        return await _set(service, request, name, paused=False)


def _named(service: OutboundService, name: str) -> Destination:
    found = next((one for one in service.destinations if one.name == name), None)
    if found is None:
        raise NotFound(f"there is no destination {name}")
    return found


async def _destination(services: Services, to: Destination) -> DestinationOut:
    store = services.store
    queue = Queue(store, to.name)
    counts, cursor = await queue.counts(_SHOWN), await queue.cursor()
    oldest = await queue.of_state("waiting", limit=1)
    record = await store.get_record(STATE, to.name)
    return DestinationOut(
        name=to.name,
        host=to.host,
        port=to.port,
        tls=to.tls is not None,
        version=to.version,
        on_parked=to.on_parked,
        clearance=to.clearance,
        states=dict(counts),
        lag_s=max(0, services.now() - oldest[0].at) / 1e6 if oldest else 0.0,
        told_up_to=instant(cursor.at) if cursor is not None and cursor.at else None,
        paused=await is_paused(store, to.name, default=to.paused),
        connection=str(orjson.loads(record.value)["state"]) if record else "not yet begun",
    )


async def _message(service: OutboundService, name: str, id_: str) -> tuple[Queue, Message]:
    to = _named(service, name)
    queue = Queue(service.services.store, to.name, keep_days=to.keep_days)
    found = await queue.get(id_)
    if found is None:
        raise NotFound(f"{name} has no message {id_}")
    return queue, found


async def _set(
    service: OutboundService, request: Request, name: str, *, paused: bool
) -> DestinationOut:
    to, services = _named(service, name), service.services
    await looked.tell_of_many(services, _who(request), asked=request.url.path)
    await set_paused(services.store, name, paused)
    log.info("destination %s: paused=%s by %s", name, paused, _who(request).principal)
    return await _destination(services, to)


async def _tell(
    services: Services, request: Request, message: Message, action: Literal["E", "U"]
) -> None:
    """Tell audit of a decision about one message; only then may it be answered."""
    asked = request.url.path
    await looked.tell_of_version(services, _who(request), action, message.about, asked=asked)


def _who(request: Request) -> AccessContext:
    access: AccessContext = request.state.access
    return access


def _conflict(message: Message, error: Exception) -> Conflict:
    if isinstance(error, CommitConflict):
        return Conflict(f"message {message.id} was changed meanwhile")
    return Conflict(str(error))
