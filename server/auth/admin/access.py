"""``/admin/access``: the access policy in force, as JSON."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from fastapi import APIRouter

from server.access.policy import Policy
from server.access.scopes import Scope, Scopes
from server.auth.admin.routing import Administration


def add(made: APIRouter, on: Administration) -> None:
    """Add the route."""

    @made.get("/access", summary="The access policy in force: roles, labels, release, proxies")
    async def access() -> dict[str, Any]:
        return as_json(on.policy)


def as_json(policy: Policy) -> dict[str, Any]:
    """Return a policy with its own names; sets are sorted, scopes as they are written."""
    return {one.name: _plain(getattr(policy, one.name)) for one in fields(policy)}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Scope | Scopes):
        return value.text
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(map(str, value))
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    return str(value)
