"""``tellonce outbound``: what goes out, and what to do when a receiver does not take it.

The store is opened beside a running server: the server sees what is said here within a second.
"""

import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import anyio
import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mappings.emit import Outbound, load_outbound
from mappings.maps import load_maps
from server import app
from server.access.context import SYSTEM
from server.commands.options import Data, StoreOption, fail, refusals, settings_from
from server.feeds import looked
from server.feeds.outbound import queue
from server.feeds.outbound.preview import preview
from server.feeds.outbound.queue import STATES, Message, Queue
from server.interactions.audit_later import Word
from server.settings import Settings
from server.store.port import CommitConflict, Store
from server.uuid7 import new_id

T = TypeVar("T")

Name = Annotated[str, typer.Argument(help="Name of the destination.")]
Id = Annotated[str, typer.Argument(help="A message id, as `show` lists it.")]
Maps = Annotated[
    list[Path] | None, typer.Option("--maps", help="Folder with destinations and maps.")
]
_NOT_A_TERMINAL = 240
_COUNTED: tuple[queue.MessageState, ...] = ("waiting", "held", "parked", "withheld", "sent")

outbound_app = typer.Typer(
    help="HL7v2 messages that go out: list, show, retry, skip, pause, resume.",
    no_args_is_help=True,
)


@outbound_app.command("check")
def check(maps: Maps = None) -> None:
    """Read destinations and emit maps, and tell every fault with its file and line."""
    found = _files(settings_from(maps=maps))
    for name, outlet in found.outlets.items():
        to = outlet.destination
        maps_ = ", ".join(route.map.name for route in outlet.routes)
        typer.echo(f"{name}: {to.host}:{to.port}, HL7 {to.version}: {maps_}")
    typer.echo(f"{len(found.outlets)} destinations, {len(found.maps)} emit maps: no faults")


@outbound_app.command("list")
def list_(maps: Maps = None, data: Data = None, store: StoreOption = None) -> None:
    """List the destinations: how much waits, since when, and how the connection is."""
    settings = settings_from(maps=maps, data=data, store=store)
    found = _files(settings)
    rows = _beside(settings, lambda opened: _overview(opened, found))
    _print(("destination", *_COUNTED, "told up to", "state"), rows)


@outbound_app.command("show")
def show(
    name: Name,
    id_: Annotated[str | None, typer.Argument(help="One message of it.")] = None,
    state: Annotated[str, typer.Option(help=f"{', '.join(STATES)} or all.")] = "parked",
    raw: Annotated[bool, typer.Option("--raw", help="Only the bytes, as they are sent.")] = False,
    data: Data = None,
    store: StoreOption = None,
) -> None:
    """Show a destination's messages of a state, or one message."""
    settings = settings_from(data=data, store=store)
    if id_ is None:
        states = [one for one in STATES if state in ("all", one)] or fail(
            f"--state is one of {', '.join(STATES)}, all"
        )
        rows = _beside(settings, lambda opened: _rows(opened, name, states))
        _print(("id", "changed", "type", "state", "about", "reason", "problem"), rows)
        return
    message = _message(settings, name, id_)
    if raw:
        _tell(settings, message.about, f"show {name} {id_} --raw")
        body = _beside(settings, lambda opened: Queue(opened, name).body(id_))
        typer.get_binary_stream("stdout").write(body)
        return
    for key, value in _shown(message):
        typer.echo(f"{key:<10} {value}")


@outbound_app.command("retry")
def retry(
    name: Name,
    id_: Annotated[str | None, typer.Argument(help="One message; or --all.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="All that are parked.")] = False,
    data: Data = None,
    store: StoreOption = None,
) -> None:
    """Send parked messages again, under their control ids; what they held goes on behind."""
    settings = settings_from(data=data, store=store)
    if (id_ is None) == (not all_):
        fail("name a message, or say --all")

    async def again(opened: Store) -> int:
        own = Queue(opened, name)
        if id_ is not None:
            await queue.retry(own, await _got(own, id_), now=app.now_us())
            return 1
        parked = [one async for one in own.walk("parked")]
        for one in parked:
            await queue.retry(own, one, now=app.now_us())
        return len(parked)

    typer.echo(f"{_told(settings, again)} messages will be sent again")


@outbound_app.command("skip")
def skip(
    name: Name,
    id_: Id,
    reason: Annotated[str, typer.Option(help="Why; kept with the message.")],
    data: Data = None,
    store: StoreOption = None,
) -> None:
    """Decide that a message shall not be sent; what it held goes on."""
    settings = settings_from(data=data, store=store)

    async def skipped(opened: Store) -> None:
        own = Queue(opened, name)
        await queue.skip(own, await _got(own, id_), reason, now=app.now_us())

    _told(settings, skipped)
    typer.echo(f"{id_} is skipped")


@outbound_app.command("pause")
def pause(name: Name, data: Data = None, store: StoreOption = None) -> None:
    """Send nothing more to a destination; what changes meanwhile waits."""
    settings = settings_from(data=data, store=store)
    _beside(settings, lambda opened: queue.set_paused(opened, name, True))
    typer.echo(f"{name} is paused; `tellonce outbound resume {name}` lets it go on")


@outbound_app.command("resume")
def resume(name: Name, data: Data = None, store: StoreOption = None) -> None:
    """Send again to a destination that was paused, also in its file."""
    settings = settings_from(data=data, store=store)
    _beside(settings, lambda opened: queue.set_paused(opened, name, False))
    typer.echo(f"{name} goes on")


@outbound_app.command("try")
def try_(
    name: Name,
    about: Annotated[str, typer.Argument(help="A resource, such as Encounter/ID, or a version.")],
    maps: Maps = None,
    data: Data = None,
    store: StoreOption = None,
) -> None:
    """Show the messages that a resource's latest change makes, and what they cannot say."""
    settings = settings_from(maps=maps, data=data, store=store)
    outlet = _files(settings).outlets.get(name)
    if outlet is None:
        fail(f"there is no destination {name}")

    async def made(opened: Store) -> list[tuple[str, tuple[str, ...]]]:
        base = app.base_url_of(settings, settings.port)
        return await preview(await app.services_of(settings, opened, base), outlet, about)

    try:
        found = _beside(settings, made)
    except LookupError as error:
        fail(str(error.args[0]))
    _tell(settings, about, f"try {name}")
    for text, notes in found:
        typer.echo(text)
        for note in notes:
            typer.echo(f"  note: {note}")
    if not found:
        typer.echo(f"{about} makes no message for {name}")


def _tell(settings: Settings, about: str, asked: str) -> None:
    """Leave word for audit of what is about to be shown: a message says what the record says."""
    base_url = app.base_url_of(settings, settings.port)

    async def leave(opened: Store) -> None:
        type_, id_, *_ = about.split("/")
        newest = await opened.read(SYSTEM, type_, id_) if about.count("/") == 1 else None
        place = f"{about}/_history/{newest.number}" if newest is not None else about
        words = [
            Word(
                app.now_us(), "R", looked.READ, app.operator(), (place,), patient,
                f"tellonce outbound {asked}", labels,
            )
            for patient, labels in await looked.subjects(opened, base_url, (place,))
        ]  # fmt: skip
        await opened.commit([], records=[word.left(new_id()) for word in words])

    _beside(settings, leave)


def _files(settings: Settings) -> Outbound:
    with refusals():
        return load_outbound(settings.maps, load_maps(settings.maps).tables)


def _beside(settings: Settings, what: Callable[[Store], Awaitable[T]]) -> T:
    async def inside() -> T:
        async with app.store_beside(settings) as store:
            return await what(store)

    with refusals():
        return anyio.run(inside)


def _told(settings: Settings, what: Callable[[Store], Awaitable[T]]) -> T:
    try:
        return _beside(settings, what)
    except (ValueError, LookupError) as error:
        fail(str(error.args[0]))
    except CommitConflict:
        fail("it was changed meanwhile; look again")


async def _got(own: Queue, id_: str) -> Message:
    found = await own.get(id_)
    if found is None:
        raise LookupError(f"{own.name} has no message {id_}")
    return found


def _message(settings: Settings, name: str, id_: str) -> Message:
    return _told(settings, lambda opened: _got(Queue(opened, name), id_))


async def _overview(opened: Store, found: Outbound) -> list[tuple[str, ...]]:
    made: list[tuple[str, ...]] = []
    for name, outlet in found.outlets.items():
        own = Queue(opened, name)
        counts, cursor = await own.counts(), await own.cursor()
        paused = await queue.is_paused(opened, name, default=outlet.destination.paused)
        record = await opened.get_record(queue.STATE, name)
        state = str(orjson.loads(record.value)["state"]) if record is not None else "not yet begun"
        sizes = [str(counts.get(one, 0)) for one in _COUNTED]
        upto = _time(cursor.at) if cursor is not None else ""
        made.append((name, *sizes, upto, "paused" if paused else state))
    return made


async def _rows(
    opened: Store, name: str, states: Sequence[queue.MessageState]
) -> list[tuple[str, ...]]:
    own = Queue(opened, name)
    found = [message for state in states async for message in own.walk(state)]
    return [
        (m.id, _time(m.at), m.type, m.state, m.about, m.reason, m.problem)
        for m in sorted(found, key=lambda message: message.id)
    ]


def _shown(message: Message) -> Iterator[tuple[str, str]]:
    yield "id", message.id
    yield "message", f"{message.type}, MSH-10 {message.control_id}, {message.size_bytes} bytes"
    yield "about", f"{message.about}, changed {_time(message.at)}"
    yield "state", f"{message.state} since {_time(message.updated)}"
    if message.reason or message.problem:
        yield "reason", f"{message.reason}: {message.problem}".removeprefix(": ")
    yield "tries", f"{message.attempts} answered, {message.unanswered} unanswered"
    if message.answer:
        yield "answer", message.answer
    for note in message.notes:
        yield "note", note


def _print(names: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=name in ("id", "destination"))
    for row in rows:
        table.add_row(*map(escape, row))
    width = None if os.isatty(1) else _NOT_A_TERMINAL
    Console(width=width, highlight=False).print(table)


def _time(us: int) -> str:
    return datetime.fromtimestamp(us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
