"""Keep a second server out of the file.

The lock is the kernel's (``flock``), so it ends with the process that holds it, however that
ends: a lock file that is left behind means nothing.
"""

import fcntl
import os
import time
from pathlib import Path

from server.fhir.errors import StoreUnavailable

_LEFT_S = 5.0  # that a process which has ended may leave the lock to one that it was starting
_PAUSE_S = 0.02


class FileLock:
    """An exclusive lock beside the data file; the file's text names the holder."""

    def __init__(self, data: Path) -> None:
        self._path = data.with_name(data.name + ".lock")
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock, or raise :class:`StoreUnavailable` naming the process that has it."""
        end = time.monotonic() + _LEFT_S
        # Owner only: the folder may be readable by others, who must not be able to lock us out.
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        while not _locked(fd):
            holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            if _is_alive(holder) or time.monotonic() > end:
                os.close(fd)
                raise StoreUnavailable(f"{self._path.name}: the data is in use by process {holder}")
            time.sleep(_PAUSE_S)
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
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
