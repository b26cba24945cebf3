"""A store with the prepared record, and what is known over it, as short texts."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from server.access.context import AccessContext, Permit
from server.continuity.answers import known_answers
from server.continuity.form import form_of
from server.continuity.known import Known
from server.continuity.site import Site
from server.interactions.prepare import to_write
from server.interactions.services import Services
from server.store.port import Store, Write
from tests.rest.house import BASE, STORES, Clock

RESTRICTED = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality|R"
SEES_ALL = AccessContext("user/d", "desk", (Permit("*"),), person="Practitioner/d")
SEES_NORMAL = AccessContext("user/s", "desk", (Permit("*", hidden=(RESTRICTED,)),))

Resource = dict[str, Any]


class Record:
    """A record of its own; ``clock`` stands still."""

    def __init__(self, kind: str, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.clock = Clock()
        self.store: Store = STORES[kind](folder, self.clock)
        self.services = Services(self.store, BASE, self.clock, lambda: "new", b"k" * 32)

    async def put(self, *resources: Resource) -> None:
        """Store them, together."""
        await self.store.commit([to_write(one, base_url=BASE, method="PUT") for one in resources])

    async def delete(self, type_: str, id_: str) -> None:
        """Delete one."""
        await self.store.commit([Write(type_, id_, None, None, method="DELETE")])

    async def ask(
        self,
        questionnaire: Resource,
        access: AccessContext = SEES_ALL,
        encounter: str | None = None,
        site: Site | None = None,
    ) -> list[Known]:
        """Return what is known of ``Patient/p``."""
        return await known_answers(
            self.services, access, "p", form_of(questionnaire), site or Site(), encounter=encounter
        )

    async def table(self, questionnaire: Resource, **more: Any) -> dict[str, tuple[str, ...]]:
        """Return state, rule and answers of each item by its linkId."""
        return {one.item.link_id: told(one) for one in await self.ask(questionnaire, **more)}


def told(known: Known) -> tuple[str, ...]:
    """Return state, rule, and each answer as a text."""
    return (known.state, known.rule, *(text(one.value) for one in known.candidates))


def text(value: Resource) -> str:
    """Return an answer as a short text."""
    ((_, said),) = value.items()
    if not isinstance(said, dict):
        return str(said)
    if "code" in said and "value" not in said:
        return str(said["code"])
    return f"{said['value']} {said.get('code', '')}" if "value" in said else str(said)


def sources(known: Iterable[Known]) -> dict[str, list[str]]:
    """Return the versioned references of each item."""
    return {
        one.item.link_id: [s.reference for said in one.candidates for s in said.sources]
        for one in known
    }
