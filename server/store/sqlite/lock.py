"""Keep a second server out of the file.

The lock is the kernel's (``flock``), so it ends with the process that holds it, however that
ends: a lock file that is left behind means nothing.
"""

import fcntl
import os
from pathlib import Path

from server.fhir.errors import StoreUnavailable


class FileLock:
    """An exclusive lock beside the data file; the file's text names the holder."""

    def __init__(self, data: Path) -> None:
        self._path = data.with_name(data.name + ".lock")
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock, or raise :class:`StoreUnavailable` naming the process that has it."""
        # Owner only: the folder may be readable by others, who must not be able to lock us out.
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise StoreUnavailable(
                f"{self._path.name}: the data is in use by process {holder}"
            ) from None
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
        self._fd = fd

    def release(self) -> None:
        """Give the lock back; nothing happens when it is not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
