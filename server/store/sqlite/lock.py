"""Keep a second server out of the file.

The lock is the kernel's (``flock``), so it ends with the process that holds it, however that
ends: a lock file that is left behind means nothing.
"""

import fcntl
import os
import time
from pathlib import Path

from server.fhir.errors import StoreUnavailable

_LEFT_S = 5.0  # that a process may have it which has it for a moment only
_BRIEFLY = "briefly"
_PAUSE_S = 0.02


class FileLock:
    """An exclusive lock beside the data file; the file's text names the holder."""

    def __init__(self, data: Path) -> None:
        self._path = data.with_name(data.name + ".lock")
        self._fd: int | None = None

    def acquire(self, *, briefly: bool = False) -> None:
        """Take the lock, or raise :class:`StoreUnavailable` naming the process that has it.

        ``briefly``: only to look at the file; a server that starts meanwhile waits for that.
        """
        end = time.monotonic() + _LEFT_S
        # Owner only: the folder may be readable by others, who must not be able to lock us out.
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        while not _locked(fd):
            text = os.pread(fd, 32, 0).decode("ascii", "replace")
            holder, _, how = text.strip().partition(" ")
            if (_is_alive(holder) and how != _BRIEFLY) or time.monotonic() > end:
                os.close(fd)
                by = holder or "unknown"
                raise StoreUnavailable(f"{self._path.name}: the data is in use by process {by}")
            time.sleep(_PAUSE_S)
        told = f"{os.getpid()} {_BRIEFLY if briefly else ''}\n".encode()
        os.pwrite(fd, told, 0)  # whoever reads it meanwhile finds no empty one
        os.ftruncate(fd, len(told))
        self._fd = fd

    def release(self) -> None:
        """Give the lock back; nothing happens when it is not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(holder: str) -> bool:
    """Tell whether the process may have the lock; if not, a child has it until its exec.

    Between fork and exec a child has all that is open in the server that was killed meanwhile.
    """
    try:
        os.kill(int(holder), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OverflowError, PermissionError):
        return True
    return True
