"""The files of maps: those of the package, read once, and those of a site."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import terminology
from mappings.language import Entries, Unreadable, read

BASE = Path(__file__).with_name("base")
TABLES = Path(terminology.__file__).with_name("maps")
CASES = "cases"  # the folder of a site's tests; what is in it is no map


@dataclass(frozen=True, slots=True)
class Source:
    """One file: its name in messages (``base/ADT``), its bytes and its nodes."""

    name: str
    data: bytes
    node: Entries


@cache
def packaged() -> Sequence[Source]:
    """Return the tables and maps of the package; a fault in them is a bug."""
    problems: list[str] = []
    found = (*read_folder(TABLES, "tables", problems), *read_folder(BASE, "base", problems))
    if problems:
        raise ValueError("; ".join(problems))
    return found


def read_folder(folder: Path, prefix: str, problems: list[str]) -> list[Source]:
    """Return the YAML files of a folder and those below, sorted; faults go to ``problems``."""
    found: list[Source] = []
    if not folder.is_dir():
        problems.append(f"{prefix}: there is no folder {folder}")
        return found
    for path in sorted(folder.rglob("*.y*ml")):
        if CASES in path.relative_to(folder).parts[:-1] or path.name.startswith("."):
            continue
        if path.suffix != ".yaml":
            problems.append(f"{prefix}/{path.relative_to(folder)}:1: the name ends in .yaml")
            continue
        name = f"{prefix}/{path.relative_to(folder).with_suffix('')}"
        try:
            node = read(path, f"{name}.yaml")
        except Unreadable as wrong:
            problems.append(str(wrong))
            continue
        if isinstance(node, Entries):
            found.append(Source(name, path.read_bytes(), node))
        else:
            problems.append(f"{name}.yaml:1: a file holds keys and values")
    return found
