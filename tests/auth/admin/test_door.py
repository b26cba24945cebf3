"""Who administers, and who does not, whatever else a token opens."""

from dataclasses import replace

import pytest

from server.access.context import AccessContext, Permit
from server.auth.admin import AdminDoor
from server.auth.records import AccessToken, Client, User, key_of
from server.fhir.errors import Forbidden, LoginRequired
from server.store.port import RecordWrite, Store

EVERYTHING = (Permit("*"),)
ADMIN = User("ada", roles=("admin",))
SERVICE = Client("ops", "Ops", auth="private_key_jwt", scope="admin/tellonce")


async def door(store: Store, access: AccessContext | None) -> AdminDoor:
    async def authenticate(authorization: bytes | None) -> AccessContext:
        if access is None:
            raise LoginRequired("who are you?")
        return access

    return AdminDoor(store, authenticate)


async def keep(store: Store, scope: str, user: User = ADMIN, client: Client = SERVICE) -> None:
    token = AccessToken("g", client.id, scope, 0, 1)
    kept = [
        RecordWrite("access-token", key_of("t"), token.pack()),
        RecordWrite("user", user.name, user.pack()),
        RecordWrite("client", client.id, client.pack()),
    ]
    await store.commit([], records=kept)


def by_app(principal: str = "user/ada") -> AccessContext:
    return AccessContext(principal, "app", EVERYTHING, grant="g")


@pytest.mark.parametrize("client", ["token", "open"])
async def test_an_operator_administers(store: Store, client: str) -> None:
    operator = AccessContext("administrator/first", client, EVERYTHING)

    assert await (await door(store, operator))(b"Bearer x") == operator


@pytest.mark.parametrize("principal", ["user/ada", "client/ops"])
async def test_the_scope_opens_the_door_to_administrators_and_services(
    store: Store, principal: str
) -> None:
    await keep(store, "openid admin/tellonce")

    assert await (await door(store, by_app(principal))).name(b"Bearer t") == principal


@pytest.mark.parametrize("scope", ["", "system/*.cruds", "admin/other", "admin/tellonce-x"])
async def test_no_other_scope_does(store: Store, scope: str) -> None:
    await keep(store, scope)

    with pytest.raises(Forbidden):
        await (await door(store, by_app()))(b"Bearer t")


@pytest.mark.parametrize(
    "user", [replace(ADMIN, roles=("practitioner",)), replace(ADMIN, active=False)]
)
async def test_who_is_no_administrator_any_more_stays_out(store: Store, user: User) -> None:
    await keep(store, "admin/tellonce", user=user)

    with pytest.raises(Forbidden):
        await (await door(store, by_app()))(b"Bearer t")


async def test_a_service_whose_registration_was_narrowed_stays_out(store: Store) -> None:
    await keep(store, "admin/tellonce", client=replace(SERVICE, scope="system/*.rs"))

    with pytest.raises(Forbidden):
        await (await door(store, by_app("client/ops")))(b"Bearer t")


@pytest.mark.parametrize("principal", ["user/nobody", "client/none", "feed/adt", "administrator/x"])
async def test_who_is_not_known_stays_out(store: Store, principal: str) -> None:
    await keep(store, "admin/tellonce")

    with pytest.raises(Forbidden):
        await (await door(store, by_app(principal)))(b"Bearer t")


async def test_a_client_named_like_a_token_is_none(store: Store) -> None:
    await keep(store, "")
    forged = AccessContext("user/eve", "token", EVERYTHING, grant="g")

    with pytest.raises(Forbidden):
        await (await door(store, forged))(b"Bearer t")


async def test_a_stranger_is_asked_to_log_in(store: Store) -> None:
    with pytest.raises(LoginRequired):
        await (await door(store, None))(None)
