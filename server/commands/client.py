"""``tellonce client``: programs that may ask for access."""

from pathlib import Path
from typing import Annotated, Any

import typer

from server import app
from server.auth.client_keys import read_keys
from server.auth.clients import Clients, new_secret, secret_to_keep
from server.auth.ending import walk
from server.auth.records import Client, Grant
from server.auth.unfit import Unfit
from server.commands.beside import beside
from server.commands.options import Data, StoreOption, fail, refusals, secret_from_stdin
from server.store.port import Store

client_app = typer.Typer(help="Apps and services that may ask for access.", no_args_is_help=True)

_MAX_KEYS_BYTES = 1024 * 1024

Id = Annotated[str, typer.Argument(metavar="ID", help="The client_id.")]


@client_app.command()
def add(
    id_: Id,
    scope: Annotated[str, typer.Option(help="What it may ask for, at most, in one text.")],
    redirect: Annotated[
        list[str] | None, typer.Option(help="Where logins return to, exactly; repeatable.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What people are told it is called.")] = None,
    public: Annotated[
        bool, typer.Option("--public", help="It can keep no secret: a browser or phone app.")
    ] = False,
    secret_stdin: Annotated[
        bool, typer.Option("--secret-stdin", help="Read its secret from stdin.")
    ] = False,
    secret_post: Annotated[
        bool, typer.Option("--secret-post", help="It sends its secret in the form.")
    ] = False,
    jwks: Annotated[
        str | None, typer.Option(help="It signs: file or https address of its public keys.")
    ] = None,
    grant: Annotated[
        list[str] | None,
        typer.Option(help="client_credentials, authorization_code, refresh_token; repeatable."),
    ] = None,
    origin: Annotated[
        list[str] | None, typer.Option(help="Where its pages call from (CORS); repeatable.")
    ] = None,
    launch_uri: Annotated[str | None, typer.Option(help="Where a launch from here goes.")] = None,
    logo_uri: Annotated[str | None, typer.Option(help="Its logo, on the page of consent.")] = None,
    data: Data = None,
    store: StoreOption = None,
) -> None:
    """Register a client; without --public, --jwks or --secret-stdin a secret is made and shown."""
    if public + secret_stdin + (jwks is not None) > 1:
        fail("--public, --secret-stdin and --jwks exclude each other")
    shown = None
    with refusals():
        said = _keys(jwks) if jwks is not None else {}
        if not public and jwks is None:
            secret = secret_from_stdin("secret") if secret_stdin else (shown := new_secret())
            said["secret"] = secret_to_keep(secret)
        made = Client(
            id_,
            name or id_,
            auth=_auth(public, jwks, secret_post),
            redirect_uris=tuple(redirect or ()),
            scope=" ".join(scope.split()),
            grants=tuple(grant) if grant else _grants(scope),
            origins=tuple(origin or ()),
            launch_uri=launch_uri,
            logo_uri=logo_uri,
            **said,
        )

    async def keep(opened: Store) -> Client:
        return await Clients(opened, app.now_us).add(made)

    typer.echo(f"client {_line(beside(keep, data=data, store=store))}  added")
    if shown is not None:
        typer.echo(f"secret {shown}  (shown this once)")


@client_app.command("list")
def list_(data: Data = None, store: StoreOption = None) -> None:
    """List the clients: id, how they authenticate, grants, scopes, addresses."""

    async def look(opened: Store) -> list[Client]:
        return await Clients(opened, app.now_us).list()

    for client in beside(look, data=data, store=store):
        typer.echo("  ".join((_line(client), client.scope, *client.redirect_uris)))


@client_app.command()
def remove(id_: Id, data: Data = None, store: StoreOption = None) -> None:
    """Remove a client; what people allowed it ends within two seconds."""

    async def take(opened: Store) -> int:
        grants = [
            record
            async for record in walk(opened, Grant.KIND)
            if Grant.unpack(record.value).client == id_
        ]
        await Clients(opened, app.now_us).remove(id_)
        return len(grants)

    ended = beside(take, data=data, store=store)
    typer.echo(f"client {id_}  removed, {ended} grants ended")


def _auth(public: bool, jwks: str | None, secret_post: bool) -> Any:
    if public:
        return "none"
    if jwks is not None:
        return "private_key_jwt"
    return "client_secret_post" if secret_post else "client_secret_basic"


def _grants(scope: str) -> tuple[str, ...]:
    if {"offline_access", "online_access"} & set(scope.split()):
        return ("authorization_code", "refresh_token")
    return ("authorization_code",)


def _keys(given: str) -> dict[str, Any]:
    if given.startswith(("https://", "http://")):
        return {"jwks_uri": given}
    file = Path(given)
    try:
        if file.stat().st_size > _MAX_KEYS_BYTES:
            raise Unfit(f"{file} is larger than a key set is")
        return {"jwks": read_keys(file.read_bytes())}
    except FileNotFoundError as error:
        raise Unfit(f"{file} is not there") from error


def _line(client: Client) -> str:
    named = "" if client.name == client.id else f'"{client.name}"'
    auth = "public" if client.auth == "none" else client.auth
    said = (client.id, named, auth, ",".join(client.grants))
    return "  ".join(filter(None, said))
