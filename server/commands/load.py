"""``tellonce load``: files into the record, of this machine or of a running server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from mappings.maps import load_maps
from server import app
from server.commands.loading.loader import Advance, Loader, Receive, Report
from server.commands.loading.sources import Source, UnreadableSource, sources
from server.commands.loading.targets import HttpTarget, StoreTarget
from server.commands.options import Data, StoreOption, errors, fail, refusals, settings_from
from server.feeds.header import read_header
from server.feeds.service import FeedService
from server.fhir.errors import InvalidRequest, StoreUnavailable
from server.interactions import search_parameters
from server.interactions.services import Services
from server.settings import Settings
from server.store.port import Store

TOLD_FAILURES = 50

Paths = Annotated[list[Path], typer.Argument(help="Files or folders, in the order to be loaded.")]
Url = Annotated[str | None, typer.Option(help="FHIR address of a running server.")]
Token = Annotated[
    str | None, typer.Option(envvar="TELLONCE_TOKEN", help="Its token; better in the environment.")
]


def load(
    paths: Paths,
    data: Data = None,
    store: StoreOption = None,
    url: Url = None,
    token: Token = None,
) -> None:
    """Load Bundles, resources, NDJSON and HL7v2 files (.gz, .bz2 and .xz too), resuming by itself.

    Without --url the record in the data folder is written, which no server may have open.
    Exit code 1 when anything was not loaded.
    """
    settings = settings_from(data=data, store=store)
    try:
        found = sources(paths)
        target = HttpTarget(url, token) if url else None
    except (UnreadableSource, InvalidRequest) as error:
        fail(str(error))
    with refusals(), _progress(found) as advance:
        if target is not None:
            report = asyncio.run(_over_http(target, found, advance))
        else:
            report = asyncio.run(_into_store(settings, found, advance))
    tell(report)
    if report.failures:
        raise typer.Exit(1)


async def _over_http(target: HttpTarget, found: list[Source], advance: Advance) -> Report:
    return await Loader(target, marks=None, receive=_no_feed, advance=advance).load(found)


async def _no_feed(content: bytes) -> str | None:
    return "HL7v2 goes to a running server over MLLP; without --url it can be loaded from files"


async def _into_store(settings: Settings, found: list[Source], advance: Advance) -> Report:
    base_url = app.base_url_of(settings, settings.port)
    async with _open(settings, base_url) as store:
        services = await app.services_of(settings, store, base_url)
        await search_parameters.adopt(services)
        async with _feed(settings, services) as receive:
            loader = Loader(StoreTarget(services), marks=store, receive=receive, advance=advance)
            return await loader.load(found)


@asynccontextmanager
async def _open(settings: Settings, base_url: str) -> AsyncIterator[Store]:
    """Open the store, a new one if need be; say what to do when a server has the record open."""
    store = None
    try:
        store = app.open_store(settings, base_url)
        await app.start(store)
    except StoreUnavailable as error:
        if store is not None:
            await store.close()
        if not app.address_of(settings).embedded or not settings.store_file.exists():
            raise
        raise StoreUnavailable(f"{error}; load through a running server with --url") from error
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def _feed(settings: Settings, services: Services) -> AsyncIterator[Receive]:
    """Give what hands a message to the inbox and waits until it is applied, or is not."""
    maps = load_maps(settings.maps)
    # old messages in bulk: nothing goes out because of them
    feed = replace(maps.feed(settings.mllp_feed), mode="backload")
    service = FeedService(services, maps, [], keep_days=settings.inbox_days)
    await service.start()

    async def receive(content: bytes) -> str | None:
        receipt = await service.inbox.receive(feed, content, read_header(content))
        entry = receipt.entry
        if not receipt.repeated:
            job = await service.enqueue(entry, content)
            await job.done
            entry = job.entry
        return (
            None if entry.state == "applied" else f"{entry.state}: {entry.reason}: {entry.problem}"
        )

    try:
        yield receive
    finally:
        await service.stop()


def tell(report: Report) -> None:
    """Print what was loaded, what was there before, and what failed and why."""
    console = Console(highlight=False, soft_wrap=True)
    parts = [counted(report.resources, "resource")]
    if report.messages:
        parts.append(counted(report.messages, "HL7v2 message"))
    console.print(f"loaded {' and '.join(parts)} from {counted(report.files, 'file')}")
    if report.before:
        before = counted(report.before, "part")
        console.print(f"left out {before}: an earlier load has stored what is in there")
    for failure in report.failures[:TOLD_FAILURES]:
        errors.print(f"not loaded: {failure}", markup=False)
    if len(report.failures) > TOLD_FAILURES:
        errors.print(f"and {len(report.failures) - TOLD_FAILURES:,} more were not loaded")


def counted(number: int, thing: str) -> str:
    """Return the number with its noun.

    >>> counted(1, "file"), counted(1200, "file")
    ('1 file', '1,200 files')
    """
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


@contextmanager
def _progress(found: list[Source]) -> Iterator[Advance]:
    """Show a bar over the bytes of all files; nothing when stderr is no terminal."""
    columns = (BarColumn(), TaskProgressColumn(), DownloadColumn(), TimeRemainingColumn())
    bar = Progress(
        TextColumn("{task.description}"), *columns, console=errors, disable=not errors.is_terminal
    )
    with bar:
        task = bar.add_task("loading", total=sum(source.size_bytes for source in found))
        read: dict[Path, int] = {}

        def advance(source: Source, read_bytes: int) -> None:
            # a file that is tried again does not count twice
            read[source.path] = max(read.get(source.path, 0), read_bytes)
            bar.update(task, completed=sum(read.values()), description=source.path.name)

        yield advance
