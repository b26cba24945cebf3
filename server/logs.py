"""What the process logs: lines on stderr, without anything of a patient.

Exceptions are logged by type and place only, whoever logs them, because their texts may quote data.
``2026-01-02T03:04:05.678Z INFO tellonce.request GET /{type}/{id} 200 0.4ms REQUEST-ID PRINCIPAL``
"""

import logging
import sys
import time
import traceback
from types import TracebackType
from typing import TextIO

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class PlainFormatter(logging.Formatter):
    """One line a record, in UTC; a traceback without the words of its exception."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s")
        self.datefmt = "%Y-%m-%dT%H:%M:%S"

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802 - logging's name
        """Return the places of the exception and its type."""
        kind, _, trace = ei
        lines = [f"  {f.filename}:{f.lineno} in {f.name}" for f in traceback.extract_tb(trace)]
        return "\n".join([*lines, f"  {kind.__name__ if kind else 'no exception'}"])


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send every logger of the process to ``stream`` (stderr), from ``level`` on."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(PlainFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # uvicorn's own lines say nothing that the request line does not; its warnings count.
    logging.getLogger("uvicorn").setLevel(max(logging.WARNING, logging.getLogger().level))
    # Nobody reads these fields, and each record pays for them (logging, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
