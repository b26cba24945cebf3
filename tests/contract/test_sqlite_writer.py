"""The writer's thread: what it keeps in memory is what the file says, or it writes nothing."""

from pathlib import Path
from typing import Any

import apsw
import pytest

from server.fhir.errors import StoreUnavailable
from server.store.sqlite.connect import connect, prepare
from server.store.sqlite.writer import Writer


class Numbers:
    """State that is read from the file, which fails ``unreadable`` times."""

    changes, improvable = 0, False

    def __init__(self) -> None:
        self.known: list[int] = []
        self.unreadable = 0

    def flush(self) -> None: ...

    def improve(self) -> None: ...

    def reload(self) -> None:
        if self.unreadable:
            self.unreadable -= 1
            raise apsw.IOError("disk I/O error")
        self.known.clear()


async def test_nothing_is_written_by_numbers_that_were_undone(tmp_path: Path) -> None:
    prepare(tmp_path / "record.db")
    state = Numbers()
    writer = Writer(connect(tmp_path / "record.db"), state)

    def full(numbers: Any) -> None:
        numbers.known.append(1)
        raise apsw.FullError("database or disk is full")

    def written(numbers: Any) -> list[int]:
        return list(numbers.known)

    state.unreadable = 2
    for work in (full, written):
        with pytest.raises(StoreUnavailable):
            await writer.run(work)
    assert await writer.run(written) == []
    writer.close()
