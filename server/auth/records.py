"""What the authorization server keeps: the shapes, and their place in the store's records.

Secrets are kept as SHA-256 of 256 random bits (tokens, codes, handles, cookies, generated client
secrets) or as argon2id (passwords).  Times are microseconds since 1970-01-01T00:00:00Z.
"""

from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from typing import Any, ClassVar, Literal, Self

from server.fhir import json as fhir_json

Role = Literal["patient", "practitioner", "admin"]


class Kept:
    """A dataclass that is kept as the JSON value of a record of kind :attr:`KIND`."""

    __slots__ = ()
    KIND: ClassVar[str]

    def pack(self) -> bytes:
        """Return the value to keep."""
        return fhir_json.dumps(asdict(self))  # type: ignore[call-overload] # a dataclass, below

    @classmethod
    def unpack(cls, value: bytes) -> Self:
        """Return what :meth:`pack` was given; members that are not known any more are left out."""
        known = {one.name for one in fields(cls)}  # type: ignore[arg-type] # as above
        read = {name: _frozen(v) for name, v in fhir_json.loads(value).items() if name in known}
        return cls(**read)


@dataclass(frozen=True, slots=True)
class User(Kept):
    """A person who logs in.  Key: ``name``.  Tag: ``user``.

    ``password``: argon2id in its encoded form; ``None``: only an external provider logs in.
    ``fhir_user``: ``Patient/x``, ``Practitioner/x``, ``RelatedPerson/x``.  ``departments``:
    ``Organization/x``; none means every department.  ``external``: ``issuer subject``.
    """

    KIND: ClassVar[str] = "user"
    name: str
    password: str | None = None
    roles: tuple[Role, ...] = ()
    fhir_user: str | None = None
    departments: tuple[str, ...] = ()
    display: str = ""
    external: str | None = None
    active: bool = True
    created: int = 0


@dataclass(frozen=True, slots=True)
class Client(Kept):
    """A registered program.  Key: ``id``.  Tag: ``client``.

    ``auth``: how it authenticates at the token endpoint (RFC 7591 names).  ``secret``: SHA-256.
    ``scope``: what it may ask for, at most.  ``grants``: ``authorization_code``, ``refresh_token``,
    ``client_credentials``.  ``origins``: of browser apps, for CORS; none means those of the
    redirect addresses.
    """

    KIND: ClassVar[str] = "client"
    id: str
    name: str
    auth: Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"] = "none"
    secret: str | None = None
    redirect_uris: tuple[str, ...] = ()
    scope: str = ""
    grants: tuple[str, ...] = ("authorization_code",)
    jwks: dict[str, Any] | None = None
    jwks_uri: str | None = None
    origins: tuple[str, ...] = ()
    launch_uri: str | None = None
    logo_uri: str | None = None
    registered_by: Literal["operator", "itself"] = "operator"
    active: bool = True
    created: int = 0


@dataclass(frozen=True, slots=True)
class Session(Kept):
    """A logged-in browser.  Key: SHA-256 of the cookie.  Tag: the user's name."""

    KIND: ClassVar[str] = "session"
    user: str
    auth_time: int
    csrf: str


@dataclass(frozen=True, slots=True)
class Launch(Kept):
    """An EHR launch.  Key: SHA-256 of the handle.  Tag: the user's name.  Taken once.

    ``context``: what else goes beside the access token (``encounter``, ``fhirContext``,
    ``need_patient_banner``, ``intent``, ``tenant`` ...; SMART scopes-and-launch-context.html).
    ``session``: key of the session that it was made in; no other may use it.
    """

    KIND: ClassVar[str] = "launch"
    user: str
    client: str | None = None
    patient: str | None = None
    context: dict[str, Any] = field(default_factory=dict)
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Grant(Kept):
    """What a user, or the operator, allowed a client: the family of its tokens.

    Key: ``id``.  Tag: the user's name (``client/ID`` of backend services).  Removing it ends
    every token of it at once.  ``scope``: as granted.  ``patient``: an id, no reference.
    ``refresh``: which kind was granted.  ``session``: key of the session, for online access.
    ``audience``: the FHIR base that its tokens are for.
    """

    KIND: ClassVar[str] = "grant"
    id: str
    client: str
    user: str | None
    scope: str
    patient: str | None = None
    context: dict[str, Any] = field(default_factory=dict)
    refresh: Literal["offline", "online"] | None = None
    session: str | None = None
    auth_time: int = 0
    created: int = 0
    used: int = 0
    audience: str = ""


@dataclass(frozen=True, slots=True)
class Code(Kept):
    """An authorization code.  Key: SHA-256 of it.  Tag: the grant's id.  Expires in a minute.

    ``spent`` codes stay until they expire, so that a second use is seen and ends the family.
    """

    KIND: ClassVar[str] = "code"
    grant: str
    client: str
    redirect_uri: str
    challenge: str
    nonce: str | None = None
    spent: bool = False


@dataclass(frozen=True, slots=True)
class AccessToken(Kept):
    """An access token.  Key: SHA-256 of it.  Tag: the grant's id."""

    KIND: ClassVar[str] = "access-token"
    grant: str
    client: str
    scope: str
    issued: int
    expires: int


@dataclass(frozen=True, slots=True)
class RefreshToken(Kept):
    """A refresh token.  Key: SHA-256 of it.  Tag: the grant's id.  ``spent``: as with codes."""

    KIND: ClassVar[str] = "refresh-token"
    grant: str
    client: str
    spent: bool = False


@dataclass(frozen=True, slots=True)
class Proxy(Kept):
    """Why a RelatedPerson acts for a patient.  Key: ``RelatedPerson/x``.  Tag: ``Patient/y``.

    ``basis``: ``parent``, ``guardian``, ``power-of-attorney``, ``authorization``.  ``scope``: what
    it covers at most.  ``start`` and ``end`` are dates (``2026-11-22``) in the facility's zone, the
    last day included; RelatedPerson.period bounds it as well.
    """

    KIND: ClassVar[str] = "proxy"
    related_person: str
    patient: str
    basis: str
    scope: str = "patient/*.rs"
    start: str | None = None
    end: str | None = None


def key_of(secret: str) -> str:
    """Return the key under which a token, code, handle or cookie is kept."""
    return sha256(secret.encode()).hexdigest()


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
