"""``tellonce map``: check, explain, test and compare maps.  No server and no store is needed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from mappings.cases import cases
from mappings.compare import map_changes, plan_changes
from mappings.feed import NAMESPACE
from mappings.maps import MapError, Maps, load_maps
from mappings.parse import Message, Unparsable, parse, split_messages
from mappings.plan import ExplainRow, Plan
from mappings.skeleton import skeleton
from mappings.spelling import hint
from server.commands.options import errors, fail, refusals
from server.fhir.json import dumps

map_app = typer.Typer(help="HL7v2 maps: check, explain, test, compare.", no_args_is_help=True)

Folders = Annotated[list[Path] | None, typer.Argument(help="Folders with site maps.")]
MapsOption = Annotated[
    list[Path] | None, typer.Option("--maps", help="Folder with site maps; repeatable.")
]
FeedName = Annotated[
    str,
    typer.Option("--feed", help="The feed that sent it; without it the only one of the maps."),
]
File = Annotated[Path, typer.Argument(help="A file with one HL7v2 message, or several.")]


@map_app.command()
def check(folders: Folders = None) -> None:
    """Check maps: every fault of every file, as file:line."""
    maps = _load(folders)
    named = sorted({name for name in maps.maps.values() if not name.startswith("base/")})
    site = f", of the site: {', '.join(named)}" if named else ""
    feeds = f"; feeds: {', '.join(maps.feeds)}" if maps.feeds else ""
    typer.echo(f"{len(maps.message_types)} message types, {len(maps.tables)} tables{site}{feeds}")
    for feed, name in sorted({(feed, name) for (feed, _), name in maps.maps.items() if feed}):
        if feed not in maps.feeds:
            near = hint(feed, maps.feeds)
            typer.echo(f"note: {name} is for feed {feed!r}, which no file describes{near}")


@map_app.command()
def explain(
    file: File,
    maps: MapsOption = None,
    feed: FeedName = "",
    resources: Annotated[
        bool, typer.Option("--resources", help="Show the resources as JSON.")
    ] = False,
    only: Annotated[
        str, typer.Option(help="Only rows of this resource or field: Patient, PID, PID-5.")
    ] = "",
) -> None:
    """Tell for every value of a message where it goes, and of the others why they go nowhere."""
    loaded = _load(maps)
    feed = feed or _only_feed(loaded)
    for number, message in enumerate(_messages(file)):
        plan = loaded.plan(message, loaded.feed(feed))
        if number:
            typer.echo("")
        for line in _explained(plan, loaded, message, feed, only):
            typer.echo(line)
        for one in plan.resources if resources else ():
            typer.echo(dumps(one.values).decode())


@map_app.command("test")
def run_cases(
    folders: Folders = None,
    record: Annotated[
        bool, typer.Option("--record", help="Write expect.yaml of cases that have none.")
    ] = False,
    feed: FeedName = "",
) -> None:
    """Run the cases in the folders' `cases`; exit code 1 when one is not as expected."""
    maps = _load(folders)
    found = cases(folders or [])
    failed = 0
    for case in found:
        if record and not (case.folder / "expect.yaml").exists():
            try:
                case.record(maps, feed or _only_feed(maps, "test"))
            except Unparsable as wrong:
                fail(f"{case.name}: {wrong.reason}")
            typer.echo(f"{case.name}: recorded, read it")
            continue
        told = case.differences(maps)
        failed += bool(told)
        for line in told:
            errors.print(line, markup=False)
    if failed:
        fail(f"{failed} of {len(found)} cases are not as expected")
    typer.echo(f"{len(found)} cases are as expected")


@map_app.command("new-feed")
def new_feed(
    name: Annotated[str, typer.Argument(help="The name of the feed.")],
    folder: Annotated[Path, typer.Option("--into", help="Where to write.")] = Path("site-maps"),
    base: Annotated[
        list[str] | None, typer.Option("--base", help="A map to begin with; repeatable.")
    ] = None,
) -> None:
    """Write the files that a new feed begins with; none that is there is overwritten."""
    if not name.replace("-", "").replace("_", "").isalnum():
        fail("a feed's name has letters, digits, - and _")
    bases = base or ["base/ADT"]
    known = {one for one in load_maps().trees if not one.startswith("base/parts/")}
    if wrong := [one for one in bases if one not in known]:
        fail(f"there is no map {wrong[0]}; there are {', '.join(sorted(known))}")
    with refusals():
        for path, text in skeleton(name, bases).items():
            file = folder / path
            if file.exists():
                typer.echo(f"{file} is there already")
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
            typer.echo(f"wrote {file}")


@map_app.command()
def diff(
    folders: Annotated[list[Path], typer.Argument(help="Folders with site maps.")],
    against: Annotated[
        list[Path] | None,
        typer.Option(help="The folders to compare with; without any, the packaged maps."),
    ] = None,
    message: Annotated[
        Path | None, typer.Option(help="Compare what becomes of these messages.")
    ] = None,
    feed: FeedName = "",
) -> None:
    """Show what site maps change: in the rules, or in what becomes of a message."""
    before, after = _load(against), _load(folders)
    if message is None:
        lines: Iterator[str] | list[str] = map_changes(before, after)
    else:
        found, feed = _messages(message), feed or _only_feed(after)
        lines = [line for one in found for line in plan_changes(before, after, one, feed)]
    shown = list(lines)
    for line in shown or ["no difference"]:
        typer.echo(line)


def _load(folders: list[Path] | None) -> Maps:
    try:
        return load_maps(folders or [])
    except MapError as error:
        _faults(error)


def _only_feed(maps: Maps, otherwise: str = "default") -> str:
    """Return whose messages these are when nobody says it: the one feed that the maps describe."""
    return maps.feeds[0] if len(maps.feeds) == 1 else otherwise


def _faults(error: MapError) -> NoReturn:
    for problem in sorted(error.problems, key=_place):
        errors.print(problem, markup=False)
    fail(f"{len(error.problems)} {'fault' if len(error.problems) == 1 else 'faults'} in the maps")


def _place(problem: str) -> tuple[str, int]:
    """Return file and line of a fault, in the order in which somebody mends them."""
    file, _, rest = problem.partition(":")
    line = rest.partition(":")[0]
    return file, int(line) if line.isdecimal() else 0


def _messages(file: Path) -> list[Message]:
    with refusals():
        data = file.read_bytes()
    try:
        return [parse(part) for part in split_messages(data) or [data]]
    except Unparsable as wrong:
        fail(f"{file}: {wrong.reason}")


def _explained(plan: Plan, maps: Maps, message: Message, feed: str, only: str) -> Iterator[str]:
    name = maps.name(message.type, feed)
    sent = f" of feed {feed}" if feed in maps.feeds else ""
    yield f"{message.type or 'no type'}{sent} by {name or 'no map'}, version {plan.map_version}"
    if plan.quarantine:
        yield f"quarantine: {plan.quarantine}: {plan.problem}"
    for one in plan.resources:
        found = " | ".join("&".join(f"{k}={v}" for k, v in pairs) for pairs in one.identity.any_of)
        if _wanted(only, one.label):
            yield f"{one.label} ({one.update}) found by {found}"
    for row in maps.explain(plan, message, feed):
        if _wanted(only, row.target, row.source):
            shown = f" {row.value!r}" if row.value else ""
            yield f"{row.target or '-'} <- {row.source or '-'} {row.how}{shown}"
    nobodys = dict.fromkeys(row.value for row in plan.explain if _is_nobodys(row))
    yield from (f"not in authorities of the feed: {system}" for system in nobodys if not only)
    yield from (f"warning: {warning}" for warning in plan.warnings)


def _is_nobodys(row: ExplainRow) -> bool:
    """Whether a system was made up for an assigning authority that the site does not map."""
    return row.how == "authority" and row.value.startswith(f"{NAMESPACE}:authority:")


def _wanted(only: str, *texts: str) -> bool:
    """Whether a row speaks of a resource, element or field; ``PID-5`` is not ``PID-50``."""
    if not only:
        return True
    below = (f"{only}.", f"{only}[", f"{only}-")
    return any(text == only or text.startswith(below) for text in texts)
