"""Who calls: tokens now, the SMART authorization server in this same room."""

from server.auth.administrator import (
    Authenticator,
    OpenHouse,
    has_token,
    new_token,
    remove_token,
    tokens,
)
from server.auth.feed_token import (
    FeedDoor,
    administrator,
    feed_tokens,
    new_feed_token,
    remove_feed_token,
)

__all__ = [
    "Authenticator",
    "FeedDoor",
    "OpenHouse",
    "administrator",
    "feed_tokens",
    "has_token",
    "new_feed_token",
    "new_token",
    "remove_feed_token",
    "remove_token",
    "tokens",
]
