"""A destination: where messages go, in which dialect, and what happens when they are not taken.

A YAML file ``destination: NAME`` in a site's folder of maps is read to it
(:mod:`mappings.emit_destination_file`); see docs/outbound.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from mappings.emit_conditions import version_of

AckMode = Literal["original", "enhanced", "enhanced-application"]
OnParked = Literal["patient", "hold", "continue"]
VERSIONS = ("2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One map that a destination asks for: of ``events`` (empty: all), when ``when`` holds."""

    map: str
    events: frozenset[str] = frozenset()
    when: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files; ``cert`` and ``key`` are shown to a receiver that asks (mutual TLS).

    ``ca``: who signed the receiver's certificate, ``None``: those the system trusts.
    ``name``: the name that certificate must have, ``""``: the host.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """Seconds and counts of trying again.

    ``attempts``: answers AE or CE until the message is parked.  ``unanswered``: sendings without an
    answer until it is parked, 0 is never.  A connection that is lost is tried without end.  Pauses
    grow from ``first_s`` to ``most_s``, with jitter.
    """

    attempts: int = 5
    unanswered: int = 0
    first_s: float = 1.0
    most_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Destination:
    """The settings of one destination; docs/outbound.md explains each key."""

    name: str
    host: str = "127.0.0.1"
    port: int = 2575
    tls: Tls | None = None
    insecure: bool = False
    version: str = "2.5.1"
    sender: tuple[str, str] = ("TELLONCE", "")
    receiver: tuple[str, str] = ("", "")
    processing: str = "P"
    charset: str = "UNICODE UTF-8"
    unencodable: Literal["park", "replace"] = "park"
    lengths: Mapping[str, int] = field(default_factory=dict)
    timezone: ZoneInfo | None = None
    offset: bool = True
    authorities: Mapping[str, str] = field(default_factory=dict)
    default_authority: str = ""
    code_systems: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    messages: tuple[Wanted, ...] = ()
    not_from: frozenset[str] = frozenset()
    start: Literal["now", "beginning"] = "now"
    paused: bool = False
    ack: AckMode = "original"
    ack_timeout_s: float = 30.0
    connect_timeout_s: float = 10.0
    retry: Retry = field(default_factory=Retry)
    on_parked: OnParked = "patient"
    keep_days: int = 30
    clearance: str = "N"
    sensitivities: frozenset[str] = frozenset()
    place: str = ""

    @property
    def version_number(self) -> tuple[int, ...]:
        """The version as numbers, to be compared."""
        return version_of(self.version)
