"""``_pretty=true``: the same JSON, indented, its numbers as they are."""

from typing import Any

from server.fhir import json as fhir_json


def indented(body: bytes) -> bytes:
    """Return compact FHIR JSON with two spaces per level.

    >>> print(indented(b'{"a":[1.50,{}],"b":"x"}').decode())
    {
      "a": [
        1.50,
        {}
      ],
      "b": "x"
    }
    <BLANKLINE>
    """
    return _lines(fhir_json.loads(body), b"\n") + b"\n"


def _lines(value: Any, end: bytes) -> bytes:
    inner = end + b"  "
    if isinstance(value, dict) and value:
        pairs = [fhir_json.dumps(name) + b": " + _lines(v, inner) for name, v in value.items()]
        return b"{" + inner + (b"," + inner).join(pairs) + end + b"}"
    if isinstance(value, list) and value:
        return b"[" + inner + (b"," + inner).join(_lines(v, inner) for v in value) + end + b"]"
    return fhir_json.dumps(value)
