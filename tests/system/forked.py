"""``tellonce`` as processes of their own that need not import the program anew.

Importing takes longer than most commands do, and the suite starts hundreds.  Each worker of the
suite therefore keeps one process that has imported everything; a command is a fork of it, with its
own arguments, environment, folder and streams.  The fork is handed to the worker as its child
(``PR_SET_CHILD_SUBREAPER``, Linux), so it is waited for, signalled and killed like any other.
``tests/system/test_command_line.py`` starts the installed script as well.
"""

import atexit
import ctypes
import json
import os
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

_PR_SET_CHILD_SUBREAPER = 36
_MOST = 1 << 20  # bytes of a request


class Tellonce(subprocess.Popen[Any]):
    """A running command.  As :class:`subprocess.Popen`, the program's name left out of ``args``."""

    def _execute_child(  # type: ignore[no-untyped-def]
        self, args, _executable, _preexec_fn, _close_fds, _pass_fds, cwd, env, _startupinfo,
        _creationflags, _shell, p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, *_rest,
    ) -> None:  # fmt: skip
        asked = {
            "words": [os.fspath(word) for word in args],
            "cwd": os.fspath(cwd or Path.cwd()),
            "environment": dict(os.environ if env is None else env),
        }
        streams = [
            own if own != -1 else common
            for own, common in ((p2cread, 0), (c2pwrite, 1), (errwrite, 2))
        ]
        self.pid = _fork(json.dumps(asked).encode(), streams)
        self._child_created = True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)


def tellonce(
    *words: str | Path, stdin: str | None = None, timeout: float = 60, **how: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, as :func:`subprocess.run` with its output captured as text."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.PIPE}
    with Tellonce(list(words), text=True, **streams, **how) as running:
        try:
            said, complained = running.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            running.kill()
            raise
    return subprocess.CompletedProcess(list(words), running.returncode, said, complained)


@cache
def _source() -> socket.socket:
    """Return the connection to the process that forks, started when it is first asked."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    ours, theirs = socket.socketpair()
    with theirs:
        forking = subprocess.Popen(
            [sys.executable, "-m", "tests.system.forked", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,  # block-buffered, as a command's own would be
        )
    atexit.register(_end, ours, forking)
    return ours


def _end(source: socket.socket, forking: subprocess.Popen[bytes]) -> None:
    source.close()
    forking.communicate()


def _fork(asked: bytes, streams: list[int]) -> int:
    if len(asked) > _MOST:
        raise ValueError("too many words")
    source = _source()
    socket.send_fds(source, [len(asked).to_bytes(4, "big")], streams)
    source.sendall(asked)
    return int.from_bytes(_all(source, 4), "big")


def _all(source: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        more = source.recv(size - len(got))
        if not more:
            raise EOFError
        got += more
    return got


def _serve(source: socket.socket) -> None:
    """Fork for every request; return in the fork, exit when the worker has gone."""
    while True:
        head, streams, _, _ = socket.recv_fds(source, 4, 3)
        if not head:
            os._exit(0)
        asked = json.loads(_all(source, int.from_bytes(head, "big")))
        told, telling = os.pipe()
        between = os.fork()
        if between == 0:
            if child := os.fork():
                os.write(telling, child.to_bytes(4, "big"))
                os._exit(0)
            source.close()
            os.close(told)
            os.close(telling)
            _become(asked, streams)
            return
        os.waitpid(between, 0)  # with its end the child becomes the worker's
        source.sendall(os.read(told, 4))
        for one in (*streams, told, telling):
            os.close(one)


def _become(asked: dict[str, Any], streams: list[int]) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    for stream in streams:
        if stream > 2:
            os.close(stream)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv = ["tellonce", *asked["words"]]
    sys.modules["__main__"].__package__ = None  # else usage would name this module


if __name__ == "__main__":
    import gc

    from server.commands.line import cli

    gc.freeze()
    _serve(socket.socket(fileno=int(sys.argv[1])))
    cli()
