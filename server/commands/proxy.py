"""``tellonce proxy``: who acts for a patient, and why."""

from typing import Annotated

import typer

from server.auth.proxies import BASES, Proxies
from server.auth.records import Proxy
from server.commands.beside import beside, missing
from server.commands.options import Data, StoreOption, errors
from server.store.port import Store

proxy_app = typer.Typer(help="Who acts for a patient, and why.", no_args_is_help=True)

Related = Annotated[str, typer.Argument(metavar="RelatedPerson/x")]
Patient = Annotated[str, typer.Argument(metavar="Patient/y")]


@proxy_app.command()
def add(
    related_person: Related,
    patient: Patient,
    basis: Annotated[str, typer.Option(help=", ".join(BASES))],
    scope: Annotated[str, typer.Option(help="What it covers, at most.")] = "patient/*.rs",
    from_: Annotated[str | None, typer.Option("--from", help="First day: 2026-11-22.")] = None,
    until: Annotated[str | None, typer.Option(help="Last day, in the facility's zone.")] = None,
    data: Data = None,
    store: StoreOption = None,
) -> None:
    """Let a RelatedPerson act for a patient; ages and RelatedPerson.period bound it as well."""
    proxy = Proxy(related_person, patient, basis, scope, from_, until)

    async def keep(opened: Store) -> list[str]:
        await Proxies(opened).add(proxy)
        return await missing(opened, related_person, patient)

    absent = beside(keep, data=data, store=store)
    typer.echo(f"proxy {_line(proxy)}  added")
    for reference in absent:
        errors.print(f"note: {reference} is not in the record yet", markup=False)


@proxy_app.command("list")
def list_(data: Data = None, store: StoreOption = None) -> None:
    """List who acts for whom."""

    async def look(opened: Store) -> list[Proxy]:
        return await Proxies(opened).list()

    for proxy in beside(look, data=data, store=store):
        typer.echo(_line(proxy))


@proxy_app.command()
def remove(
    related_person: Related,
    patient: Annotated[str | None, typer.Argument(metavar="[Patient/y]")] = None,
    data: Data = None,
    store: StoreOption = None,
) -> None:
    """Take it back; a running server knows within two seconds."""

    async def take(opened: Store) -> Proxy:
        return await Proxies(opened).remove(related_person, patient)

    gone = beside(take, data=data, store=store)
    typer.echo(f"proxy {gone.related_person}  {gone.patient}  removed")


def _line(proxy: Proxy) -> str:
    start = f"from {proxy.start}" if proxy.start else ""
    end = f"until {proxy.end}" if proxy.end else ""
    said = (proxy.related_person, proxy.patient, proxy.basis, proxy.scope, start, end)
    return "  ".join(filter(None, said))
