"""The admin API: users, clients, grants, proxies and the access policy in force."""

from fastapi import APIRouter

from server.auth.admin import access, clients, grants, proxies, users
from server.auth.admin.door import AdminDoor
from server.auth.admin.routing import Administration, guarded


def router(door: AdminDoor, on: Administration) -> APIRouter:
    """Return the routes."""
    made = guarded(door, "administration")
    for part in (users, clients, grants, proxies, access):
        part.add(made, on)
    return made
