"""A destination's file: YAML -> its settings, every fault with its line.

Each key has a reader, which says what stands there; docs/outbound.md explains them.
"""

import ipaddress
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mappings.charsets import TABLE_0211
from mappings.emit_destination import VERSIONS, Destination, Retry, Tls, Wanted
from mappings.language import Entries, Items, Node, Text
from mappings.spelling import hint

_CHARSETS = frozenset(TABLE_0211) - {"UNICODE UTF-16", "UNICODE UTF-32"}  # MLLP needs ASCII bytes


class _Wrong(ValueError):
    pass


def destination(node: Entries, problems: list[str], *, folder: Path | None = None) -> Destination:
    """Read a destination; what is wrong goes to ``problems`` with its place.

    ``folder``: where the file is; certificates are found from there.
    """
    values: dict[str, Any] = {"name": str(node["destination"]), "place": node.place}
    for key, value in node.items():
        if key in ("destination", "note"):
            continue
        read = _READERS.get(key)
        if read is None:
            known = hint(key, _READERS)
            problems.append(f"{node.places[key]}: a destination has no key {key!r}{known}")
            continue
        try:
            values[key] = read(value)
        except _Wrong as wrong:
            problems.append(f"{value.place}: {key} {wrong}")
    if folder is not None and isinstance(tls := values.get("tls"), Tls):
        files = [_from(folder, path) for path in (tls.ca, tls.cert, tls.key)]
        values["tls"] = Tls(files[0], files[1], files[2], tls.name)
    made = Destination(**values)
    if not made.messages:
        problems.append(f"{node.place}: destination {made.name} asks for no messages")
    if made.tls is None and not made.insecure and not _loopback(made.host):
        problems.append(
            f"{node.place}: {made.host} would get messages that anybody on the network can read:"
            " give tls, or say insecure: true where the network is protected by other means"
        )
    return made


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _from(folder: Path, path: Path | None) -> Path | None:
    return None if path is None else folder / path


def _text(node: Node) -> str:
    if not isinstance(node, Text):
        raise _Wrong("is one value")
    return str(node)


def _number(least: float, most: float, whole: bool = True) -> Callable[[Node], Any]:
    def read(node: Node) -> Any:
        try:
            found = int(_text(node)) if whole else float(_text(node))
        except ValueError:
            found = least - 1
        if not least <= found <= most:
            raise _Wrong(f"is a number from {least:g} to {most:g}")
        return found

    return read


def _flag(node: Node) -> bool:
    found = {"true": True, "yes": True, "false": False, "no": False}.get(_text(node))
    if found is None:
        raise _Wrong("is true or false")
    return found


def _one_of(*options: str) -> Callable[[Node], Any]:
    def read(node: Node) -> str:
        if _text(node) not in options:
            raise _Wrong(f"is one of {', '.join(options)}{hint(_text(node), options)}")
        return str(node)

    return read


def _names(node: Node) -> frozenset[str]:
    if isinstance(node, Items) and all(isinstance(one, Text) for one in node):
        return frozenset(map(str, cast("list[Text]", list(node))))
    return frozenset({_text(node)})


def _system(node: Node) -> tuple[str, str]:
    application, _, facility = _text(node).partition("|")
    return application, facility


def _texts(node: Node) -> dict[str, str]:
    if not isinstance(node, Entries) or not all(isinstance(v, Text) for v in node.values()):
        raise _Wrong("is a list of 'NAME: value'")
    return {key: str(value) for key, value in node.items()}


def _tables(node: Node) -> dict[str, dict[str, str]]:
    if not isinstance(node, Entries):
        raise _Wrong("is a list of 'TABLE: {V2: code}'")
    return {key: _texts(value) for key, value in node.items()}


def _lengths(node: Node) -> dict[str, int]:
    found = _texts(node)
    if not all(value.isdecimal() for value in found.values()):
        raise _Wrong("is a list of 'PID-5: 48'")
    return {key: int(value) for key, value in found.items()}


def _zone(node: Node) -> ZoneInfo:
    try:
        return ZoneInfo(_text(node))
    except (ZoneInfoNotFoundError, ValueError) as wrong:
        raise _Wrong(f"is a time zone such as Europe/Berlin, not {_text(node)!r}") from wrong


def _part(
    node: Node, readers: Mapping[str, Callable[[Node], Any]], made: Callable[..., Any]
) -> Any:
    if not isinstance(node, Entries):
        raise _Wrong(f"has the keys {', '.join(readers)}")
    if unknown := node.keys() - readers.keys():
        raise _Wrong(f"has no key {min(unknown)!r}{hint(min(unknown), readers)}")
    return made(**{key: readers[key](value) for key, value in node.items()})


def _path(node: Node) -> Path:
    return Path(_text(node))


def _tls(node: Node) -> Tls:
    files = {"ca": _path, "cert": _path, "key": _path, "name": _text}
    made = cast("Tls", _part(node, files, Tls))
    if (made.cert is None) != (made.key is None):
        raise _Wrong("needs cert and key together")
    return made


def _retry(node: Node) -> Retry:
    seconds = _number(0.01, 86_400, whole=False)
    keys = {
        "attempts": _number(1, 1000),
        "unanswered": _number(0, 1000),
        "first_s": seconds,
        "most_s": seconds,
    }
    return cast("Retry", _part(node, keys, Retry))


def _messages(node: Node) -> tuple[Wanted, ...]:
    if isinstance(node, Items):
        return tuple(Wanted(_text(one), place=one.place) for one in node)
    if not isinstance(node, Entries):
        raise _Wrong("is a list of maps, or 'MAP: {events, when}'")
    made = []
    for name, inner in node.items():
        if not isinstance(inner, Entries) or inner.keys() - {"events", "when"}:
            raise _Wrong(f"{name} has events and when, or {{}}")
        events = _names(inner["events"]) if "events" in inner else frozenset[str]()
        when = _text(inner["when"]) if "when" in inner else ""
        made.append(Wanted(name, events, when, inner.place))
    return tuple(made)


def _charset(node: Node) -> str:
    return cast("str", _one_of(*sorted(_CHARSETS))(node))


_READERS: dict[str, Callable[[Node], Any]] = {
    "host": _text,
    "port": _number(1, 65_535),
    "tls": _tls,
    "insecure": _flag,
    "version": _one_of(*VERSIONS),
    "sender": _system,
    "receiver": _system,
    "processing": _one_of("P", "T", "D"),
    "charset": _charset,
    "unencodable": _one_of("park", "replace"),
    "lengths": _lengths,
    "timezone": _zone,
    "offset": _flag,
    "authorities": _texts,
    "default_authority": _text,
    "code_systems": _texts,
    "tables": _tables,
    "messages": _messages,
    "not_from": _names,
    "start": _one_of("now", "beginning"),
    "paused": _flag,
    "ack": _one_of("original", "enhanced", "enhanced-application"),
    "ack_timeout_s": _number(0.1, 3600, whole=False),
    "connect_timeout_s": _number(0.1, 600, whole=False),
    "retry": _retry,
    "on_parked": _one_of("patient", "hold", "continue"),
    "keep_days": _number(0, 36_500),
    "clearance": _one_of("U", "L", "M", "N", "R", "V"),
    "sensitivities": _names,
}
KEYS = frozenset(_READERS)
