r"""Escape sequences of text.  HL7 v2.9 chapter 2.7.

``\F\ \S\ \T\ \R\ \E\ \P\`` are delimiters, ``\Xhh..\`` bytes, ``\.br\`` and friends layout,
``\H\ \N\`` highlighting (dropped), ``\Cxxyy\ \Mxxyyzz\`` character set switches (dropped; the
parser says so in the diagnostics).  Whatever is not one of these stays as it was sent: a lone
backslash in ``C:\temp`` is a backslash.
"""

import re
from functools import lru_cache

_DELIMITERS = {"F": 0, "S": 1, "R": 2, "E": 3, "T": 4}
_BODY = (
    r"([FSTREPHN]"
    r"|X(?:[0-9A-Fa-f]{2})+"
    r"|C[0-9A-Fa-f]{4}|M[0-9A-Fa-f]{4}(?:[0-9A-Fa-f]{2})?"
    r"|\.(?:br|ce|fi|nf|sp|sk|in|ti) ?[+-]?\d{0,3})"
)
_MOST_LINES = 99  # of `\.sp n\`; a larger number is a fault of the sender


@lru_cache(maxsize=64)
def _pattern(escape: str) -> re.Pattern[str]:
    mark = re.escape(escape)
    return re.compile(mark + _BODY + mark)


def unescape(text: str, delimiters: str, codec: str = "utf-8") -> str:
    r"""Return ``text`` as a reader should see it.

    ``delimiters``: field, component, repetition, escape, subcomponent and (v2.7) truncation
    character.  ``codec`` reads the bytes of ``\X..\``.

    >>> unescape("5\\S\\6 \\T\\ C:\\temp\\E\\x", "|^~\\&")
    '5^6 & C:\\temp\\x'
    """

    def one(found: re.Match[str]) -> str:
        body = found[1]
        if (at := _DELIMITERS.get(body)) is not None:
            return delimiters[at]
        if body[0] == "X":
            return _bytes(body[1:], codec)
        if body[0] == ".":
            return _layout(body[1:3], body[3:].strip())
        return delimiters[5:6] or "#" if body == "P" else ""

    return _pattern(delimiters[3]).sub(one, text)


def _bytes(digits: str, codec: str) -> str:
    data = bytes.fromhex(digits)
    try:
        return data.decode(codec)
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _layout(command: str, argument: str) -> str:
    amount = min(int(argument), _MOST_LINES) if argument.isdigit() else 1
    if command in ("br", "ce"):
        return "\n"
    if command == "sp":
        return "\n" * max(amount, 1)
    return " " * amount if command == "sk" else ""
