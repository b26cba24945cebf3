"""The files that can be loaded, and the parts that they consist of.

``.json`` (a resource or a Bundle), ``.ndjson`` and ``.jsonl`` (a resource a line), ``.hl7`` (one or
more HL7v2 messages), each also as ``.gz``, ``.bz2`` or ``.xz``; a folder is what lies in it.
"""

import bz2
import gzip
import lzma
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import IO, Literal

from server.feeds.header import split_messages

Kind = Literal["json", "ndjson", "hl7"]

_KINDS: dict[str, Kind] = {".json": "json", ".ndjson": "ndjson", ".jsonl": "ndjson", ".hl7": "hl7"}
_PACKED = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
SUFFIXES = f"{', '.join(_KINDS)}, each also with {', '.join(_PACKED)}"


class UnreadableSource(Exception):
    """A file is not there, not of a known kind, or damaged; the text says which and what."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file to load."""

    path: Path
    kind: Kind
    size_bytes: int

    def digest(self) -> str:
        """Return the SHA-256 of the file as it lies there, in hex."""
        with self.path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()

    def parts(self) -> Iterator[tuple[int, bytes, int]]:
        """Yield (number, content, bytes of the file read so far); numbers count from 1.

        The number of a line of NDJSON is its line number.

        Raises:
            UnreadableSource: the compressed file is damaged.
        """
        with self.path.open("rb") as raw, _unpacked(raw, self.path) as file:
            try:
                for number, content in self._cut(file):
                    yield number, content, raw.tell()
            except (EOFError, OSError, lzma.LZMAError) as error:
                raise UnreadableSource(f"{self.path}: damaged: {error}") from error

    def _cut(self, file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
        if self.kind == "json":
            yield 1, file.read()
        elif self.kind == "ndjson":
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
        else:
            yield from enumerate(split_messages(file.read()), start=1)


def sources(paths: Iterable[Path]) -> list[Source]:
    """Return the files in the order given; those of a folder by name, others in it left out.

    Raises:
        UnreadableSource: a path is not there, is a file of no known kind, or a folder without
            any that is of one.
    """
    found = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.is_file())
            readable = [source for file in inside if (source := _source(file)) is not None]
            if not readable:
                raise UnreadableSource(f"{path}: no file of {SUFFIXES} in it")
            found += readable
        elif not path.is_file():
            raise UnreadableSource(f"{path} is not there")
        elif (source := _source(path)) is not None:
            found.append(source)
        else:
            raise UnreadableSource(f"{path}: not a file of {SUFFIXES}")
    return found


def _source(path: Path) -> Source | None:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    kind = _KINDS.get(suffixes[-1]) if suffixes else None
    return Source(path, kind, path.stat().st_size) if kind else None


def _unpacked(raw: IO[bytes], path: Path) -> IO[bytes]:
    opener = _PACKED.get(path.suffix.lower())
    return raw if opener is None else opener(raw, "rb")  # type: ignore[operator]
