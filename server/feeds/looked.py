"""What audit is told of people who read messages, or decide what becomes of them.

A message holds a patient's data as the record does, so reading it is told as reading the record
is: by patient where they are known, which is when the message is in the record.
"""

from collections.abc import Sequence
from typing import Any

from server.access.context import SYSTEM, AccessContext
from server.audit.port import Action, Audit, Told
from server.feeds.inbox import Entry
from server.interactions.concerned import Subjects, patients_in
from server.interactions.services import Services
from server.search import extract, marks
from server.store.port import Store

Subject = tuple[str | None, tuple[str, ...]]  # ``Patient/x``, labels (``system|code``)
READ, ADMINISTER = "read", "administer"
MOST_VERSIONS = 200  # of one message: the patient is in the first of them


async def subjects(store: Store, base_url: str, places: Sequence[str]) -> list[Subject]:
    """Return whom versions (``Patient/x/_history/2``) concern, with their labels; at least one."""
    versions = []
    for place in places[:MOST_VERSIONS]:
        type_, id_, _, number = place.split("/")
        found = await store.vread(SYSTEM, type_, id_, int(number))
        if found is not None:
            versions.append(found)
    return list(Subjects(base_url).of_all(versions)) or [(None, ())]


async def concerned(
    store: Store, base_url: str, entry: Entry, shown: Sequence[dict[str, Any]] = ()
) -> list[Subject]:
    """Return whom a message, and ``shown``, which is in no version, concern; at least one."""
    found: dict[str | None, dict[str, None]] = {}
    for patient, labels in (
        *await subjects(store, base_url, entry.produced),
        *subjects_of(shown, base_url),
    ):
        found.setdefault(patient, {}).update(dict.fromkeys(labels))
    if len(found) > 1:
        found.pop(None, None)
    return [(patient, tuple(labels)) for patient, labels in found.items()]


def subjects_of(resources: Sequence[dict[str, Any]], base_url: str) -> list[Subject]:
    """Return whom resources concern that were not written, with their labels."""
    found: dict[str, dict[str, None]] = {}
    for one in resources:
        for patient in patients_in(extract.compartments(one, base_url)):
            found.setdefault(patient, {}).update(dict.fromkeys(marks.labels(one)))
    return [(patient, tuple(labels)) for patient, labels in found.items()]


def name_of(entry: Entry) -> str:
    """Return how audit names a message; so does the event of its being applied."""
    return f"urn:uuid:{entry.id}"


async def tell(
    services: Services,
    access: AccessContext,
    interaction: str,
    action: Action,
    entry: Entry,
    *,
    asked: str,
    shown: Sequence[dict[str, Any]] = (),
) -> None:
    """Tell audit what somebody did with a message, before they get the answer.

    ``asked``: the address, or what stands for it; ``shown``: resources that are in no version.

    Raises:
        StoreUnavailable: it cannot be kept, so nothing may be shown.
    """
    audit = services.audit
    if audit is None:
        return
    for patient, labels in await concerned(services.store, services.base_url, entry, shown):
        patients = (patient,) if patient is not None else ()
        audit.tell(
            Told(
                services.now(),
                action,
                interaction,
                access,
                (name_of(entry),),
                patients,
                asked,
                labels,
            )
        )
    await _kept(audit, access)


async def tell_of_version(
    services: Services, access: AccessContext, action: Action, place: str, *, asked: str
) -> None:
    """Tell audit what somebody decided about a message of a version (``Patient/x/_history/2``).

    Raises:
        StoreUnavailable: it cannot be kept.
    """
    audit = services.audit
    if audit is None:
        return
    for patient, labels in await subjects(services.store, services.base_url, [place]):
        whom = (patient,) if patient is not None else ()
        now = services.now()
        audit.tell(Told(now, action, ADMINISTER, access, (place,), whom, asked, labels))
    await _kept(audit, access)


async def tell_of_many(services: Services, access: AccessContext, *, asked: str) -> None:
    """Tell audit that many messages are applied again; ``asked`` says which.

    Whom they concern is told when they are applied.

    Raises:
        StoreUnavailable: it cannot be kept.
    """
    audit = services.audit
    if audit is not None:
        audit.tell(Told(services.now(), "E", ADMINISTER, access, query=asked))
        await _kept(audit, access)


async def _kept(audit: Audit, access: AccessContext) -> None:
    """Return when the answer may leave; nothing more is told of the request."""
    if access.trace is not None:
        audit.take(access.trace)
    if audit.durable:
        await audit.settled()
