"""What every store makes of a :class:`~server.store.port.Write` before it keeps it.  Pure."""

from collections.abc import Iterable
from functools import lru_cache

from server.fhir.dates import instant_text
from server.search.rows import IndexRows, compartment_key, hash64, label_mark
from server.store.port import Body

MILLISECOND = 1000


def splice(body: Body, number: int, at: int) -> bytes:
    """Return the stored JSON: ``body`` with version and time written into its ``meta``.

    >>> splice(Body(b'{"meta":{', b"}}"), 7, 1767323045678000)
    b'{"meta":{"versionId":"7","lastUpdated":"2026-01-02T03:04:05.678Z"}}'
    """
    return body.head + decided(number, at) + body.tail


def decided(number: int, at: int) -> bytes:
    """Return what the store writes into a resource's ``meta``."""
    return f'"versionId":"{number}","lastUpdated":"{instant_text(at)}"'.encode("ascii")


def next_at(now: int, last: int) -> int:
    """Return ``meta.lastUpdated`` of a commit: cut to milliseconds, never before ``last`` (S10).

    >>> next_at(1_999, 0), next_at(1_999, 5_000)
    (1000, 5000)
    """
    return max(now - now % MILLISECOND, last)


def stored_keys(type_: str, rows: IndexRows, compartments: frozenset[int]) -> frozenset[int]:
    """Return the keys to store: those of the rows, the type itself, and the compartments.

    A store adds the last two itself, so that access and whole-type walks never depend on how the
    rows were made.
    """
    own = type_key(type_)
    if own in rows.keys and compartments <= rows.keys:
        return rows.keys
    return rows.keys | compartments | {own}


def compartment_hashes(references: Iterable[str]) -> frozenset[int]:
    """Return the hashed keys of compartments such as ``Patient/x``, and of other marks.

    What bears a security label has the key of :data:`LABELLED` as well.
    """
    hashes: set[int] = set()
    for reference in references:
        hashes.add(_compartment(reference))
        if reference.startswith(_LABEL):
            hashes.add(LABELLED)
    return frozenset(hashes)


def given(type_: str, kept: frozenset[int]) -> frozenset[int]:
    """Return what of the compartments kept with a version no index can make anew.

    A Provenance that the server makes is in the compartment of the patient whose record was
    written, which its references do not tell.
    """
    return kept if type_ == "Provenance" else frozenset()


@lru_cache(maxsize=16_384)
def _compartment(reference: str) -> int:
    return hash64(compartment_key(reference))


LABELLED = hash64(compartment_key("labelled"))
"""The key of all that bears a label: most resources bear none, and one look then tells so."""

_LABEL = label_mark("")


@lru_cache(maxsize=512)
def type_key(type_: str) -> int:
    """Return the key that every resource of the type has."""
    return hash64(type_)
