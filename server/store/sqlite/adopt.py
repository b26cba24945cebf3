"""Everything in the file as it lies there, given to another store or taken from it."""

from collections.abc import Sequence
from typing import Any

from server.store.moving import Kept
from server.store.port import OutboxRow, Record
from server.store.sqlite import rows
from server.store.sqlite.pages import COLUMNS
from server.store.sqlite.sight import version_of
from server.store.sqlite.store import SqliteStore
from server.store.sqlite.tables import Tables

_DEADLINE_S = 60.0
_VERSIONS = (
    f"select {COLUMNS} from ver v cross join res r on r.rid=v.rid"
    " where v.vid>? order by v.vid limit ?"
)
_MARKS = 6  # of a row: its compartments
_RECORDS = (
    "select kind, key, value, tag, rev, expires_at from rec"
    " where (kind, key) > (?, ?) order by kind, key limit ?"
)


class SqliteMover:
    """See :class:`server.store.moving.Mover`.  It works with the insides of the store it is of."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    async def last(self) -> int:
        """See :meth:`server.store.moving.Mover.last`."""
        return await self._store._readers.run(
            lambda reader: int(reader.db.execute("select max(vid) from ver").get or 0), _DEADLINE_S
        )

    async def versions(self, after: int, limit: int) -> list[Kept]:
        """See :meth:`server.store.moving.Mover.versions`."""

        def work(reader: Any) -> list[Kept]:
            found = reader.db.execute(_VERSIONS, (after, limit))
            return [Kept(version_of(row, reader.codec), rows.unpack(row[_MARKS])) for row in found]

        return await self._store._readers.run(work, _DEADLINE_S)

    async def adopt(self, versions: Sequence[Kept]) -> None:
        """See :meth:`server.store.moving.Mover.adopt`; all of them, or none."""
        await self._store._writer.run(lambda tables: _adopt(tables, versions))

    async def records(self, after: tuple[str, str], limit: int) -> list[Record]:
        """See :meth:`server.store.moving.Mover.records`."""
        return await self._store._readers.run(
            lambda reader: [Record(*row) for row in reader.db.execute(_RECORDS, (*after, limit))],
            _DEADLINE_S,
        )

    async def adopt_records(self, records: Sequence[Record]) -> None:
        """See :meth:`server.store.moving.Mover.adopt_records`."""
        made = [(r.kind, r.key, r.value, r.tag, r.rev, r.expires_at) for r in records]
        await self._store._writer.run(
            lambda tables: tables.db.executemany(
                "insert or replace into rec values (?,?,?,?,?,?)", made
            )
        )

    async def adopt_outbox(self, outbox: Sequence[OutboxRow]) -> None:
        """See :meth:`server.store.moving.Mover.adopt_outbox`."""
        made = [(row.seq, row.topic, row.payload) for row in outbox]
        await self._store._writer.run(
            lambda tables: tables.db.executemany(
                "insert or replace into outbox (seq, topic, payload) values (?,?,?)", made
            )
        )


def _adopt(tables: Tables, versions: Sequence[Kept]) -> None:
    tables.flush()
    for kept in versions:
        tables.adopt(kept.version, kept.marks)
    tables.reload()
