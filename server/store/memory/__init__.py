"""The store that lives as long as its process: for tests, demonstrations and as specification."""

from server.store.memory.store import MemoryStore

__all__ = ["MemoryStore"]
