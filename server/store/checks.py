"""The refusals that every store words alike.  Pure."""

from collections.abc import Sequence

from server.fhir.errors import VersionConflict
from server.store.port import CommitConflict, RecordWrite, Write


def check_version(write: Write, latest: int) -> None:
    """Refuse a write whose ``if_version`` or ``must_be_new`` does not hold.

    ``latest``: the number of the latest version, deletions counted, ``0`` when there is none.
    """
    if write.must_be_new and latest:
        raise VersionConflict(f"{write.type}/{write.id} exists already")
    if write.if_version is not None and write.if_version != latest:
        raise VersionConflict(
            f"{write.type}/{write.id} is at version {latest}, not {write.if_version}"
        )


def check_record(write: RecordWrite, rev: int) -> None:
    """Refuse a record whose ``if_rev`` does not hold; ``rev`` is ``0`` when there is none."""
    if write.if_rev is not None and write.if_rev != rev:
        raise CommitConflict(f"a record of kind {write.kind!r} is at {rev}, not {write.if_rev}")


def check_distinct(writes: Sequence[Write]) -> None:
    """Refuse, as the caller's bug, two writes of one resource (R4 http.html#trules)."""
    if len({(write.type, write.id) for write in writes}) != len(writes):
        raise ValueError("a commit holds at most one write of a resource")
