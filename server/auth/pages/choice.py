"""What was chosen on the way through an authorization, kept here: a form cannot change it."""

from dataclasses import dataclass, replace
from typing import ClassVar

from server.auth.oauth.authorize import Pending
from server.auth.oauth.terms import PENDING_S, SECOND
from server.auth.pages.visit import Visit
from server.auth.records import Kept, key_of
from server.store.port import RecordWrite


@dataclass(frozen=True, slots=True)
class Choice(Kept):
    """Key: that of the pending request.  Tag: the session that chose.

    ``launched_in``: the session that a launch from the EHR was made in.  ``encounter``: an id;
    empty: the person said that it is about none; ``None``: not asked yet.
    """

    KIND: ClassVar[str] = "choice"
    session: str = ""
    launched_in: str | None = None
    patient: str | None = None
    encounter: str | None = None


async def chosen(visit: Visit, pending: Pending) -> Choice:
    """Return what was chosen so far, in this session."""
    store = visit.context.services.store
    record = await store.get_record(Choice.KIND, key_of(pending.id))
    choice = Choice.unpack(record.value) if record is not None else Choice()
    if visit.who is not None and choice.session != visit.who.key:
        choice = Choice(visit.who.key, choice.launched_in)
    if pending.patient is not None:
        choice = replace(choice, patient=pending.patient)
    if encounter := pending.context.get("encounter"):
        choice = replace(choice, encounter=encounter)
    return choice


async def keep(visit: Visit, pending: Pending, choice: Choice) -> None:
    """Keep a choice for as long as the request waits."""
    services = visit.context.services
    until = services.now() + PENDING_S * SECOND
    write = RecordWrite(
        Choice.KIND, key_of(pending.id), choice.pack(), choice.session, expires_at=until
    )
    await services.store.commit([], records=[write])
