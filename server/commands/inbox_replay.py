"""``tellonce inbox replay``: apply messages again, or see what that would do."""

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated

import anyio
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mappings.maps import Maps as LoadedMaps
from mappings.maps import load_maps
from mappings.plan import ExplainRow
from server import app
from server.commands.inbox import (
    FeedName,
    MapVersion,
    Reason,
    Since,
    Type,
    Until,
    beside,
    entry_of,
    inbox_app,
    moment,
    now_us,
    states_of,
    told,
)
from server.commands.options import Data, StoreOption, fail, refusals, settings_from
from server.feeds import explaining
from server.feeds.inbox import REPLAY, STATES, Entry, Inbox
from server.feeds.looked import ADMINISTER, READ
from server.feeds.quarantine import DryRun, Filter, Summary, ask_replay, dry_run, select
from server.fhir.errors import Conflict
from server.interactions.audit_later import Word
from server.interactions.services import Services
from server.settings import Settings
from server.store.port import Store
from server.uuid7 import new_id

__all__ = ["inbox_app"]

POLL_S = 0.5
TOLD_CODES = 20
_NEVER_WRITTEN = "00000000-0000-7000-8000-000000000000"  # the id of what a dry run makes

Maps = Annotated[list[Path] | None, typer.Option(help="Folder with site maps; repeatable.")]


@inbox_app.command()
def replay(
    id_: Annotated[str | None, typer.Argument(help="A message id.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that the options below name.")] = False,
    state: Annotated[
        str, typer.Option(help=f"With --all: {', '.join(STATES)} or all.")
    ] = "quarantined",
    reason: Reason = None,
    feed: FeedName = None,
    type_: Type = None,
    since: Since = None,
    until: Until = None,
    map_version: MapVersion = None,
    edited: Annotated[Path | None, typer.Option(help="Bytes to apply instead.")] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Show what it would do.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until the server has taken them up.")] = False,
    maps: Maps = None,
    data: Data = None,
    store: StoreOption = None,
) -> None:
    """Apply messages again with the current maps; the record is changed by the server alone."""
    if (id_ is None) == (not every):
        fail("name one message, or give --all")
    if edited is not None and id_ is None:
        fail("--edited is for one message")
    settings = settings_from(data=data, store=store)
    with refusals():
        body = edited.read_bytes() if edited is not None else b""
        known = load_maps(maps or settings.maps) if dry else None
    if id_ is not None:
        chosen = [entry_of(settings, id_)]
    else:
        wanted = Filter(
            feed, states_of(state), reason, type_, moment(since), moment(until), map_version
        )
        chosen = beside(settings, lambda _, inbox: select(inbox, wanted))
    if known is None:
        if id_ is not None:
            told(settings, chosen[0], ADMINISTER, "E", "replay --edited" if body else "replay")
        else:
            _told_of_many(settings, chosen)
        _ask(settings, chosen, body, wait=wait)
    elif id_ is not None:
        one, maps_ = chosen[0], known
        done = beside(settings, lambda o, box: _dry_one(settings, maps_, o, box, one, body))
        told(settings, one, READ, "R", "replay --dry-run", done.resources)
        planned = body or beside(settings, lambda _, box: box.body(one))
        _show(one, done, explaining.of_plan(known, done.plan, planned, one.feed))
    else:
        every_map = known
        _tell(beside(settings, lambda o, box: _dry_all(settings, every_map, o, box, chosen)))


def _told_of_many(settings: Settings, chosen: list[Entry]) -> None:
    """Leave word for audit that many are applied again; whom each concerns is told then."""
    asked = f"tellonce inbox replay --all: {len(chosen)} messages"
    word = Word(now_us(), "E", ADMINISTER, app.operator(), query=asked)
    beside(settings, lambda opened, _: opened.commit([], records=[word.left(new_id())]))


def _ask(settings: Settings, chosen: list[Entry], body: bytes, *, wait: bool) -> None:
    ids = [entry.id for entry in chosen]
    try:
        beside(settings, lambda opened, _: ask_replay(opened, ids, body))
    except Conflict as error:
        fail(error.diagnostics)
    if wait:
        beside(settings, lambda opened, _: _taken_up(opened, set(ids)))
        typer.echo(f"the server has taken up {len(chosen)} messages")
        return
    typer.echo(f"{len(chosen)} messages will be applied again by the server, within seconds,")
    typer.echo("or when it starts; `tellonce inbox list` shows what became of them")


async def _taken_up(store: Store, ids: set[str]) -> None:
    """Return when the server has queued them all; Ctrl-C leaves them asked for."""
    with _progress() as progress:
        task = progress.add_task("applied again", total=len(ids))
        while left := [key async for key in _asked(store) if key in ids]:
            progress.update(task, completed=len(ids) - len(left))
            await anyio.sleep(POLL_S)
        progress.update(task, completed=len(ids))


async def _asked(store: Store) -> AsyncIterator[str]:
    after = ""
    while page := await store.find_records(REPLAY, after=after):
        for record in page:
            yield record.key
        after = page[-1].key


async def _dry_one(
    settings: Settings, maps: LoadedMaps, store: Store, inbox: Inbox, entry: Entry, edited: bytes
) -> DryRun:
    base_url = app.base_url_of(settings, settings.port)
    services = Services(store, base_url, now_us, lambda: _NEVER_WRITTEN, b"")
    return await dry_run(services, maps, entry, edited or await inbox.body(entry))


async def _dry_all(
    settings: Settings, maps: LoadedMaps, store: Store, inbox: Inbox, chosen: list[Entry]
) -> Summary:
    """Return what applying them would come to, each alone against the record of this moment."""
    summary = Summary()
    with _progress() as progress:
        for entry in progress.track(chosen, description="dry run"):
            summary.add(await _dry_one(settings, maps, store, inbox, entry, b""))
    return summary


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _tell(summary: Summary) -> None:
    typer.echo(f"{summary.messages} messages: {summary.applied} would change the record,")
    typer.echo(
        f"{summary.unchanged} would change nothing, {summary.refused.total()} would be refused"
    )
    for type_, number in summary.writes.most_common():
        typer.echo(f"  {number:>7} versions of {type_}")
    for reason, number in summary.refused.most_common():
        typer.echo(f"  {number:>7} to quarantine: {reason}")
    for code, number in summary.unmapped.most_common(TOLD_CODES):
        typer.echo(f"  {number:>7} without a row: {code}")


def _show(entry: Entry, done: DryRun, rows: Sequence[ExplainRow]) -> None:
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
    for row in rows:
        typer.echo(f"  {row.target} <- {row.source} {row.how} {row.value}".rstrip())
