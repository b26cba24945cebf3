"""All commands, as one command line."""

from importlib import metadata
from typing import Annotated

import typer

from server.commands.access import access_app
from server.commands.audit import audit_app
from server.commands.client import client_app
from server.commands.demo import demo
from server.commands.fhirpath import fhirpath
from server.commands.inbox_replay import inbox_app
from server.commands.key import key_app
from server.commands.load import load
from server.commands.maintain import backup, reindex, restore, verify
from server.commands.map import map_app
from server.commands.migrate import migrate
from server.commands.outbound import outbound_app
from server.commands.proxy import proxy_app
from server.commands.serve import serve
from server.commands.token import token_app
from server.commands.user import user_app

cli = typer.Typer(
    name="tellonce",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # locals may hold patients' data
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tellonce {metadata.version('tellonce')}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", help="Say the version.", is_eager=True, callback=_tell_version)
]


@cli.callback()
def about(version: Version = False) -> None:
    """A FHIR R4 server: the patient tells it once."""


cli.command()(serve)
cli.command()(demo)
cli.command()(load)
cli.command()(backup)
cli.command()(restore)
cli.command()(verify)
cli.command()(reindex)
cli.command()(migrate)
cli.command()(fhirpath)
cli.add_typer(access_app, name="access")
cli.add_typer(audit_app, name="audit")
cli.add_typer(inbox_app, name="inbox")
cli.add_typer(map_app, name="map")
cli.add_typer(outbound_app, name="outbound")
cli.add_typer(token_app, name="token")
cli.add_typer(user_app, name="user")
cli.add_typer(client_app, name="client")
cli.add_typer(proxy_app, name="proxy")
cli.add_typer(key_app, name="key")
