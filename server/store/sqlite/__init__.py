"""The embedded store: all features in one SQLite file, no other server needed."""

from server.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
