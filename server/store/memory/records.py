"""The server's own small records, kept in memory beside the resources."""

from collections.abc import Callable, Collection, Mapping

from server.store.checks import check_record
from server.store.port import Record, RecordWrite


class MemoryRecords:
    """The :class:`server.store.port.RecordStore` of a memory store."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._records: dict[tuple[str, str], Record] = {}

    async def get_record(self, kind: str, key: str) -> Record | None:
        """See :meth:`server.store.port.RecordStore.get_record`."""
        return self._record(kind, key)

    async def find_records(
        self, kind: str, *, tag: str | None = None, after: str = "", limit: int = 100
    ) -> list[Record]:
        """See :meth:`server.store.port.RecordStore.find_records`."""
        found = [
            record
            for record in self._records_of(kind)
            if record.key > after and tag in (None, record.tag)
        ]
        return sorted(found, key=lambda record: record.key)[:limit]

    async def count_records(
        self, kind: str, tags: Collection[str] | None = None
    ) -> Mapping[str, int]:
        """See :meth:`server.store.port.RecordStore.count_records`."""
        counts: dict[str, int] = {}
        for record in self._records_of(kind):
            if tags is not None and record.tag not in tags:
                continue
            counts[record.tag] = counts.get(record.tag, 0) + 1
        return counts

    async def take_record(self, kind: str, key: str) -> Record | None:
        """See :meth:`server.store.port.RecordStore.take_record`."""
        record = self._record(kind, key)
        self._records.pop((kind, key), None)
        return record

    async def expire_records(self, now: int) -> int:
        """See :meth:`server.store.port.RecordStore.expire_records`."""
        gone = [place for place, record in self._records.items() if _expired(record, now)]
        for place in gone:
            del self._records[place]
        return len(gone)

    def _record(self, kind: str, key: str) -> Record | None:
        record = self._records.get((kind, key))
        return None if record is None or _expired(record, self._now()) else record

    def _records_of(self, kind: str) -> list[Record]:
        now = self._now()
        return [r for r in self._records.values() if r.kind == kind and not _expired(r, now)]

    def _next_record(self, write: RecordWrite) -> Record | None:
        had = self._record(write.kind, write.key)
        rev = had.rev if had is not None else 0
        check_record(write, rev)
        if write.value is None:
            return None
        return Record(write.kind, write.key, write.value, write.tag, rev + 1, write.expires_at)

    def _put(self, write: RecordWrite, record: Record | None) -> None:
        if record is None:
            self._records.pop((write.kind, write.key), None)
        else:
            self._records[write.kind, write.key] = record


def _expired(record: Record, now: int) -> bool:
    return record.expires_at is not None and record.expires_at <= now
