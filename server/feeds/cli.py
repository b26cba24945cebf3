"""``tellonce inbox``: what an interface analyst does at the command line.

The store is opened beside a running server: looking needs nothing else, and a replay is asked of
the server, or, when none runs, of the next one to start.
"""

import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import anyio
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mappings.maps import MapError, load_maps
from mappings.maps import Maps as LoadedMaps
from server.feeds.inbox import STATES, Entry, Inbox, State
from server.feeds.quarantine import DryRun, ask_replay, dismiss, dry_run, select, unmapped
from server.fhir.errors import StoreUnavailable
from server.interactions.services import Services
from server.search import extract
from server.search.rows import IndexRows
from server.store.port import CommitConflict, CorruptStore, NewerSchema, Store
from server.store.sqlite import SqliteStore

inbox_app = typer.Typer(help="HL7v2 messages: list, show, replay, dismiss.", no_args_is_help=True)
_errors = Console(stderr=True, highlight=False, soft_wrap=True)

Data = Annotated[Path, typer.Option(envvar="TELLONCE_DATA", help="Folder of the embedded store.")]
Maps = Annotated[list[Path] | None, typer.Option(help="Folder with site maps; repeatable.")]
FeedName = Annotated[str | None, typer.Option(help="Only messages of this feed.")]
Reason = Annotated[str | None, typer.Option(help="Only messages quarantined for this reason.")]
Id = Annotated[str, typer.Argument(help="A message id, as `list` shows it.")]
_DATA = Path("tellonce-data")


@inbox_app.command("list")
def list_(
    state: Annotated[str, typer.Option(help=f"{', '.join(STATES)} or all.")] = "quarantined",
    feed: FeedName = None,
    reason: Reason = None,
    data: Data = _DATA,
) -> None:
    """List messages, oldest first, and how many there are of each state."""
    entries = _run(
        data, lambda _, inbox: select(inbox, feed=feed, states=_states(state), reason=reason)
    )
    table = Table(box=None, pad_edge=False)
    for name in ("id", "received", "feed", "type", "state", "reason", "problem"):
        table.add_column(name, overflow="fold", no_wrap=name in ("id", "received"))
    for e in entries:
        row = e.id, _time(e.received), e.feed, e.type, e.state, e.reason, e.dismissed or e.problem
        table.add_row(*map(escape, row))
    Console(width=None if os.isatty(1) else 240, highlight=False).print(table)
    for name, states in _run(data, lambda _, inbox: inbox.counts()).items():
        typer.echo(f"{name}: " + ", ".join(f"{n} {s}" for s, n in sorted(states.items())))


@inbox_app.command()
def show(
    id_: Id,
    explain: Annotated[bool, typer.Option("--explain", help="Where each value came from.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Only the bytes as received.")] = False,
    data: Data = _DATA,
) -> None:
    """Show one message: its state, its problem, what it made."""
    entry = _entry(data, id_)
    if raw:
        body = _run(data, lambda _, inbox: inbox.received_body(entry))
        typer.get_binary_stream("stdout").write(body)
        return
    for name, value in _shown(entry):
        typer.echo(f"{name:<12} {value}")
    if explain:
        told = _run(data, lambda _, inbox: inbox.explain(id_)) or {}
        for target, source, how, value in told.get("explain", ()):
            typer.echo(f"{target} <- {source} {how} {value}".rstrip())


@inbox_app.command()
def replay(
    id_: Annotated[str | None, typer.Argument(help="A message id.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All in quarantine.")] = False,
    reason: Reason = None,
    feed: FeedName = None,
    edited: Annotated[Path | None, typer.Option(help="Bytes to apply instead.")] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Show what it would do.")] = False,
    maps: Maps = None,
    data: Data = _DATA,
) -> None:
    """Apply messages again with the current maps; the record is changed by the server alone."""
    if (id_ is None) == (not every):
        _fail("name one message, or give --all")
    if edited is not None and id_ is None:
        _fail("--edited is for one message")
    with _refusals():
        body = edited.read_bytes() if edited is not None else b""
    known = _maps(maps or []) if dry else None
    if id_ is not None:
        chosen = [_entry(data, id_)]
    else:
        chosen = _run(
            data, lambda _, box: select(box, feed=feed, states=("quarantined",), reason=reason)
        )
    if known is not None:
        for entry in chosen:
            _dry(data, entry, body, known)
        return
    _run(data, lambda store, _: ask_replay(store, [entry.id for entry in chosen], body))
    typer.echo(f"{len(chosen)} messages will be applied again by the server, within seconds,")
    typer.echo("or when it starts; `tellonce inbox list` shows what became of them")


@inbox_app.command("dismiss")
def dismiss_(
    id_: Id,
    reason: Annotated[str, typer.Option(help="Why; kept with the message.")],
    data: Data = _DATA,
) -> None:
    """Decide that a message in quarantine shall never be applied; it is kept."""
    entry = _entry(data, id_)
    try:
        _run(data, lambda store, inbox: dismiss(store, inbox, entry, reason, _now()))
    except ValueError as error:
        _fail(str(error))
    except CommitConflict:
        _fail(f"message {id_} was changed meanwhile; look at it again")
    typer.echo(f"{id_} is dismissed; `tellonce inbox list --state dismissed` lists it")


@inbox_app.command("unmapped")
def unmapped_(feed: FeedName = None, data: Data = _DATA) -> None:
    """List codes that no table knows, the most frequent first; each message counts once."""
    table = Table(box=None, pad_edge=False)
    for name in ("messages", "feed", "table and code", "last message", "received"):
        table.add_column(name, overflow="fold")
    for one in _run(data, lambda _, inbox: unmapped(inbox, feed=feed)):
        row = str(one.messages), one.feed, one.code, one.last.id, _time(one.last.received)
        table.add_row(*map(escape, row))
    Console(width=None if os.isatty(1) else 240, highlight=False).print(table)


def _maps(folders: list[Path]) -> LoadedMaps:
    try:
        return load_maps(folders)
    except MapError as error:
        _fail(str(error))


def _dry(data: Path, entry: Entry, edited: bytes, maps: LoadedMaps) -> None:
    async def run(store: Store, inbox: Inbox) -> DryRun:
        services = Services(store, "", _now, _no_id, b"")
        return await dry_run(services, maps, entry, edited or await inbox.body(entry))

    done = _run(data, run)
    if done.refused is not None:
        typer.echo(f"{entry.id} quarantine: {done.refused.reason}: {done.refused.problem}")
        for issue in done.refused.issues:
            typer.echo(f"  {issue}")
    for version, resource in zip(done.writes, done.resources, strict=True):
        typer.echo(f"{entry.id} would write {version}")
        typer.echo(json.dumps(resource, indent=2, ensure_ascii=False, default=str))
    if done.refused is None and not done.writes:
        typer.echo(f"{entry.id} would change nothing")
    for warning in done.warnings:
        typer.echo(f"  warning: {warning}")
    for row in done.plan.explain if done.plan is not None else ():
        typer.echo(f"  {row.target} <- {row.source} {row.how} {row.value}".rstrip())


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


def _states(text: str) -> tuple[State, ...]:
    chosen = tuple(state for state in STATES if text in ("all", state))
    if not chosen:
        _fail(f"--state is one of {', '.join(STATES)}, all")
    return chosen


def _entry(data: Path, id_: str) -> Entry:
    found: Entry | None = _run(data, lambda _, inbox: inbox.get(id_))
    if found is None:
        _fail(f"there is no message {id_}")
    return found


def _run(data: Path, what: Any) -> Any:
    """Return what ``what(store, inbox)`` returns, with the store open beside any server."""

    async def inside() -> Any:
        async with _beside(data) as store:
            return await what(store, Inbox(store, now=_now, new_id=_no_id))

    with _refusals():
        return anyio.run(inside)


@asynccontextmanager
async def _beside(data: Path) -> AsyncIterator[Store]:
    file = data / "record.db"
    if not file.exists():
        _fail(f"{file} is not there; name the server's folder with --data")
    store = SqliteStore(file, now=_now, index=_index, fingerprint="", beside=True)
    try:
        yield store
    finally:
        await store.close()


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except (NewerSchema, CorruptStore, StoreUnavailable) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'the data'}: {error.strerror or error}")


def _fail(message: str) -> NoReturn:
    _errors.print(f"tellonce: {message}", markup=False)
    raise typer.Exit(1)


def _index(resource: dict[str, Any]) -> tuple[IndexRows, tuple[str, ...]]:
    return extract.index_rows(resource), extract.compartments(resource)


def _time(us: int) -> str:
    return datetime.fromtimestamp(us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _now() -> int:
    return int(datetime.now(UTC).timestamp() * 1e6)


def _no_id() -> str:
    return "00000000-0000-7000-8000-000000000000"  # for what is shown and never written
