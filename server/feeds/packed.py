"""A plan that another process made, which stays packed until it is needed here."""

from dataclasses import dataclass

from mappings.plan import Plan


@dataclass(slots=True)
class PackedPlan(Plan):
    """What the lanes, the inbox and the answer need of a plan; ``resources`` are its patients.

    ``packed`` holds all of its resources (:func:`server.feeds.wire.unpacked`), ``count`` of them;
    ``explained`` is what :func:`server.feeds.inbox.explained` makes of it.  ``ahead``: what it came
    to (:func:`server.feeds.wire_made.pack_made`) against the record as it was when it was planned,
    empty when that is not known; ``since`` tells when that was, as who asked counts.
    """

    packed: bytes = b""
    count: int = 0
    explained: bytes = b""
    ahead: bytes = b""
    since: int = 0
