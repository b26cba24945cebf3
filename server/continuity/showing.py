"""The record of one showing: who was shown it, then a line for each resource.  Pure.

Whoever looks for one resource among the thousands that many readers were shown finds its line
without reading the others.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

import orjson

_FEW: Final = 20  # resources that are looked for one by one; more of them line by line


def pack(value: dict[str, Any]) -> bytes:
    """Return a showing as it is stored; ``of`` are versions (``v``) and paths (``p``) by resource.

    >>> one = {"reader": "user/a", "of": {"Observation/x": {"v": {"1": 7}, "p": [""]}}}
    >>> pack(one)
    b'{"reader":"user/a","at":7}\\nObservation/x\\t{"v":{"1":7},"p":[""]}\\n'
    """
    of = value["of"]
    at = max((at for one in of.values() for at in one["v"].values()), default=0)
    head = {name: part for name, part in value.items() if name not in ("of", "at")} | {"at": at}
    lines = (f"{local}\t".encode() + orjson.dumps(one) for local, one in of.items())
    return b"\n".join((orjson.dumps(head), *lines)) + b"\n"


def unpack(stored: bytes, locals_: Collection[str] | None = None) -> dict[str, Any]:
    """Return what :func:`pack` was given, with ``at``, when any of it was shown last.

    ``locals_``: the resources (``Type/id``) that are wanted; ``None``: all.

    >>> stored = b'{"at":7}\\nObservation/x\\t{"p":[]}\\nObservation/y\\t{"p":[""]}\\n'
    >>> unpack(stored, {"Observation/y"})
    {'at': 7, 'of': {'Observation/y': {'p': ['']}}}
    """
    head, line_end, rest = stored.partition(b"\n")
    if not line_end:
        return _unparted(orjson.loads(stored), locals_)
    found = _lines(rest) if locals_ is None or len(locals_) > _FEW else _few(stored, locals_)
    of = {local: orjson.loads(one) for local, one in found if locals_ is None or local in locals_}
    return {**orjson.loads(head), "of": of}


def _lines(rest: bytes) -> Iterator[tuple[str, bytes]]:
    for line in rest.splitlines():
        local, _, one = line.partition(b"\t")
        yield local.decode(), one


def _few(stored: bytes, locals_: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for local in locals_:
        mark = f"\n{local}\t".encode()
        start = stored.find(mark)
        if start >= 0:
            begin = start + len(mark)
            yield local, stored[begin : stored.index(b"\n", begin)]


def _unparted(value: dict[str, Any], locals_: Collection[str] | None) -> dict[str, Any]:
    """Return a record that was kept before its resources had lines of their own."""
    of = value["of"]
    at = max((at for one in of.values() for at in one["v"].values()), default=0)
    kept = of if locals_ is None else {local: of[local] for local in of.keys() & set(locals_)}
    return {**value, "of": kept, "at": at}
