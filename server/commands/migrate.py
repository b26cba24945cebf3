"""``tellonce migrate``: move a whole record into another store, such as from a file to MongoDB."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from server import app
from server.commands.options import errors, fail, refusals, settings_from
from server.interactions import search_parameters
from server.settings import Settings
from server.store import moving

_SAID = {
    "versions": "versions",
    "records": "the server's own records",
    "index": "the index",
    "compare": "compared",
}

From = Annotated[str, typer.Option("--from", help="sqlite:PATH or mongodb://HOST/DATABASE.")]
To = Annotated[str, typer.Option("--to", help="An empty store; or one that this has begun.")]


def migrate(from_: From, to: To) -> None:
    """Move everything to an empty store: history, users, messages, the audit chain.

    No server may use either of them.  Stopped, it goes on where it was when it is called again;
    it compares counts and checksums at the end, and a server takes the new store only after that.
    An address ``@FILE`` is read from a file: it may hold a password.
    """
    source, target = _settings(from_), _settings(to)
    if str(source.store) == str(target.store):
        fail("--from and --to are the same store")
    with refusals():
        counts = asyncio.run(_moved(source, target))
    records = counts.pop("records", 0)
    versions = sum(counts.values())
    for type_, number in counts.items():
        typer.echo(f"{number:>12,} {type_}")
    typer.echo(f"{versions:,} versions and {records:,} records moved, the same in both stores")
    errors.print("the old store is as it was: name the new one to the server and to every command")


def _settings(said: str) -> Settings:
    """Return the settings with that store; ``sqlite:PATH`` is short for ``sqlite:///PATH``."""
    if said.startswith("sqlite:") and not said.startswith("sqlite://"):
        said = f"sqlite:///{said.removeprefix('sqlite:')}"
    return settings_from(store=said)


async def _moved(from_: Settings, to: Settings) -> dict[str, int]:
    counts: dict[str, int] = {}
    base_url = app.base_url_of(from_, from_.port)
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(app.side(from_, base_url, there=True))
        target = await stack.enter_async_context(app.side(to, base_url, there=False))
        await moving.begin(source, target, app.now_us())
        # The search parameters of the record make the new index as well.
        catalog = await search_parameters.stored(source.store, from_.time_zone)
        index = search_parameters.index(base_url, catalog)
        name = search_parameters.fingerprint(base_url, catalog)
        target.store.use_index(index, name, catalog)
        with _bar() as bar:
            await _shown(bar, moving.copy(source, target))
            await _shown(bar, moving.index(target))
            await _shown(bar, moving.compare(source, target, app.now_us(), counts))
        await moving.finish(target)
    return counts


async def _shown(bar: Progress, steps: AsyncIterator[moving.Progress]) -> None:
    tasks = {}
    async for step in steps:
        if step.doing not in tasks:
            tasks[step.doing] = bar.add_task(_SAID[step.doing], total=step.total or None)
        bar.update(tasks[step.doing], completed=step.done, total=step.total or None)


def _bar() -> Progress:
    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(
        TextColumn("{task.description}"),
        *columns,
        console=errors,
        disable=not errors.is_terminal,
    )
