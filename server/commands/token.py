"""``tellonce token``: administrator tokens."""

from typing import Annotated

import anyio
import typer

from server import app
from server.auth import (
    feed_tokens,
    new_feed_token,
    new_token,
    remove_feed_token,
    remove_token,
    tokens,
)
from server.auth.oauth.register import (
    new_registration_token,
    registration_tokens,
    remove_registration_token,
)
from server.commands.options import Data, StoreOption, fail, refusals, settings_from

NAME_LENGTH = 64  # it stands in every log line of its holder

token_app = typer.Typer(help="Administrator tokens.", no_args_is_help=True)


@token_app.command()
def new(
    name: str = "operator",
    feed: Annotated[
        str | None, typer.Option(help="For senders of this feed over HTTP; opens nothing else.")
    ] = None,
    registration: Annotated[
        bool,
        typer.Option(
            "--registration",
            help="For developers whose apps register themselves; good for 30 days, opens nothing.",
        ),
    ] = False,
    data: Data = None,
    store: StoreOption = None,
) -> None:
    """Make a token and print it once; a running server honours it at once."""
    if not name.isprintable() or not 0 < len(name) <= NAME_LENGTH:
        fail(f"a name has 1 to {NAME_LENGTH} printable characters")
    if registration and feed is not None:
        fail("a token is for a feed or for registration, not for both")
    settings = settings_from(data=data, store=store)

    async def make() -> str:
        async with app.store_beside(settings) as opened:
            if registration:
                return await new_registration_token(opened, name, app.now_us())
            if feed is not None:
                return await new_feed_token(opened, feed, name)
            return await new_token(opened, name)

    with refusals():
        typer.echo(anyio.run(make))


@token_app.command("list")
def list_(data: Data = None, store: StoreOption = None) -> None:
    """List the tokens by id and name; the tokens themselves are not kept."""
    settings = settings_from(data=data, store=store)

    async def look() -> list[tuple[str, str]]:
        async with app.store_beside(settings) as opened:
            of_feeds = [
                (id_, f"{name}  of feed {feed}") for id_, feed, name in await feed_tokens(opened)
            ]
            of_apps = [
                (id_, f"{name}  for registration")
                for id_, name in await registration_tokens(opened)
            ]
            return [*await tokens(opened), *of_feeds, *of_apps]

    with refusals():
        for id_, name in anyio.run(look):
            typer.echo(f"{id_}  {name}")


@token_app.command()
def remove(id_: str, data: Data = None, store: StoreOption = None) -> None:
    """Take a token back, named by its id; a running server refuses it within two seconds."""
    settings = settings_from(data=data, store=store)

    async def take_back() -> str | None:
        async with app.store_beside(settings) as opened:
            return (
                await remove_token(opened, id_)
                or await remove_feed_token(opened, id_)
                or await remove_registration_token(opened, id_)
            )

    with refusals():
        name = anyio.run(take_back)
    if name is None:
        fail(f"there is no token {id_}; `tellonce token list` shows their ids")
    typer.echo(f"{id_}  {name}  removed")
