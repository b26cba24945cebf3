"""``tellonce inbox``: what an interface analyst does at the command line.

The store is opened beside a running server: looking needs nothing else, and a replay is asked of
the server, or, when none runs, of the next one to start.
"""

import os
import shutil
import textwrap
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import anyio
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mappings.maps import MapError, Maps, load_maps
from server import app
from server.audit.port import Action
from server.commands.options import Data, StoreOption, fail, refusals, settings_from
from server.feeds import explaining, looked
from server.feeds.inbox import STATES, Entry, Inbox, State
from server.feeds.looked import ADMINISTER, READ
from server.feeds.quarantine import Filter, dismiss, select, unmapped
from server.interactions.audit_later import Word
from server.settings import Settings
from server.store.port import CommitConflict, Store
from server.uuid7 import new_id

T = TypeVar("T")

FeedName = Annotated[str | None, typer.Option("--feed", help="Only messages of this feed.")]
Reason = Annotated[str | None, typer.Option(help="Only messages quarantined for this reason.")]
Type = Annotated[str | None, typer.Option("--type", help="ADT^A01, or ADT for all its events.")]
Since = Annotated[
    str | None, typer.Option(help="Received at or after 2026-03-01, or 2026-03-01T06:30Z.")
]
Until = Annotated[str | None, typer.Option(help="Received before this time.")]
MapVersion = Annotated[
    str | None, typer.Option("--map-version", help="Last read with these maps, as `show` tells.")
]
Id = Annotated[str, typer.Argument(help="A message id, as `list` shows it.")]

NARROW = 120  # columns; below, a message is some short lines and not a row of a table
_NOT_A_TERMINAL = 240

inbox_app = typer.Typer(help="HL7v2 messages: list, show, replay, dismiss.", no_args_is_help=True)


@inbox_app.command("list")
def list_(
    state: Annotated[str, typer.Option(help=f"{', '.join(STATES)} or all.")] = "quarantined",
    feed: FeedName = None,
    reason: Reason = None,
    type_: Type = None,
    since: Since = None,
    until: Until = None,
    map_version: MapVersion = None,
    data: Data = None,
    store: StoreOption = None,
) -> None:
    """List messages, oldest first, and how many there are of each state."""
    settings = settings_from(data=data, store=store)
    wanted = Filter(
        feed, states_of(state), reason, type_, moment(since), moment(until), map_version
    )
    entries = beside(settings, lambda _, inbox: select(inbox, wanted))
    width = shutil.get_terminal_size().columns if os.isatty(1) else _NOT_A_TERMINAL
    if width < NARROW:
        for line in short_lines(entries, width):
            typer.echo(line)
    else:
        _print(("id", "received", "feed", "type", "state", "reason", "problem"), _rows(entries))
    for name, states in beside(settings, lambda _, inbox: inbox.counts()).items():
        typer.echo(f"{name}: " + ", ".join(f"{n} {s}" for s, n in sorted(states.items())))


@inbox_app.command()
def show(
    id_: Id,
    explain: Annotated[bool, typer.Option("--explain", help="Where each value came from.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Only the bytes as received.")] = False,
    data: Data = None,
    store: StoreOption = None,
) -> None:
    """Show one message: its state, its problem, what it made."""
    settings = settings_from(data=data, store=store)
    entry = entry_of(settings, id_)
    if raw or explain:
        told(settings, entry, READ, "R", "show --raw" if raw else "show --explain")
    if raw:
        body = beside(settings, lambda _, inbox: inbox.received_body(entry))
        typer.get_binary_stream("stdout").write(body)
        return
    for name, value in _shown(entry):
        typer.echo(f"{name:<12} {value}")
    if explain:
        maps = _maps(settings)
        rows = beside(settings, lambda _, inbox: explaining.of_message(inbox, maps, entry))
        for row in rows:
            typer.echo(f"{row.target} <- {row.source} {row.how} {row.value}".rstrip())


@inbox_app.command("dismiss")
def dismiss_(
    id_: Id,
    reason: Annotated[str, typer.Option(help="Why; kept with the message.")],
    data: Data = None,
    store: StoreOption = None,
) -> None:
    """Decide that a message in quarantine shall never be applied; it is kept."""
    settings = settings_from(data=data, store=store)
    entry = entry_of(settings, id_)
    told(settings, entry, ADMINISTER, "U", "dismiss")
    try:
        beside(settings, lambda opened, inbox: dismiss(opened, inbox, entry, reason, now_us()))
    except ValueError as error:
        fail(str(error))
    except CommitConflict:
        fail(f"message {id_} was changed meanwhile; look at it again")
    typer.echo(f"{id_} is dismissed; `tellonce inbox list --state dismissed` lists it")


@inbox_app.command("unmapped")
def unmapped_(feed: FeedName = None, data: Data = None, store: StoreOption = None) -> None:
    """List codes and authorities that no table knows, the most frequent first.

    Each message counts once.
    """
    found = beside(
        settings_from(data=data, store=store), lambda _, inbox: unmapped(inbox, feed=feed)
    )
    _print(
        ("messages", "feed", "table and code", "last message", "received"),
        [(str(o.messages), o.feed, o.code, o.last.id, _time(o.last.received)) for o in found],
    )


def short_lines(entries: Sequence[Entry], width: int) -> Iterator[str]:
    """Yield what fits a narrow terminal: a line for each message, then why it is there."""
    for e in entries:
        yield f"{e.id}  {_time(e.received)}  {e.feed}  {e.type}".rstrip()
        said = f"{e.state} {e.reason}: {e.dismissed or e.problem}".removesuffix(": ").rstrip()
        yield from textwrap.wrap(said, width, initial_indent="    ", subsequent_indent="    ")


def beside(settings: Settings, what: Callable[[Store, Inbox], Awaitable[T]]) -> T:
    """Return what ``what(store, inbox)`` returns, with the store open beside any server."""

    async def inside() -> T:
        async with app.store_beside(settings) as store:
            return await what(store, Inbox(store, now=now_us, new_id=lambda: ""))

    with refusals():
        return anyio.run(inside)


def told(
    settings: Settings,
    entry: Entry,
    interaction: str,
    action: Action,
    asked: str,
    shown: Sequence[dict[str, Any]] = (),
) -> None:
    """Leave word for audit of what is done with a message, before it is done.

    ``shown``: resources that the operator sees and that are in no version.
    """
    base_url = app.base_url_of(settings, settings.port)

    async def leave(store: Store) -> None:
        found = await looked.concerned(store, base_url, entry, shown)
        said = interaction, app.operator(), (looked.name_of(entry),)
        words = [
            Word(now_us(), action, *said, patient, f"tellonce inbox {asked}", labels)
            for patient, labels in found
        ]
        await store.commit([], records=[word.left(new_id()) for word in words])

    beside(settings, lambda opened, _: leave(opened))


def entry_of(settings: Settings, id_: str) -> Entry:
    """Return the message, or end with what is wrong."""
    found = beside(settings, lambda _, inbox: inbox.get(id_))
    if found is None:
        fail(f"there is no message {id_}")
    return found


def moment(text: str | None) -> int | None:
    """Return a date or time in microseconds since 1970; without a zone it is UTC."""
    if text is None:
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{text!r} is not a date or time, such as 2026-03-01 or 2026-03-01T06:30Z")
    return int((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()) * 1_000_000


def now_us() -> int:
    """Return the time in microseconds since 1970-01-01T00:00:00Z."""
    return time.time_ns() // 1000


def _maps(settings: Settings) -> Maps:
    """Return the maps of the site; those of the package, which planned nothing, if unusable."""
    try:
        return load_maps(settings.maps)
    except (MapError, OSError):
        return load_maps()


def _rows(entries: Sequence[Entry]) -> Iterator[tuple[str, ...]]:
    for e in entries:
        yield (
            e.id, _time(e.received), e.feed, e.type, e.state, e.reason, e.dismissed or e.problem,
        )  # fmt: skip


def _print(names: Sequence[str], rows: Iterator[tuple[str, ...]] | list[tuple[str, ...]]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=name in ("id", "received"))
    for row in rows:
        table.add_row(*map(escape, row))
    width = None if os.isatty(1) else _NOT_A_TERMINAL
    Console(width=width, highlight=False).print(table)


def _shown(entry: Entry) -> Iterator[tuple[str, str]]:
    yield "id", entry.id
    yield "received", _time(entry.received)
    yield "feed", f"{entry.feed} ({entry.mode})"
    yield "message", f"{entry.type} from {entry.sender}, MSH-10 {entry.control_id}"
    yield "size", f"{entry.size_bytes} bytes, SHA-256 {entry.sha256}"
    yield "state", f"{entry.state} after {entry.attempts} attempts"
    if entry.reason:
        yield "reason", f"{entry.reason}: {entry.problem}"
    if entry.reused_id:
        yield "warning", "its sender had used this MSH-10 for another message before"
    if entry.dismissed:
        yield "dismissed", entry.dismissed
    if entry.edits:
        yield "edited", f"{entry.edits} times"
    for name in ("issues", "warnings", "unmapped", "produced"):
        for value in getattr(entry, name):
            yield name, value
    yield "maps", entry.map_version
    yield "answer", entry.ack.decode("latin-1").replace("\r", " ").strip()


def states_of(text: str) -> tuple[State, ...]:
    """Return the states that ``--state`` names."""
    chosen = tuple(state for state in STATES if text in ("all", state))
    if not chosen:
        fail(f"--state is one of {', '.join(STATES)}, all")
    return chosen


def _time(us: int) -> str:
    return datetime.fromtimestamp(us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
