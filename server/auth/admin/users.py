"""``/admin/users``."""

from fastapi import APIRouter, Request, Response

from server.auth.admin.models import PasswordIn, UserChange, UserIn, UserOut
from server.auth.admin.routing import Administration
from server.auth.unfit import Missing


def add(made: APIRouter, on: Administration) -> None:
    """Add the routes."""
    _read(made, on)
    _write(made, on)


def _read(made: APIRouter, on: Administration) -> None:
    @made.get("/users", summary="Everybody who can log in, by name")
    async def users() -> list[UserOut]:
        return [UserOut.of(user) for user in await on.users.list()]

    @made.get("/users/{name}", summary="One user")
    async def user(name: str) -> UserOut:
        found = await on.users.get(name)
        if found is None:
            raise Missing(f"there is no user {name}")
        return UserOut.of(found)


def _write(made: APIRouter, on: Administration) -> None:
    @made.post("/users", status_code=201, summary="Add a user")
    async def new(request: Request, said: UserIn) -> UserOut:
        added = await on.users.add(
            said.name,
            roles=said.roles,
            password=said.password.get_secret_value() if said.password else None,
            fhir_user=said.fhir_user,
            departments=said.departments,
            display=said.display,
            external=said.external,
        )
        await on.tell(request, "C", f"user/{added.name}")
        return UserOut.of(added)

    @made.patch("/users/{name}", summary="Change roles, departments, or lock a user out")
    async def change(request: Request, name: str, said: UserChange) -> UserOut:
        found = await on.users.get(name)
        if found is None:
            raise Missing(f"there is no user {name}")
        if said.roles is not None or said.fhir_user is not None or said.departments is not None:
            found = await on.users.set_roles(
                name,
                said.roles if said.roles is not None else found.roles,
                fhir_user=said.fhir_user,
                departments=said.departments,
            )
        if said.active is not None:
            found = await on.users.set_active(name, said.active)
        await on.tell(request, "U", f"user/{found.name}")
        return UserOut.of(found)

    @made.put("/users/{name}/password", status_code=204, summary="Change a password")
    async def password(request: Request, name: str, said: PasswordIn) -> Response:
        changed = await on.users.set_password(name, said.password.get_secret_value())
        await on.tell(request, "U", f"user/{changed.name}")
        return Response(status_code=204)

    @made.delete("/users/{name}", status_code=204, summary="Remove a user, sessions and grants")
    async def remove(request: Request, name: str) -> Response:
        gone = await on.users.remove(name)
        await on.tell(request, "D", f"user/{gone.name}")
        return Response(status_code=204)
