"""Whether the caller may: one place for every interaction.

What no permit speaks of is forbidden (403).  What lies outside the caller's compartments does not
exist for the caller, and is answered like what was never there (404).
"""

from typing import Any

from server.access.context import SYSTEM, AccessContext, Interaction
from server.access.narrow import decide
from server.fhir import json as fhir_json
from server.fhir.errors import Forbidden, NotFound
from server.interactions.services import Services
from server.search import extract
from server.store.port import Version, Write


def demand(access: AccessContext, interaction: Interaction, type_: str) -> None:
    """Raise ``Forbidden`` when no permit speaks of the interaction on the type."""
    for permit in access.permits:
        if permit.covers(type_, interaction):
            return
    raise Forbidden(f"this token does not allow {interaction} of {type_}")


def limited(access: AccessContext, interaction: Interaction, type_: str) -> bool:
    """Tell whether the caller may do this inside some compartments only."""
    return not any(p.whole for p in access.covering(type_, interaction))


def demand_write(access: AccessContext, interaction: Interaction, write: Write) -> None:
    """Raise ``Forbidden`` when the version to be written would lie outside the caller's limits."""
    keys = write.rows.keys if write.rows is not None else frozenset[int]()
    if limited(access, interaction, write.type) and not decide(
        access, interaction, write.type, keys
    ):
        raise Forbidden(
            f"this token allows {interaction} of {write.type} only inside the record it is for"
        )


def demand_change(
    services: Services, access: AccessContext, interaction: Interaction, current: Version
) -> None:
    """Check the version that is there, before it is replaced or deleted.

    Raises:
        NotFound: the caller may not even see it, so it does not exist.
        Forbidden: the caller may see it, but not change it.
    """
    if not limited(access, interaction, current.type):
        return
    keys = _keys(services, current)
    if decide(access, interaction, current.type, keys):
        return
    if decide(access, "read", current.type, keys):
        raise Forbidden(f"this token does not allow {interaction} of this {current.type}")
    raise not_found(current.type, current.id)


def not_found(type_: str, id_: str) -> NotFound:
    """Return the one error for what is absent and for what may not be seen."""
    return NotFound(f"{type_}/{id_} is not known")


async def live(services: Services, type_: str, id_: str) -> Version | None:
    """Return the latest version, whoever asks, unless it is a deletion.

    For the checks of this module only: nothing of it may be shown before they passed.
    """
    current = await services.store.read(SYSTEM, type_, id_)
    return current if current is not None and current.body is not None else None


def _keys(services: Services, current: Version) -> frozenset[int]:
    stored: dict[str, Any] = fhir_json.loads(current.body or b"{}")
    return extract.index_rows(stored, services.base_url, catalog=services.catalog).keys
