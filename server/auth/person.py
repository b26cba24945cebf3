"""What a user, an app or a backend service may do: the record is read, the policy decides."""

from server.access.context import AccessContext
from server.auth.records import Client, Grant, User


class Rights:
    """Stub until the policy is there."""

    def __init__(self, services: object) -> None:
        self._services = services

    async def of_grant(
        self, grant: Grant, client: Client, user: User | None, scope: str, now: int
    ) -> AccessContext:
        """Return the rights of a token."""
        principal = f"user/{user.name}" if user is not None else f"client/{client.id}"
        return AccessContext(principal, client.id, (), grant=grant.id, patient=grant.patient)

    async def of_user(self, user: User, now: int) -> AccessContext:
        """Return the rights of a user without an app."""
        return AccessContext(f"user/{user.name}", "pages", ())
