"""``tellonce backup``, ``restore``, ``verify`` and ``reindex``."""

from pathlib import Path

import anyio
import typer
from rich.progress import Progress

from server import app
from server.commands.options import Data, StoreOption, errors, fail, refusals, settings_from
from server.interactions import search_parameters
from server.settings import Settings


def backup(target: Path, data: Data = None, store: StoreOption = None) -> None:
    """Copy the whole record to a new file, consistently, also while a server runs."""
    settings = settings_from(data=data, store=store)
    if target.exists():
        fail(f"{target} exists; a backup never writes over a file")
    if not target.parent.is_dir():
        fail(f"{target.parent} is not a folder")

    async def copy() -> None:
        async with app.store_beside(settings) as opened:
            await opened.backup(str(target))

    with refusals():
        anyio.run(copy)
    typer.echo(f"{target}: {target.stat().st_size:,} bytes")


def restore(source: Path, data: Data = None, store: StoreOption = None) -> None:
    """Fill an empty MongoDB from the file of a backup, and make its index.

    The backup of the embedded store needs no command: it is the file itself.
    """
    settings = settings_from(data=data, store=store)

    async def filled() -> int:
        base_url = app.base_url_of(settings, settings.port)
        opened = app.open_store(settings, base_url)
        try:
            await app.start(opened)
            return await app.restore(opened, str(source))
        finally:
            await opened.close()

    with refusals(), Progress(transient=True, console=errors) as progress:
        versions = anyio.run(filled)
        anyio.run(_reindexed, settings, progress)
    typer.echo(f"{versions:,} versions restored")


def verify(data: Data = None, store: StoreOption = None) -> None:
    """Check every checksum, version chain and index row; exit code 1 when something is wrong."""
    settings = settings_from(data=data, store=store)

    async def check() -> list[str]:
        async with app.store_beside(settings) as opened:
            base_url = app.base_url_of(settings, settings.port)
            await search_parameters.adopt(await app.services_of(settings, opened, base_url))
            return await opened.verify()

    with refusals():
        faults = anyio.run(check)
        errors.print(f"looked at {app.address_of(settings)}", markup=False)
    for fault in faults:
        typer.echo(fault)
    if faults:
        raise typer.Exit(1)
    typer.echo("sound")


def reindex(data: Data = None, store: StoreOption = None) -> None:
    """Make all index rows current now, which a running server does by itself while it serves.

    For after an upgrade, before the server is started; stopped, it goes on where it was.
    """
    settings = settings_from(data=data, store=store)
    with refusals(), Progress(transient=True, console=errors) as progress:
        done = anyio.run(_reindexed, settings, progress)
    typer.echo(f"{done:,} resources indexed anew" if done else "the index is current")


async def _reindexed(settings: Settings, progress: Progress) -> int:
    base_url = app.base_url_of(settings, settings.port)
    async with app.store_alone(settings, base_url) as opened:
        services = await app.services_of(settings, opened, base_url)
        await search_parameters.load(services)
        left = todo = services.searchable.left or 0
        task = progress.add_task("indexing", total=todo)
        while left > 0:
            left = await opened.reindex()
            progress.update(task, completed=todo - left)
        await search_parameters.finished(services, services.catalog)
        return todo
