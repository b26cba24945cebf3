"""The demo's data folder: made, recognised again, and emptied only when it is recognisably ours."""

from pathlib import Path

MARKER = "TELLONCE-DEMO"
_TEXT = "A folder of `tellonce demo`. `tellonce demo --reset` removes what the demo made in it.\n"
_MADE = ("record.db", "record.db-*", "record.db.*", "*.lock", MARKER)


class ForeignFolder(Exception):
    """The folder holds something that the demo did not make; it is left alone."""


def prepare(folder: Path, *, reset: bool) -> bool:
    """Make the folder ready, emptied first on ``reset``; return whether it held a demo.

    Raises:
        ForeignFolder: there is something in it and the demo's marker is not.
    """
    ours = (folder / MARKER).is_file()
    if folder.exists() and not ours and (not folder.is_dir() or any(folder.iterdir())):
        raise ForeignFolder(f"{folder} is not a folder of the demo; name another with --data")
    if ours and reset:
        _empty(folder)
        ours = False
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / MARKER).write_text(_TEXT, "utf-8")
    return ours


def _empty(folder: Path) -> None:
    """Remove the files that the demo makes; whatever else lies there stays."""
    for pattern in _MADE:
        for file in folder.glob(pattern):
            if file.is_file() or file.is_symlink():
                file.unlink()
