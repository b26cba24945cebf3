"""The server of the REST tests, with an audit beside it."""

import json
from base64 import b64decode
from dataclasses import replace
from typing import Any

from server import rest
from server.access.context import SYSTEM, AccessContext, Permit
from server.interactions.audit_log import AuditLog
from server.interactions.services import Policy, Searchable
from server.rest import Limits
from server.search.query import EVERYTHING, Query
from server.store.port import Store
from server.uuid7 import new_id
from tests.rest.house import BASE, CALLERS, Clock, House, authenticate

ANNA = AccessContext("user/anna", "app", (Permit("*"),), person="Practitioner/anna")
CALLERS.setdefault("anna", ANNA)
CALLERS.setdefault("writer", AccessContext("user/w", "app", (Permit("Patient"),)))
CLERK = (Permit("Patient"), Permit("Provenance"))
CALLERS.setdefault("clerk", AccessContext("user/clerk", "app", CLERK))
CALLERS.setdefault("service", AccessContext("client/loader", "loader", (Permit("*"),)))


class AuditedHouse(House):
    """``events`` and ``provenances`` read what it has kept."""

    def __init__(self, store: Store, clock: Clock, *, durable: bool = False) -> None:
        super().__init__(store, clock, Policy(delete="allow"), Limits())
        searchable = Searchable()
        self.audit = AuditLog(store, clock, new_id, BASE, durable=durable, searchable=searchable)
        self.services = replace(self.services, audit=self.audit, searchable=searchable)
        self.app = rest.build(self.services, authenticate=authenticate)

    async def events(self) -> list[dict[str, Any]]:
        """Return the AuditEvents so far, oldest first."""
        await self.audit.settled()
        return await self.kept("AuditEvent")

    async def kept(self, type_: str) -> list[dict[str, Any]]:
        """Return all versions of a type, oldest first."""
        found = await self.store.changes(SYSTEM, limit=1000, type_=type_)
        return [json.loads(version.body or b"{}") for version in found]

    async def seen_by_patient(self, id_: str, type_: str) -> list[str]:
        """Return the ids of a type that an app of the patient finds."""
        access = AccessContext("user/p", "app", (Permit("*", compartment=f"Patient/{id_}"),))
        found = await self.store.search(access, Query((type_,), EVERYTHING), limit=100)
        return [version.id for version in found.versions]

    async def new_events(self, before: int) -> list[dict[str, Any]]:
        """Return the AuditEvents behind the first so many."""
        return (await self.events())[before:]


def interaction(event: dict[str, Any]) -> str:
    return str(event["subtype"][0]["code"])


def patients(event: dict[str, Any]) -> list[str]:
    """Return whose record an event says it is about."""
    return [
        entity["what"]["reference"]
        for entity in event.get("entity", [])
        if entity.get("role", {}).get("code") == "1"
    ]


def data(event: dict[str, Any]) -> list[str]:
    """Return the resources that an event names beside the patient."""
    return [
        entity["what"]["reference"]
        for entity in event.get("entity", [])
        if entity.get("role", {}).get("code") == "4"
    ]


def query(event: dict[str, Any]) -> str | None:
    """Return the question that an event holds."""
    for entity in event.get("entity", []):
        if "query" in entity:
            return b64decode(entity["query"]).decode()
    return None
