"""``tellonce key``: the keys that the server signs with."""

import typer

from server import app
from server.auth.keys import Keys
from server.commands.beside import beside
from server.commands.options import Data, StoreOption
from server.store.port import Store

key_app = typer.Typer(help="The keys that the server signs with.", no_args_is_help=True)


@key_app.command()
def rotate(data: Data = None, store: StoreOption = None) -> None:
    """Announce a new signing key; it signs in an hour, the old one is known for three."""

    async def change(opened: Store) -> str:
        return await Keys(opened, app.now_us).rotate()

    typer.echo(f"key {beside(change, data=data, store=store)}  announced")
