"""``/admin/clients``."""

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response

from server.auth.admin.models import ClientChange, ClientIn, ClientOut
from server.auth.admin.routing import Administration
from server.auth.clients import new_secret, secret_to_keep
from server.auth.records import Client
from server.auth.unfit import Missing

_REMOVABLE = frozenset(("launch_uri", "logo_uri", "jwks", "jwks_uri"))


def add(made: APIRouter, on: Administration) -> None:
    """Add the routes."""
    _read(made, on)
    _write(made, on)


def _read(made: APIRouter, on: Administration) -> None:
    @made.get("/clients", summary="All programs that may ask for access, by id")
    async def clients() -> list[ClientOut]:
        return [ClientOut.of(client) for client in await on.clients.list()]

    @made.get("/clients/{id}", summary="One client")
    async def client(id: str) -> ClientOut:  # noqa: A002 - the name in the address
        return ClientOut.of(await _known(on, id))


def _write(made: APIRouter, on: Administration) -> None:
    @made.post("/clients", status_code=201, summary="Register a client")
    async def new(request: Request, said: ClientIn) -> ClientOut:
        client, shown = _client(said)
        added = await on.clients.add(client)
        await on.tell(request, "C", f"client/{added.id}")
        return ClientOut.of(added, shown)

    @made.patch("/clients/{id}", summary="Change a client, or lock it out")
    async def change(request: Request, id: str, said: ClientChange) -> ClientOut:  # noqa: A002
        sent = said.model_dump(exclude_unset=True)
        given = {k: _kept(v) for k, v in sent.items() if v is not None or k in _REMOVABLE}
        changed = await on.clients.change(replace(await _known(on, id), **given))
        await on.tell(request, "U", f"client/{id}")
        return ClientOut.of(changed)

    @made.post("/clients/{id}/secret", summary="Give a client a new secret; the old one ends")
    async def secret(request: Request, id: str) -> ClientOut:  # noqa: A002
        shown = new_secret()
        known = replace(await _known(on, id), secret=secret_to_keep(shown))
        changed = await on.clients.change(known)
        await on.tell(request, "U", f"client/{id}")
        return ClientOut.of(changed, shown)

    @made.delete("/clients/{id}", status_code=204, summary="Remove a client and its grants")
    async def remove(request: Request, id: str) -> Response:  # noqa: A002
        await on.clients.remove(id)
        await on.tell(request, "D", f"client/{id}")
        return Response(status_code=204)


async def _known(on: Administration, id_: str) -> Client:
    found = await on.clients.get(id_)
    if found is None:
        raise Missing(f"there is no client {id_}")
    return found


def _client(said: ClientIn) -> tuple[Client, str | None]:
    """Return the client, and the secret that was made for it."""
    shown = None
    secret = said.secret.get_secret_value() if said.secret is not None else None
    if secret is None and said.auth.startswith("client_secret"):
        secret = shown = new_secret()
    renewed = {"offline_access", "online_access"} & set(said.scope.split())
    usual = ("authorization_code", "refresh_token") if renewed else ("authorization_code",)
    client = Client(
        said.id,
        said.name or said.id,
        auth=said.auth,
        secret=secret_to_keep(secret) if secret is not None else None,
        redirect_uris=tuple(said.redirect_uris),
        scope=" ".join(said.scope.split()),
        grants=tuple(said.grants) if said.grants is not None else usual,
        jwks=said.jwks,
        jwks_uri=said.jwks_uri,
        origins=tuple(said.origins),
        launch_uri=said.launch_uri,
        logo_uri=said.logo_uri,
    )
    return client, shown


def _kept(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
