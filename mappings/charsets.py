"""Bytes -> text of a message.  HL7 v2.9 chapter 2.14.9.18 (MSH-18), table 0211.

What is declared is tried first.  Senders declare nothing, or one thing and send another, so UTF-8
is tried next (other bytes are hardly ever valid UTF-8 by chance) and Windows-1252 takes the rest.
"""

import re
from dataclasses import dataclass

# Table 0211 -> codec.  "8859/1" is decoded as Windows-1252, its superset in practice.
TABLE_0211 = {
    "ASCII": "utf-8",
    "8859/1": "cp1252",
    "8859/2": "iso8859-2",
    "8859/3": "iso8859-3",
    "8859/4": "iso8859-4",
    "8859/5": "iso8859-5",
    "8859/6": "iso8859-6",
    "8859/7": "iso8859-7",
    "8859/8": "iso8859-8",
    "8859/9": "iso8859-9",
    "8859/15": "iso8859-15",
    "ISO IR6": "utf-8",
    "ISO IR14": "iso2022_jp",
    "ISO IR87": "iso2022_jp",
    "ISO IR159": "iso2022_jp_1",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "CNS 11643-1992": "big5",
    "BIG-5": "big5",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UNICODE UTF-16": "utf-16",
    "UNICODE UTF-32": "utf-32",
    # not in the table, but sent
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "ISO-8859-1": "cp1252",
    "WINDOWS-1252": "cp1252",
}

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_MSH_16 = ((b"M\x00S\x00H\x00", "utf-16-le"), (b"\x00M\x00S\x00H", "utf-16-be"))
_LINE_END = re.compile(rb"[\r\n]")


@dataclass(frozen=True, slots=True)
class Decoded:
    """The text, the Python codec that read it, and the bytes skipped before it (a BOM).

    ``doubt`` is ``""``, or a sentence for the diagnostics when the codec was not the declared one.
    """

    text: str
    codec: str
    skipped_bytes: int = 0
    doubt: str = ""


def decode(data: bytes) -> Decoded:
    """Return the text of ``data``; never fails, the last resort replaces what it cannot read."""
    for bom, codec in _BOMS:
        if data.startswith(bom):
            return _by(codec, data[len(bom) :], len(bom)) or _guess(data[len(bom) :], codec)
    for mark, codec in _MSH_16:
        if mark in data[:64]:
            return _by(codec, data, 0) or _guess(data, codec)
    declared = _declared(data)
    codec = TABLE_0211.get(declared.upper(), "")
    if codec and (found := _by(codec, data, 0)):
        return found
    return _guess(data, declared)


def _by(codec: str, data: bytes, skipped: int) -> Decoded | None:
    try:
        return Decoded(data.decode(codec), codec, skipped)
    except UnicodeDecodeError:
        return None


def _guess(data: bytes, declared: str) -> Decoded:
    wrong = f"MSH-18 says {declared!r}; " if declared else ""
    if found := _by("utf-8", data, 0):
        return Decoded(found.text, "utf-8", 0, f"{wrong}read as UTF-8" if wrong else "")
    text = data.decode("cp1252", "replace")
    return Decoded(text, "cp1252", 0, f"{wrong}read as Windows-1252")


def _declared(data: bytes) -> str:
    start = data.find(b"MSH")
    if start < 0 or len(data) < start + 5:
        return ""
    line = _LINE_END.split(data[start : start + 4096], maxsplit=1)[0]
    fields = line.split(line[3:4] or b"|")
    if len(fields) < 18:
        return ""
    # MSH-18 repeats (v2.3.1); the first is the character set of everything not switched by \C..\
    first = re.split(rb"[~^" + re.escape(line[4:6]) + rb"]", fields[17], maxsplit=1)[0]
    return first.decode("ascii", "replace").strip()
