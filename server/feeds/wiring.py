"""Which senders are which feed, where feeds listen, and how each is answered.

Read once, at the start, from the YAML file that ``TELLONCE_FEEDS`` names: it decides who may reach
the server, so it is not part of the maps, which are changed while the server runs.  docs/feeds.md,
"Several feeds", describes the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, Literal, get_args

from mappings.language import Entries, Items, Node, Text, Unreadable, read, texts
from mappings.maps import MapError
from mappings.spelling import hint

Network = IPv4Network | IPv6Network
Batch = Literal["all", "errors", "each", "none"]
Acknowledge = Literal["message", "original", "enhanced", "commit"]
Queries = Literal["none", "patients"]

ACK_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Wire:
    """How one feed reaches the server and how it is answered.

    ``senders``: (MSH-3, MSH-4) of its messages on a shared port, an empty MSH-4 for any.
    ``certificates``: common or alternative names of its senders' certificates; one that shows such
    a certificate is this feed whatever its messages say, and nobody else is.  ``addresses``:
    networks it may come from; empty for any.  ``folder``: where its files are dropped; a file is
    whole when it has not changed for ``settle_s``.
    ``batch``: the answer to a batch is a batch of ``all`` answers, of the ``errors`` only, one
    answer for ``each`` message, or ``none`` (HL7 v2.5 section 2.10.3.3).  ``acknowledge``: as
    MSH-15 and MSH-16 of the ``message`` say, or as if they said ``original`` mode, ``enhanced``
    mode (AL, AL) or ``commit`` acknowledgements only (AL, NE).  ``queries``: whether its senders
    may ask for ``patients`` by demographics (QBP^Q22).
    """

    senders: frozenset[tuple[str, str]] = frozenset()
    certificates: frozenset[str] = frozenset()
    addresses: tuple[Network, ...] = ()
    folder: Path | None = None
    poll_s: float = 2.0
    settle_s: float = 5.0
    batch: Batch = "all"
    acknowledge: Acknowledge = "message"
    ack_timeout_s: float = ACK_TIMEOUT_S
    queries: Queries = "none"


@dataclass(frozen=True, slots=True)
class PortLine:
    """A further port; ``feed`` is that of whoever nothing else tells.  Times in seconds."""

    port: int
    feed: str = "default"
    host: str = ""
    idle_s: float = 3600.0
    frame_s: float = 30.0
    connections: int = 64


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end: an IP address, and the names of the certificate it showed."""

    address: str = ""
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Wiring:
    """All feeds' wires by name, and the ports beside the one of the settings."""

    feeds: Mapping[str, Wire] = field(default_factory=dict)
    ports: tuple[PortLine, ...] = ()

    def wire(self, feed: str) -> Wire:
        """Return the wire of a feed; one that nobody described has the defaults."""
        return self.feeds.get(feed, _PLAIN)

    def certified(self, peer: Peer) -> str | None:
        """Return the feed that the peer's certificate names."""
        for name, wire in self.feeds.items():
            if wire.certificates & peer.names:
                return name
        return None

    def sender(self, application: str, facility: str) -> str | None:
        """Return the feed of a sender (MSH-3, MSH-4)."""
        for wanted in ((application, facility), (application, "")):
            for name, wire in self.feeds.items():
                if wanted in wire.senders:
                    return name
        return None

    def allows(self, feed: str, peer: Peer) -> bool:
        """Tell whether a feed's messages may come from there."""
        wire = self.wire(feed)
        if wire.certificates and not wire.certificates & peer.names:
            return False
        return _within(peer.address, wire.addresses)

    def admits(self, feed: str, peer: Peer) -> bool:
        """Tell whether anybody at that address can have anything to say on a port of ``feed``."""
        if (named := self.certified(peer)) is not None:
            return self.allows(named, peer)
        reachable = {feed, *(name for name, wire in self.feeds.items() if wire.senders)}
        return any(self.allows(name, peer) for name in reachable)


_PLAIN = Wire()


def _within(address: str, networks: tuple[Network, ...]) -> bool:
    if not networks:
        return True
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(known, "ipv4_mapped", None)
    return any((mapped or known) in network for network in networks)


def read_wiring(path: Path) -> Wiring:
    """Read the file.

    Raises:
        MapError: every fault, each as ``file:line: sentence``.
    """
    problems: list[str] = []
    try:
        node = read(path, path.name)
    except (Unreadable, OSError) as error:
        raise MapError([str(error)]) from error
    if not isinstance(node, Entries):
        raise MapError([f"{path.name}:1: the file has the keys `feeds` and `ports`"])
    feeds, ports = node.pop("feeds", None), node.pop("ports", None)
    problems += [f"{node.places[key]}: there is no key {key!r} here" for key in node]
    wires = _feeds(feeds, path.parent, problems)
    made = Wiring(wires, _ports(ports, problems))
    _check_named_once(made, path.name, problems)
    if problems:
        raise MapError(problems)
    return made


def _feeds(node: Node | None, folder: Path, problems: list[str]) -> dict[str, Wire]:
    if node is None:
        return {}
    if not isinstance(node, Entries):
        problems.append(f"{node.place}: `feeds` holds a name and its keys for each feed")
        return {}
    made = {}
    for name, said in node.items():
        if not isinstance(said, Entries):
            problems.append(f"{said.place}: feed {name} has keys, such as `senders`")
            continue
        values = _values(said, Wire, _WIRE, problems)
        if (dropped := values.get("folder")) is not None:
            values["folder"] = folder / dropped
        made[name] = replace(_PLAIN, **values)
    return made


def _ports(node: Node | None, problems: list[str]) -> tuple[PortLine, ...]:
    if node is None:
        return ()
    if not isinstance(node, Items):
        problems.append(f"{node.place}: `ports` is a list")
        return ()
    made = []
    for said in node:
        if not isinstance(said, Entries) or "port" not in said:
            problems.append(f"{said.place}: a port has the key `port`")
            continue
        values = _values(said, PortLine, _PORT, problems)
        if "port" in values:
            made.append(PortLine(**values))
    return tuple(made)


def _values(node: Entries, kind: type, readers: Mapping[str, Any], problems: list[str]) -> Any:
    made: dict[str, Any] = {}
    for key, said in node.items():
        if key == "note":
            continue
        if key not in readers:
            told = f"there is no key {key!r} here{hint(key, readers)}"
            problems.append(f"{node.places[key]}: {told}")
            continue
        try:
            made[key] = readers[key](said)
        except ValueError as error:
            problems.append(f"{node.places[key]}: {key}: {error}")
    return made


def _text(node: Node) -> str:
    if not isinstance(node, Text) or not node:
        raise ValueError("it is one value")
    return str(node)


def _seconds(node: Node) -> float:
    read_ = float(_text(node))
    if not 0 < read_ <= 86400:
        raise ValueError("seconds, above 0 and at most a day")
    return read_


def _count(most: int) -> Any:
    def number(node: Node) -> int:
        text = _text(node)
        if not text.isdigit() or not 0 <= int(text) <= most:
            raise ValueError(f"a number up to {most}")
        return int(text)

    return number


def _one_of(options: Any) -> Any:
    def option(node: Node) -> str:
        text = _text(node)
        if text not in get_args(options):
            raise ValueError(f"one of {', '.join(get_args(options))}")
        return text

    return option


def _names(node: Node) -> frozenset[str]:
    return frozenset(str(text) for text in texts(node))


def _senders(node: Node) -> frozenset[tuple[str, str]]:
    pairs = [str(text).partition("^") for text in texts(node)]
    return frozenset((application, facility) for application, _, facility in pairs)


def _networks(node: Node) -> tuple[Network, ...]:
    return tuple(ip_network(str(text)) for text in texts(node))


_WIRE = {
    "senders": _senders,
    "certificates": _names,
    "addresses": _networks,
    "folder": _text,
    "poll_s": _seconds,
    "settle_s": _seconds,
    "batch": _one_of(Batch),
    "acknowledge": _one_of(Acknowledge),
    "ack_timeout_s": _seconds,
    "queries": _one_of(Queries),
}
_PORT = {
    "port": _count(65535),
    "feed": _text,
    "host": _text,
    "idle_s": _seconds,
    "frame_s": _seconds,
    "connections": _count(4096),
}


def _check_named_once(wiring: Wiring, file: str, problems: list[str]) -> None:
    """A sender or certificate of two feeds would be the one that happens to stand first."""
    for what in ("senders", "certificates", "folder"):
        owners: dict[Any, str] = {}
        for name, wire in wiring.feeds.items():
            said = getattr(wire, what)
            for one in said if isinstance(said, frozenset) else {said} - {None}:
                if (other := owners.setdefault(one, name)) != name:
                    told = "^".join(one) if isinstance(one, tuple) else one
                    problems.append(f"{file}: {what} {told} is of {other} and of {name}")
