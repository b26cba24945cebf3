"""What a destination would be told of a resource's latest change; nothing is queued or sent."""

from mappings.emit import Outlet
from mappings.encode import Unencodable, write_segment
from server.access.context import SYSTEM
from server.feeds.outbound.envelope import to_message
from server.feeds.outbound.gather import Occasion
from server.feeds.outbound.queue import Queue
from server.feeds.outbound.route import Router
from server.interactions.services import Services


async def preview(
    services: Services, outlet: Outlet, about: str
) -> list[tuple[str, tuple[str, ...]]]:
    """Return each message as text, a segment a line, and what it could not say.

    ``about`` is ``Encounter/x``, or ``Encounter/x/_history/2``; the version is told alone, as if
    nothing else had been in its commit, and whatever feed it came by.

    Raises:
        LookupError: there is no such resource.
    """
    parts = about.split("/")
    if len(parts) == 4 and parts[2] == "_history" and parts[3].isdecimal():
        version = await services.store.vread(SYSTEM, parts[0], parts[1], int(parts[3]))
    elif len(parts) == 2:
        version = await services.store.read(SYSTEM, parts[0], parts[1])
    else:
        version = None
    if version is None:
        raise LookupError(f"there is no {about}")
    router = Router(services, outlet, Queue(services.store, outlet.destination.name))
    made: list[tuple[str, tuple[str, ...]]] = []
    for told in await router.told(Occasion((version,))):
        if told.withheld:
            made.append((told.made.type, (f"it would be withheld: {' '.join(told.withheld)}",)))
            continue
        notes = told.made.notes
        if told.reason:
            notes = (*notes, f"it would be parked: {told.problem}")
        try:
            body = to_message(told.made, outlet.destination, id_="PREVIEW", at=version.at)
            text = body.decode("utf-8", "replace").replace("\r", "\n").rstrip("\n")
        except Unencodable as wrong:
            text = "\n".join(write_segment(one) for one in told.made.segments)
            notes = (*notes, f"it would be parked: {wrong.problem}")
        made.append((text, notes))
    return made
