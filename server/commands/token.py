"""``tellonce token``: administrator tokens."""

import anyio
import typer

from server import app
from server.auth import new_token
from server.commands.options import Data, StoreOption, refusals, settings_from

token_app = typer.Typer(help="Administrator tokens.", no_args_is_help=True)


@token_app.command()
def new(name: str = "operator", data: Data = None, store: StoreOption = None) -> None:
    """Make a token and print it once; a running server honours it at once."""
    settings = settings_from(data=data, store=store)

    async def make() -> str:
        async with app.store_beside(settings) as opened:
            return await new_token(opened, name)

    with refusals():
        typer.echo(anyio.run(make))
