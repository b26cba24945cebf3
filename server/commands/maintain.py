"""``tellonce backup`` and ``tellonce verify``."""

from pathlib import Path

import anyio
import typer

from server import app
from server.commands.options import Data, StoreOption, fail, refusals, settings_from
from server.interactions import search_parameters


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
    for fault in faults:
        typer.echo(fault)
    if faults:
        raise typer.Exit(1)
    typer.echo("sound")
