"""Who calls: tokens now, the SMART authorization server in this same room."""

from server.auth.administrator import (
    Authenticator,
    OpenHouse,
    has_token,
    new_token,
    remove_token,
    tokens,
)

__all__ = ["Authenticator", "OpenHouse", "has_token", "new_token", "remove_token", "tokens"]
