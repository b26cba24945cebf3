"""Making the rows of all resources anew, a few at a time, while commits go on."""

from collections.abc import Callable
from dataclasses import dataclass

from server.store.port import Index
from server.store.sqlite import reindex
from server.store.sqlite.writer import Writer

_AT_ONCE = 25  # resources of one transaction; commits wait for a few milliseconds at most


@dataclass(slots=True)
class Reindexing:
    """How far it has come: resources left (``None``: not counted), the last one done."""

    left: int | None = None
    upto: int = 0
    superseded: bool = False  # other definitions have come: what is done counts for these only

    async def go_on(self, writer: Writer, index: Callable[[], Index], batch: int) -> int:
        """Make the rows of up to ``batch`` resources; return how many are left, about.

        ``index`` returns what makes them now.
        """
        if self.left is None:
            self.left = await writer.run(lambda tables: reindex.todo(tables.db, tables.fp))
        done = 0
        while self.left and done < batch and not self.superseded:
            size = min(_AT_ONCE, batch - done)
            made, self.upto = await writer.run(
                # The label first: rows of an index that comes in between are labelled too old.
                lambda tables, size=size: reindex.batch(  # type: ignore[misc]
                    tables, tables.fp, index(), self.upto, size
                )
            )
            done += made
            # Updates make rows anew as well, so an empty batch, not the count, is the end.
            self.left = max(self.left - made, 1) if made == size else 0
        return self.left
