"""An external OpenID provider, as settings name it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Provider:
    """``issuer`` is its address without a slash at its end; ``label`` is what the button says."""

    issuer: str
    client_id: str
    client_secret: str | None = None
    scope: str = "openid profile"
    label: str = "Log in with your organization"
