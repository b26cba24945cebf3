"""A server with a record, and the story that it tells."""

import json
from collections.abc import Iterable
from typing import Any

from server.access.context import AccessContext, Permit
from server.continuity.story.sentence import Section, Sentence
from server.continuity.story.tell import Asked, Story, story
from server.interactions.services import Services
from server.store.memory import MemoryStore
from tests.continuity.story_record import Resource
from tests.contract.made import put
from tests.rest.house import BASE, START, index

SYSTEM = AccessContext("user/roe", "app", (Permit("*"),), person="Practitioner/roe")


async def services(record: Iterable[Resource]) -> Services:
    """Return the services of a server with the record, its clock standing still."""
    store = MemoryStore(now=lambda: START, index=index)
    await store.commit([put(one) for one in record])
    return Services(store, BASE, lambda: START, lambda: "new", b"k" * 32)


async def told(
    record: Iterable[Resource],
    access: AccessContext = SYSTEM,
    patient: str = "ada",
    **asked: Any,
) -> Story:
    """Return the story of a patient as a caller gets it."""
    return await story(await services(record), access, Asked(patient, **asked))


def sentences(made: Story) -> list[Sentence]:
    return [sentence for of in made.told.values() for sentence in of]


def texts(made: Story, section: Section) -> list[str]:
    return [sentence.text for sentence in made.told[section]]


def bodies(made: Story) -> dict[str, Resource]:
    """Return the cited versions by their versioned references."""
    return {
        f"{one.type}/{one.id}/_history/{one.number}": json.loads(one.body or b"{}")
        for one in made.versions
    }
