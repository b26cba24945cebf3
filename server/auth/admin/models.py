"""The shapes of the admin API.  Times are RFC 3339, UTC.  No secret and no hash goes out."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from server.auth.records import Client, Grant, Proxy, Role, User


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class UserOut(_Model):
    """A person who logs in."""

    name: str
    roles: list[Role]
    fhir_user: str | None = Field(description="Who it is in the record: `Patient/x`.")
    departments: list[str] = Field(description="`Organization/x`; none is every department.")
    display: str
    external: str | None = Field(description="Issuer and subject at the external provider.")
    has_password: bool
    active: bool
    created: str | None

    @classmethod
    def of(cls, user: User) -> "UserOut":
        """Return what of a user may be shown."""
        return cls(
            name=user.name,
            roles=list(user.roles),
            fhir_user=user.fhir_user,
            departments=list(user.departments),
            display=user.display,
            external=user.external,
            has_password=user.password is not None,
            active=user.active,
            created=instant(user.created),
        )


class UserIn(_Model):
    """A new user."""

    name: str
    roles: list[Role]
    password: SecretStr | None = Field(
        None, description="12 characters or more; none: only the external provider logs in."
    )
    fhir_user: str | None = None
    departments: list[str] = []
    display: str = ""
    external: str | None = None


class UserChange(_Model):
    """What to change of a user; what is not given stays."""

    roles: list[Role] | None = None
    fhir_user: str | None = None
    departments: list[str] | None = None
    active: bool | None = None


class PasswordIn(_Model):
    """A new password."""

    password: SecretStr


class ClientOut(_Model):
    """A program that may ask for access."""

    id: str
    name: str
    auth: str
    scope: str
    grants: list[str]
    redirect_uris: list[str]
    origins: list[str]
    launch_uri: str | None
    logo_uri: str | None
    jwks: dict[str, Any] | None
    jwks_uri: str | None
    active: bool
    created: str | None
    secret: str | None = Field(None, description="When it was made just now; shown this once.")

    @classmethod
    def of(cls, client: Client, secret: str | None = None) -> "ClientOut":
        """Return what of a client may be shown."""
        return cls(
            id=client.id,
            name=client.name,
            auth=client.auth,
            scope=client.scope,
            grants=list(client.grants),
            redirect_uris=list(client.redirect_uris),
            origins=list(client.origins),
            launch_uri=client.launch_uri,
            logo_uri=client.logo_uri,
            jwks=client.jwks,
            jwks_uri=client.jwks_uri,
            active=client.active,
            created=instant(client.created),
            secret=secret,
        )


class ClientIn(_Model):
    """A new client.  One that authenticates by a secret and gives none gets one."""

    id: str
    name: str | None = None
    auth: Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"] = "none"
    secret: SecretStr | None = None
    scope: str
    grants: list[str] | None = None
    redirect_uris: list[str] = []
    origins: list[str] = []
    launch_uri: str | None = None
    logo_uri: str | None = None
    jwks: dict[str, Any] | None = None
    jwks_uri: str | None = None


class ClientChange(_Model):
    """What to change of a client; what is not given stays."""

    name: str | None = None
    scope: str | None = None
    redirect_uris: list[str] | None = None
    origins: list[str] | None = None
    launch_uri: str | None = None
    logo_uri: str | None = None
    jwks: dict[str, Any] | None = None
    jwks_uri: str | None = None
    active: bool | None = None


class GrantOut(_Model):
    """What a user, or the operator, allowed a client."""

    id: str
    client: str
    user: str | None
    scope: str
    patient: str | None
    refresh: Literal["offline", "online"] | None
    created: str | None
    used: str | None

    @classmethod
    def of(cls, grant: Grant) -> "GrantOut":
        """Return what of a grant may be shown."""
        return cls(
            id=grant.id,
            client=grant.client,
            user=grant.user,
            scope=grant.scope,
            patient=grant.patient,
            refresh=grant.refresh,
            created=instant(grant.created),
            used=instant(grant.used),
        )


class GrantsOut(_Model):
    """A page of grants."""

    grants: list[GrantOut]
    next: str | None = Field(description="`after` of the next page, if there is one.")


class ProxyModel(_Model):
    """Why a RelatedPerson acts for a patient.  Days are in the facility's zone, both included."""

    related_person: str = Field(description="`RelatedPerson/x`.")
    patient: str = Field(description="`Patient/y`.")
    basis: str
    scope: str = "patient/*.rs"
    start: str | None = None
    end: str | None = None

    @classmethod
    def of(cls, proxy: Proxy) -> "ProxyModel":
        """Return a proxy as it is shown."""
        return cls(
            related_person=proxy.related_person,
            patient=proxy.patient,
            basis=proxy.basis,
            scope=proxy.scope,
            start=proxy.start,
            end=proxy.end,
        )


def instant(us: int) -> str | None:
    """Return microseconds as RFC 3339; ``None`` for never."""
    if not us:
        return None
    at = datetime.fromtimestamp(us / 1e6, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
