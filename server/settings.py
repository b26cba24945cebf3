"""Every setting, its default and its reason.  docs/settings.md is generated from this class.

Precedence: command line, environment (``TELLONCE_*``), the ``.env`` file, the default.  Read once,
at start, by the command line; everything else is handed the values it needs, never this object.
"""

from ipaddress import ip_address
from json import JSONDecodeError, loads
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    HttpUrl,
    PlainSerializer,
    PlainValidator,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from server.auth.limits import Rate
from server.safe_client import origin
from server.store.address import StoreAddress


def _or_none(value: Any) -> Any:
    """Read ``none`` and nothing at all as ``None``."""
    return None if value in ("", "none") else value


def _listed(value: Any) -> Any:
    """Read a list written as JSON; any other text is a list of that one."""
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith("["):
        return (value,) if value else ()
    try:
        return loads(value)
    except JSONDecodeError as error:
        raise ValueError(f'not a list in JSON, such as ["a", "b"]: {error}') from error


def _rate(value: str) -> str:
    """Refuse what is no rate (:class:`server.auth.limits.Rate`)."""
    Rate.read(value)
    return value


def _address(value: Any) -> Any:
    """Read where a store is (:class:`server.store.address.StoreAddress`)."""
    return StoreAddress.read(value) if isinstance(value, str) else value


# Whatever a framework makes of settings (a dump, a message) has no password in it.
StoreUrl = Annotated[StoreAddress, PlainValidator(_address), PlainSerializer(str)]


Limit = Annotated[str, AfterValidator(_rate)]


class Settings(BaseSettings):
    """Settings of one server process."""

    model_config = SettingsConfigDict(
        env_prefix="TELLONCE_", env_file=".env", frozen=True, extra="ignore"
    )

    host: str = Field(
        "127.0.0.1",
        description="Address the HTTP server binds. Anything but loopback needs TLS settings.",
    )
    port: int = Field(8080, ge=0, le=65535, description="Port of the HTTP server; 0 takes any.")
    data: Path = Field(
        Path("tellonce-data"),
        description="Folder of the embedded store; made when it is not there.",
    )
    store: StoreUrl | None = Field(
        None,
        description="Where the record lives when not in the data folder: `sqlite:///FILE`, or "
        "`mongodb://HOST/DATABASE?replicaSet=NAME` for the store of several servers "
        "(`docs/deploy.md`).",
    )
    store_uri_file: Path | None = Field(
        None,
        description="File with the address of the store, when there is a password in it: command "
        "lines and environments of processes are easily read.",
    )
    base_url: HttpUrl | None = Field(
        None,
        description="Public address of the FHIR API, written into every link. It ends in `/fhir` "
        "and is https, or on this machine: the pages that people log in on are beside it. "
        "Default: the address that the server is bound to, with `/fhir`.",
    )
    open: bool = Field(
        False,
        description="No tokens: everybody who reaches the port may do everything. "
        "Refused on any address but loopback.",
    )
    tls_cert: Path | None = Field(None, description="PEM file with the server's certificate chain.")
    tls_key: Path | None = Field(None, description="PEM file with the certificate's private key.")
    behind_tls_proxy: bool = Field(
        False,
        description="A proxy in front ends TLS; allows binding other addresses without a "
        "certificate. Set the public address with the base URL. The last entry of "
        "`X-Forwarded-For` is believed to be the client's address, for limits and audit.",
    )
    mllp_host: str = Field(
        "127.0.0.1", description="Address the MLLP listener binds (HL7v2 over TCP)."
    )
    mllp_port: Annotated[int | None, BeforeValidator(_or_none)] = Field(
        2575,
        ge=0,
        le=65535,
        description="Port of the MLLP listener; 0 takes any, `none` listens on none.",
    )
    mllp_tls_cert: Path | None = Field(
        None,
        description="PEM file with the certificate chain of the MLLP listener: HL7v2 over TLS.",
    )
    mllp_tls_key: Path | None = Field(
        None, description="PEM file with the private key of the MLLP listener's certificate."
    )
    mllp_tls_client_ca: Path | None = Field(
        None,
        description="PEM file with the authorities whose certificates MLLP senders must show "
        "(mutual TLS). Without it every sender that reaches the port is listened to.",
    )
    mllp_insecure: bool = Field(
        False,
        description="Allow MLLP without TLS on an address that is not loopback, "
        "on a network that is protected by other means.",
    )
    mllp_feed: str = Field("default", description="Name of the feed that the MLLP port receives.")
    feeds: Path | None = Field(
        None,
        description="YAML file that says which senders are which feed: further ports, sending "
        "applications, certificates, addresses, drop folders.",
    )
    inbox_days: int = Field(
        400,
        ge=0,
        description="Days that an applied HL7v2 message (its bytes, its explanation, its state) is "
        "kept in the inbox; 0 is for ever. What was not applied is kept for ever.",
    )
    feed_processes: int | None = Field(
        None,
        ge=0,
        le=16,
        description="Processes beside the server that work out what HL7v2 messages change while "
        "many are waiting, for the embedded store; each takes about 100 MB while it runs. "
        "Default: 1 on two processors or more, else 0.",
    )
    maps: Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (), description="Folders with site maps, code tables and feeds, over those that ship."
    )
    delete: Literal["refuse-clinical", "allow"] = Field(
        "refuse-clinical",
        description="Whether DELETE works on types of the Patient compartment. A legal record is "
        "corrected (`entered-in-error`), not deleted.",
    )
    conditional_delete: Literal["single", "multiple"] = Field(
        "single",
        description="Whether a conditional DELETE that matches several resources is refused "
        "(`single`), or deletes them all in one commit (`multiple`).",
    )
    page_size: int = Field(
        20, ge=1, le=1000, description="Resources on a search page when `_count` is not given."
    )
    query_deadline_s: float = Field(
        10.0, gt=0, le=300, description="Seconds after which a search ends with `too-costly`."
    )
    search_words: bool = Field(
        True,
        description="Keep the words of resources for `_text` and `_content`, about a tenth of the "
        "file. Without them those two are refused.",
    )
    time_zone: str = Field(
        "UTC",
        description="Time zone (IANA name) of dates and times that state none, stored and asked. "
        "After a change the index is made anew while the server runs.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (), description="Origins of browser apps that may call the API, or `*`; none by default."
    )
    audit_reads: Literal["buffered", "durable"] = Field(
        "buffered",
        description="When the AuditEvents of reads and searches are on disk: within a second "
        "(`buffered`), or before the answer leaves (`durable`). Those of writes are in the commit "
        "of the write, always.",
    )
    access_policy: Path | None = Field(
        None,
        description="YAML file with who may see what, over the policy that ships: roles, "
        "departments, proxies, security labels, release of results. `docs/access.md`.",
    )
    validity: Path | None = Field(
        None,
        description="YAML file with how long what patients and others said holds, topic by topic, "
        "over the policy that ships (`server/continuity/policy/validity.yaml`). "
        "`docs/continuity.md`.",
    )
    registration: Literal["off", "token", "open"] = Field(
        "off",
        description="Whether apps may register themselves at `/auth/register` (RFC 7591): `off`; "
        "with a `token` of `tellonce token new --registration` in their hands; or `open` to "
        "whoever reaches the port, who could then ask people for access under any name.",
    )
    remember_consent: bool = Field(
        False,
        description="Do not ask people again about an app that wants no more than they agreed to "
        "before.",
    )
    access_token_s: int = Field(
        3600,
        ge=60,
        le=3600,
        description="Seconds that an access token lives. Apps renew it by a refresh token.",
    )
    backend_token_s: int = Field(
        300, ge=30, le=300, description="Seconds that an access token of a backend service lives."
    )
    refresh_days: int = Field(
        90,
        ge=1,
        le=400,
        description="Days without use after which a refresh token ends (`offline_access`).",
    )
    login_limit: Limit = Field(
        "10+6/min",
        description="Logins per user name, `BURST+N/min`; `none` is no limit. Those that succeed "
        "do not count.",
    )
    login_address_limit: Limit = Field(
        "60+60/min", description="Logins per network address. Those that succeed do not count."
    )
    token_limit: Limit = Field(
        "300+600/min",
        description="Requests to the token endpoint and its like, per client and per network "
        "address.",
    )
    registration_limit: Limit = Field(
        "20+6/min", description="Apps that register themselves, per network address."
    )
    request_limit: Limit = Field(
        "none",
        description="Requests to the FHIR API per client and user, such as `600+6000/min`. Beyond "
        "it: 429 with `Retry-After`.",
    )
    upstream_issuer: str | None = Field(
        None,
        description="Issuer of the OpenID provider that people may log in by, such as the "
        "hospital's own, exactly as it calls itself; https, or http on this machine. Users are "
        "told apart by its `sub`: `tellonce user add --external`.",
    )
    upstream_client: str | None = Field(
        None, description="Id of this server as a client of that provider."
    )
    upstream_secret_file: Path | None = Field(
        None,
        description="File with the secret of this server as a client of that provider. A file, "
        "because the environment of a process is easily read.",
    )
    upstream_aud: str | None = Field(
        None,
        description="FHIR address of that provider, sent as `aud`, when it is a SMART server "
        "itself and asks for it.",
    )
    upstream_label: str = Field(
        "Log in with your organization",
        min_length=1,
        max_length=64,
        description="What the button says that leads to that provider.",
    )
    password_login: bool = Field(
        True, description="Let people log in by a password; off, only that provider does."
    )
    outgoing: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (),
        description="Origins that may be fetched from though they are not public https: the "
        "provider or the key sets of an intranet, `https://login.hospital.lan`. Everything else "
        "that others name is fetched from public addresses only.",
    )
    brands: Path | None = Field(
        None,
        description="JSON file with the user-access brands at `/brands`: under which "
        "names and logos people find this record in their apps. `docs/administration.md`.",
    )
    organization: str = Field(
        "Tellonce",
        min_length=1,
        max_length=128,
        description="Name of the organization, on the pages that people log in on and as the "
        "brand when there is no file of brands.",
    )
    compress: bool = Field(
        True,
        description="Answers of 4 KiB and more go out as gzip to clients that take it; "
        "turn it off when a proxy in front compresses.",
    )
    shutdown_s: int = Field(
        20, ge=1, le=300, description="Seconds that requests in flight get to finish on SIGTERM."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="What is logged. No level logs patients' data."
    )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        """Refuse a name that no date could be read by."""
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{zone!r} is not a time zone, as in Europe/Berlin") from None
        return zone

    @field_validator("outgoing")
    @classmethod
    def _origins(cls, allowed: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what no address could match."""
        for one in allowed:
            origin(one)
        return allowed

    @field_validator("upstream_issuer")
    @classmethod
    def _issuer(cls, issuer: str | None) -> str | None:
        """Refuse a provider whose answers anybody on the way could write."""
        if issuer is not None:
            said = urlsplit(origin(issuer))
            if said.scheme != "https" and not is_loopback(said.hostname or ""):
                raise ValueError(f"{issuer} is not https")
        return issuer

    @model_validator(mode="after")
    def _secure(self) -> Self:
        """Refuse combinations that would put records on a network unprotected."""
        loopback = is_loopback(self.host)
        if self.open and not loopback:
            raise ValueError(f"--open works on loopback only, not on {self.host}")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("--tls-cert and --tls-key come together")
        if not loopback and self.tls_cert is None and not self.behind_tls_proxy:
            raise ValueError(
                f"{self.host} is not loopback: give --tls-cert and --tls-key, or --behind-tls-proxy"
            )
        self._check_base_url()
        if self.store is not None and self.store_uri_file is not None:
            raise ValueError("TELLONCE_STORE and TELLONCE_STORE_URI_FILE exclude each other")
        if (self.upstream_issuer is None) != (self.upstream_client is None):
            raise ValueError("TELLONCE_UPSTREAM_ISSUER and TELLONCE_UPSTREAM_CLIENT come together")
        if not self.password_login and self.upstream_issuer is None:
            raise ValueError("without TELLONCE_UPSTREAM_ISSUER nobody could log in")
        self._check_mllp()
        return self

    def _check_base_url(self) -> None:
        """Refuse an address beside which no page is found, or where passwords could be read."""
        if self.base_url is None or self.open:
            return
        said = urlsplit(str(self.base_url))
        if not said.path.rstrip("/").endswith("/fhir") or said.query or said.fragment:
            raise ValueError(f"--base-url {self.base_url} does not end in /fhir")
        if said.scheme != "https" and not is_loopback(said.hostname or ""):
            raise ValueError(f"--base-url {self.base_url} is not https")

    def _check_mllp(self) -> None:
        if (self.mllp_tls_cert is None) != (self.mllp_tls_key is None):
            raise ValueError("TELLONCE_MLLP_TLS_CERT and TELLONCE_MLLP_TLS_KEY come together")
        if self.mllp_tls_client_ca is not None and self.mllp_tls_cert is None:
            raise ValueError("TELLONCE_MLLP_TLS_CLIENT_CA needs TELLONCE_MLLP_TLS_CERT")
        protected = is_loopback(self.mllp_host) or self.mllp_tls_cert or self.mllp_insecure
        if self.mllp_port is not None and not protected:
            raise ValueError(
                f"MLLP on {self.mllp_host} would be readable on the network: "
                "bind loopback, set TELLONCE_MLLP_TLS_CERT and TELLONCE_MLLP_TLS_KEY, "
                "or set TELLONCE_MLLP_INSECURE=true if the network is protected"
            )

    @property
    def store_file(self) -> Path:
        """The SQLite file of the embedded store."""
        if self.store is not None and self.store.embedded:
            return self.store.file
        return self.data / "record.db"


def is_loopback(host: str) -> bool:
    """Tell whether an address or name can be reached from this machine only.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost")
    (True, True, True)
    >>> is_loopback("0.0.0.0"), is_loopback("hospital.example")
    (False, False)
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
