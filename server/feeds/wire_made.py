"""What a maker made, as it goes back to the server (:mod:`.wire`): pickled tuples."""

import pickle
from typing import Any

from server.feeds.making import Made
from server.feeds.refused import Reason, RefusedMessage
from server.search.query import HasKey, Query
from server.search.rows import IndexRows
from server.store.port import Body, Expect, RecordWrite, Write

_ROWS = ("keys", "date", "strings", "dates", "numbers", "texts", "references", "names", "points",
         "narrative", "content")  # fmt: skip


def pack_made(made: Made) -> bytes:
    """Return what was made as bytes."""
    provenance = _write(made.provenance) if made.provenance is not None else None
    told = (
        [_write(one) for one in made.writes],
        made.produced,
        provenance,
        [_expect(one) for one in made.expects],
        [(r.kind, r.key, r.value, r.tag, r.if_rev, r.expires_at) for r in made.records],
        made.warnings,
    )
    return pickle.dumps((True, told), pickle.HIGHEST_PROTOCOL)


def pack_refused(refused: RefusedMessage) -> bytes:
    """Return why a message belongs in quarantine, as bytes."""
    told = refused.reason, refused.problem, refused.issues
    return pickle.dumps((False, told), pickle.HIGHEST_PROTOCOL)


FAILED = pickle.dumps((None, None), pickle.HIGHEST_PROTOCOL)
"""Whatever else happened: whoever asked tries it themselves, and meets it."""


def read_answer(body: bytes) -> Made | None:
    """Return what was made, ``None`` when that failed.

    Raises:
        RefusedMessage: the message belongs in quarantine.
    """
    made, told = pickle.loads(body)  # noqa: S301 - from a process that we started
    if made is None:
        return None
    if not made:
        reason: Reason
        reason, problem, issues = told
        raise RefusedMessage(reason, problem, issues)
    writes, produced, provenance, expects, records, warnings = told
    return Made(
        tuple(_read_write(one) for one in writes),
        produced,
        _read_write(provenance) if provenance is not None else None,
        tuple(_read_expect(one) for one in expects),
        tuple(RecordWrite(*one) for one in records),
        warnings,
    )


def _write(write: Write) -> tuple[Any, ...]:
    rows, body = write.rows, write.body
    assert isinstance(rows, IndexRows)
    assert body is not None
    return (
        write.type,
        write.id,
        body.head,
        body.tail,
        tuple(getattr(rows, name) for name in _ROWS),
        write.compartments,
        write.method,
        write.if_version,
        write.must_be_new,
    )


def _read_write(row: tuple[Any, ...]) -> Write:
    type_, id_, head, tail, rows, *rest = row
    return Write(type_, id_, Body(head, tail), IndexRows(*rows), *rest)


def _expect(expect: Expect) -> tuple[Any, ...]:
    """Return an expectation, the common one without its classes."""
    query, where = expect.query, expect.query.where
    if type(where) is HasKey and query == Query(query.types, where):
        return expect.claim, query.types, where.keys, tuple(expect.ids)
    return expect.claim, query, None, tuple(expect.ids)


def _read_expect(row: tuple[Any, ...]) -> Expect:
    claim, asked, keys, ids = row
    query = asked if keys is None else Query(asked, HasKey(keys))
    return Expect(claim, query, frozenset(ids))
