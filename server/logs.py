"""What the process logs: lines on stderr, without anything of a patient.

Exceptions are logged by type and place only, whoever logs them, because their texts may quote data.
``2026-01-02T03:04:05.678Z INFO tellonce.request GET /{type}/{id} 200 0.4ms REQUEST-ID PRINCIPAL``
"""

import logging
import sys
import threading
import time
import traceback
from types import TracebackType
from typing import TextIO

GATHER_S = 0.1
OURS = ("tellonce", "server", "mappings", "smart_apps", "terminology")

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class PlainFormatter(logging.Formatter):
    """One line a record, in UTC; a traceback without the words of its exception."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s")
        self._second = (-1, "")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """Return the second of the record; made once a second, for it is the half of a line."""
        second = int(record.created)
        if second != self._second[0]:
            self._second = second, time.strftime("%Y-%m-%dT%H:%M:%S", self.converter(second))
        return self._second[1]

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802 - logging's name
        """Return the places of the exception and its type."""
        kind, _, trace = ei
        lines = [f"  {f.filename}:{f.lineno} in {f.name}" for f in traceback.extract_tb(trace)]
        return "\n".join([*lines, f"  {kind.__name__ if kind else 'no exception'}"])


class Gathering(logging.Handler):
    """Writes ten times a second what came meanwhile, and from warnings on at once.

    A write for each request would cost as much as reading a resource does.  A process that is
    killed takes the lines of its last tenth of a second with it.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: list[str] = []
        self._some = threading.Event()
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line until the next write."""
        self._lines.append(self.format(record))
        if record.levelno >= logging.WARNING:
            self.flush()
        elif not self._some.is_set():
            self._some.set()

    def flush(self) -> None:
        """Write what there is; logging itself asks for it when the process ends."""
        assert self.lock is not None
        with self.lock:
            if self._lines:
                text = "\n".join([*self._lines, ""])
                self._lines.clear()
                try:
                    self._stream.write(text)
                    self._stream.flush()
                # As logging's own handlers: who reads the log may go away, the server stays.
                except (OSError, ValueError):
                    return

    def _run(self) -> None:
        while True:
            self._some.wait()
            time.sleep(GATHER_S)
            self._some.clear()
            self.flush()


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send every logger of the process to ``stream`` (at once) or stderr, from ``level`` on.

    Below a warning only :data:`OURS` are heard: what libraries tell of their work (the driver's
    commands, the headers and addresses of clients, uvicorn's requests) holds what is sent.
    """
    handler = Gathering(sys.stderr) if stream is None else logging.StreamHandler(stream)
    handler.setFormatter(PlainFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    root = logging.getLogger()
    for name in OURS:
        logging.getLogger(name).setLevel(root.level)
    root.setLevel(max(logging.WARNING, root.level))
    # Nobody reads these fields, and each record pays for them (logging, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
