"""JSON Patch (RFC 6902) over JSON Pointer (RFC 6901), complete, in place, decimals untouched.

Pure: it knows nothing of FHIR; what a patch makes is validated like any other resource.
"""

import re
from collections.abc import Callable, Sequence
from copy import deepcopy
from decimal import Decimal
from functools import partial
from typing import Any, Final

from server.fhir.errors import InvalidRequest, InvalidResource, TooCostly
from server.fhir.json import MAX_DEPTH

MAX_OPERATIONS: Final = 1_000
MAX_COPIED: Final = 200_000  # values that all copies of one patch may make together

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
_BAD_ESCAPE = re.compile(r"~(?![01])")

Tokens = tuple[str, ...]


class _Refused(Exception):
    """The operation cannot be applied; the text says why."""


def apply(document: Any, patch: Any) -> Any:
    """Return the patched document; ``document`` itself is used up.

    Raises:
        InvalidRequest: the patch is not one (RFC 6902 section 4).
        InvalidResource: an operation does not apply, or its ``test`` fails; the expression names it
            (``patch[2]``).
        TooCostly: the patch is too long, or copies too much.

    >>> apply({"name": [{"family": "A"}]}, [
    ...     {"op": "test", "path": "/name/0/family", "value": "A"},
    ...     {"op": "add", "path": "/name/-", "value": {"family": "B"}}])
    {'name': [{'family': 'A'}, {'family': 'B'}]}
    """
    if not isinstance(patch, list):
        raise InvalidRequest("a JSON Patch is an array of operations", expression=("patch",))
    if len(patch) > MAX_OPERATIONS:
        raise TooCostly(f"a patch of {len(patch)} operations; {MAX_OPERATIONS} is the limit")
    root = _Root(document)
    for index, operation in enumerate(patch):
        where = (f"patch[{index}]",)
        run = _read(operation, index, where)
        try:
            run(root)
        except _Refused as refused:
            told = f"operation {index} ({operation['op']} {operation['path']}): {refused}"
            raise InvalidResource(told, expression=where) from None
    return root.value


class _Root:
    """Holds the document, so that the document itself can be replaced."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.copied = 0

    def get(self, path: Tokens) -> Any:
        value = self.value
        for at, token in enumerate(path):
            if isinstance(value, dict) and token in value:
                value = value[token]
            elif isinstance(value, list):
                value = value[_index(token, len(value) - 1)]
            else:
                raise _Refused(f"nothing is at {_text(path[: at + 1])}")
        return value

    def add(self, path: Tokens, value: Any) -> None:
        _check_depth(path, value)
        if not path:
            self.value = value
            return
        parent, last = self.get(path[:-1]), path[-1]
        if isinstance(parent, dict):
            parent[last] = value
        elif isinstance(parent, list):
            at = len(parent) if last == "-" else _index(last, len(parent))
            parent.insert(at, value)
        else:
            raise _Refused(f"{_text(path[:-1])} is neither an object nor an array")

    def remove(self, path: Tokens) -> Any:
        value = self.get(path)
        if not path:
            raise _Refused("the whole resource cannot be removed")
        parent, last = self.get(path[:-1]), path[-1]
        if isinstance(parent, dict):
            return parent.pop(last)
        del parent[_index(last, len(parent) - 1)]
        return value

    def replace(self, path: Tokens, value: Any) -> None:
        _check_depth(path, value)
        self.get(path)
        if not path:
            self.value = value
            return
        parent, last = self.get(path[:-1]), path[-1]
        if isinstance(parent, dict):
            parent[last] = value
        else:
            parent[_index(last, len(parent) - 1)] = value

    def move(self, path: Tokens, source: Tokens) -> None:
        if path[: len(source)] == source and path != source:
            raise _Refused("a value cannot be moved into itself")
        if path != source:
            self.add(path, self.remove(source))
        else:
            self.get(source)

    def copy(self, path: Tokens, source: Tokens) -> None:
        value = self.get(source)
        self.copied += _weight(value)
        if self.copied > MAX_COPIED:
            raise TooCostly(f"the patch copies more than {MAX_COPIED} values")
        self.add(path, deepcopy(value))

    def test(self, path: Tokens, value: Any) -> None:
        if not equal(self.get(path), value):
            raise _Refused("the value there is another one")


def equal(one: Any, other: Any) -> bool:
    """Compare as RFC 6902 section 4.6 says: numbers by value, and true is not 1.

    >>> equal({"v": Decimal("1.0")}, {"v": 1}), equal([1], [True])
    (True, False)
    """
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    if _is_number(one) and _is_number(other):
        return Decimal(one) == Decimal(other)
    return type(one) is type(other) and bool(one == other)


def pointer(text: Any) -> Tokens:
    """Return the tokens of a JSON Pointer; raises ``ValueError`` if it is none.

    >>> pointer("/a~1b/m~0n/0")
    ('a/b', 'm~n', '0')
    """
    if not isinstance(text, str):
        raise ValueError("is not a string")
    if text and not text.startswith("/"):
        raise ValueError(f"{text!r} does not begin with '/'")
    if _BAD_ESCAPE.search(text):
        raise ValueError(f"{text!r} has a '~' that is neither ~0 nor ~1")
    return tuple(t.replace("~1", "/").replace("~0", "~") for t in text.split("/")[1:])


_VALUE_OPS: Final = {"add": _Root.add, "replace": _Root.replace, "test": _Root.test}
_FROM_OPS: Final = {"move": _Root.move, "copy": _Root.copy}


def _read(operation: Any, index: int, where: Sequence[str]) -> Callable[[_Root], object]:
    def bad(why: str) -> InvalidRequest:
        return InvalidRequest(f"operation {index}: {why}", expression=tuple(where))

    if not isinstance(operation, dict):
        raise bad("it is not an object")
    op = operation.get("op")
    if not isinstance(op, str):
        raise bad("its op is not a string")
    try:
        path = pointer(operation.get("path"))
        source = pointer(operation.get("from")) if op in _FROM_OPS else ()
    except ValueError as error:
        raise bad(f"the path {error}") from None
    if op in _VALUE_OPS:
        if "value" not in operation:
            raise bad(f"{op} needs a value")
        return lambda root: _VALUE_OPS[op](root, path, deepcopy(operation["value"]))
    if op in _FROM_OPS:
        return lambda root: _FROM_OPS[op](root, path, source)
    if op == "remove":
        return partial(_Root.remove, path=path)
    raise bad(f"{op!r} is none of add, remove, replace, move, copy, test")


def _index(token: str, last: int) -> int:
    if not _INDEX.fullmatch(token):
        raise _Refused(f"{token!r} is no array index")
    if int(token) > last:
        raise _Refused(f"the array has no place {token}")
    return int(token)


def _text(path: Tokens) -> str:
    return "".join("/" + t.replace("~", "~0").replace("/", "~1") for t in path)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _check_depth(path: Tokens, value: Any) -> None:
    if len(path) + depth(value) > MAX_DEPTH:
        raise _Refused(f"it would nest deeper than {MAX_DEPTH} levels")


def depth(value: Any) -> int:
    """Return how many objects and arrays are inside each other."""
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


def _weight(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(_weight, value.values()))
    if isinstance(value, list):
        return 1 + sum(map(_weight, value))
    return 1
