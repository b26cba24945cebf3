"""The admin API: users, clients, grants, proxies and the access policy in force."""

from typing import Any

from fastapi import APIRouter

from server.auth.admin import clients, grants, proxies, users
from server.auth.admin.door import AdminDoor
from server.auth.admin.routing import Administration, guarded


def router(door: AdminDoor, on: Administration) -> APIRouter:
    """Return the routes."""
    made = guarded(door, "administration")
    for part in (users, clients, grants, proxies):
        part.add(made, on)

    @made.get("/access", summary="The access policy in force")
    async def policy() -> Any:
        return on.policy()

    return made
