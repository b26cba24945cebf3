"""People in AuditEvents by their names: that of the login, else the one in the record.

The record is read with the rights of the person who looks: a name that is not open to them is not
told, and the login stands there instead.
"""

from typing import Any

from server.access.context import AccessContext
from server.auth.pages import finding
from server.auth.pages.event_words import agents, person_in
from server.auth.pages.people import name_of
from server.auth.pages.visit import PRINCIPAL, Visit
from server.auth.records import Role, User

_ROLES: dict[Role, str] = {
    "practitioner": "clinician",
    "admin": "administrator",
    "patient": "patient or relative",
}
_NAMED = ("Practitioner", "Patient", "RelatedPerson", "Person")


class Who:
    """For one page: each is looked up once."""

    def __init__(self, visit: Visit, access: AccessContext) -> None:
        self._visit, self._access = visit, access
        self._known: dict[tuple[str, str], tuple[str, str]] = {}

    async def did(self, event: dict[str, Any]) -> tuple[str, str]:
        """Return the name and the roles of the person; empty for a program by itself."""
        principal, _ = agents(event)
        name, reference = principal.removeprefix(PRINCIPAL), person_in(event)
        if not name:
            return "", ""
        if name == self._visit.me.user.name:
            return "You", ""
        if (name, reference) not in self._known:
            self._known[name, reference] = await self._found(name, reference)
        return self._known[name, reference]

    async def _found(self, name: str, reference: str) -> tuple[str, str]:
        user = await self._visit.context.users.get(name)
        if user is None:
            return await self._recorded(reference) or name, "has no login any more"
        shown = user.display or await self._recorded(user.fhir_user or reference) or name
        return shown, _roles(user)

    async def _recorded(self, reference: str) -> str:
        """Return the name in the record; empty when there is none to be seen."""
        type_, _, id_ = reference.partition("/")
        if type_ not in _NAMED:
            return ""
        services = self._visit.context.services
        found = await finding.resource(services, self._access, type_, id_)
        names = found.get("name") or [] if found is not None else []
        return name_of(names)


def _roles(user: User) -> str:
    return ", ".join(_ROLES[role] for role in user.roles)
