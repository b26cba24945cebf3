"""The second store: the same port on a MongoDB replica set or sharded cluster."""

from server.store.mongo.store import MongoStore

__all__ = ["MongoStore"]
