"""What is known of each item of a form, for one caller.  docs/continuity.md."""

from server.access.context import AccessContext
from server.continuity.form import Form
from server.continuity.known import Known
from server.continuity.site import Site
from server.interactions.services import Services

ANSWERLESS = frozenset(("group", "display"))


async def known_answers(
    services: Services,
    access: AccessContext,
    patient: str,
    form: Form,
    site: Site,
    *,
    encounter: str | None = None,
) -> list[Known]:
    """Return what the record knows of each item that can have an answer, in the order of the form.

    ``patient`` is a logical id; ``encounter`` that of the Encounter in which it is asked.
    """
    items = (item for item in form.walk() if item.type not in ANSWERLESS)
    return [
        Known(item, "ask", rule="no source", reason="The record has nothing.") for item in items
    ]
