"""``tellonce audit``: whether the audit is as it was written."""

from typing import Annotated

import anyio
import typer
from rich.progress import Progress

from server import app
from server.commands.options import Data, StoreOption, errors, fail, refusals, settings_from
from server.interactions.audit_seal import Checked
from server.interactions.audit_seal import latest as latest_seal
from server.interactions.audit_seal import verify as checked
from server.settings import Settings

audit_app = typer.Typer(
    help="Check the chain over the AuditEvents.", no_args_is_help=True, add_completion=False
)

Head = Annotated[
    str | None,
    typer.Option(help="A digest that was logged or noted earlier; the chain must still have it."),
]


@audit_app.command()
def verify(data: Data = None, store: StoreOption = None, head: Head = None) -> None:
    """Check every seal over the AuditEvents; exit code 1, and where it begins, if one is broken.

    Also while a server runs.  Events of the last second are not sealed yet.
    """
    if head is not None and not (len(head) == 64 and set(head) <= set("0123456789abcdef")):
        fail("--head: a digest is 64 letters, 0 to 9 and a to f")
    settings = settings_from(data=data, store=store)
    with refusals(), Progress(transient=True, console=errors) as progress:
        done = anyio.run(_verified, settings, head, progress)
    if done.told is not None:
        typer.echo(done.told)
        raise typer.Exit(1)
    typer.echo(f"sound: {done.events:,} events in {done.seals:,} seals, head {done.head or '-'}")


async def _verified(settings: Settings, head: str | None, progress: Progress) -> Checked:
    done = Checked(0, 0, "")
    async with app.store_beside(settings) as opened:
        last = await latest_seal(opened)
        task = progress.add_task("checking", total=last.number if last is not None else 0)
        async for done in checked(opened, head=head):
            progress.update(task, completed=done.seals)
    return done
