"""The command line (console script ``tellonce``)."""

import typer

from server.commands.demo import demo
from server.commands.load import load
from server.commands.maintain import backup, verify
from server.commands.serve import serve
from server.commands.token import token_app
from server.feeds.cli import inbox_app

cli = typer.Typer(
    name="tellonce",
    help="A FHIR R4 server: the patient tells it once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # locals may hold patients' data
)
cli.command()(serve)
cli.command()(demo)
cli.command()(load)
cli.command()(backup)
cli.command()(verify)
cli.add_typer(inbox_app, name="inbox")
cli.add_typer(token_app, name="token")


def main() -> None:
    """Run the command that the arguments name."""
    cli()


if __name__ == "__main__":
    main()
