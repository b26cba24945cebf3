"""What the operator decided about the authorization server, and the addresses that follow."""

from dataclasses import dataclass, field
from typing import Any, Literal

SECOND = 1_000_000  # microseconds

CODE_S = 60  # RFC 6749, 4.1.2; SMART app-launch.html#response-4: "around one minute"
PENDING_S = 600  # to log in, choose a patient and agree


@dataclass(frozen=True, slots=True)
class Terms:
    """``base_url`` is the FHIR base, without a slash at its end; the issuer is what is above it.

    ``registration``: who may register an app by RFC 7591; ``token`` asks for an initial access
    token.  ``registration_scope``: what such an app may ask for, at most.  ``access_s``,
    ``backend_s``: life of access tokens, of apps and of backend services.  ``refresh_days``: how
    long a refresh token waits for its use.  ``brand_bundle``, ``brand_identifier``: user-access
    brands (brands.html).  ``style_url``: of the SMART style (#styling).
    """

    base_url: str
    registration: Literal["off", "token", "open"] = "off"
    registration_scope: str = (
        "launch launch/patient launch/encounter openid fhirUser profile offline_access "
        "online_access patient/*.rs user/*.rs"
    )
    access_s: int = 3600
    backend_s: int = 300
    refresh_days: int = 90
    brand_bundle: str | None = None
    brand_identifier: dict[str, Any] | None = field(default=None, hash=False)
    style_url: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.access_s <= 3600:  # app-launch.html#response-5
            raise ValueError("access tokens live at least a second and at most an hour")
        if not 1 <= self.backend_s <= 300:  # backend-services.html#issue-access-token
            raise ValueError("tokens of backend services live at most five minutes")

    @property
    def issuer(self) -> str:
        """The issuer (RFC 8414, 2; OpenID Connect Core 2): the origin of the FHIR base."""
        return self.base_url.removesuffix("/fhir")

    @property
    def token_endpoint(self) -> str:
        """Also the audience of a client's assertion."""
        return self.at("token")

    def at(self, name: str) -> str:
        """Return the address of one of our endpoints."""
        return f"{self.issuer}/auth/{name}"
