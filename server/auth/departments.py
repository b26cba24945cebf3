"""Which departments people who log in belong to: for when a department last looked."""

from server.auth.users import Users


class Departments:
    """See :class:`server.continuity.story.looked.Departments`; services belong to none."""

    def __init__(self, users: Users) -> None:
        self._users = users

    async def of(self, principal: str) -> frozenset[str]:
        """Return the departments of a login, none for whoever is not known or locked out."""
        kind, _, name = principal.partition("/")
        user = await self._users.get(name) if kind == "user" else None
        return frozenset(user.departments) if user is not None and user.active else frozenset()

    async def people(self, department: str) -> frozenset[str]:
        """Return the logins of a department; who left the house has looked all the same."""
        users = await self._users.list()
        return frozenset(f"user/{one.name}" for one in users if department in one.departments)
