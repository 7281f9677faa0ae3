"""The process that workers are forked from: `python -m mox.pipeline.forkserver`, by a parent.

To start Python and import what a worker needs takes 0.3 CPU seconds and more; to fork a process
that has done so takes milliseconds, and what was imported lies in memory once. The process that
runs a plan can't be forked itself: a notebook's kernel has threads, and a fork has none of them
but their locks. So this one is started, has no thread, imports, and forks. (multiprocessing's own
would import the caller's `__main__` in each child, and outlive the run with its environment.)
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, NoReturn

from mox.secrets import scrub

WORKER = "mox.pipeline.worker"
PATIENCE_S = 5.0
"""How long it may take to end its children and itself before it is killed."""
ANSWER_S = 120.0
"""How long an answer may take, the first with all imports."""
_FORK = b"fork"
_MESSAGE_BYTES = 256


class Forkserver:
    """Our side of it. It is started when the first child is wanted, and anew where it has died.

    It ends with the thread that started it, and its children with it.

    Args:
        environment: that of all children.
        shared: what `prepare` is given.
        module: what children run: its `prepare(**shared)` once, before the first is forked, which
            starts no thread, and its `main()` in each.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        shared: Mapping[str, Any] | None = None,
        module: str = WORKER,
    ) -> None:
        self._environment = dict(environment)
        self._told = [module, json.dumps(shared or {})]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed by close()
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._children: set[int] = set()
        self._closed = False
        self._asking = threading.Lock()

    def fork(self, streams: Sequence[int]) -> int:
        """The process id of a new child.

        Args:
            streams: descriptors of its standard input, output and error.

        Raises:
            OSError: it can't be forked; says what the server said last.
        """
        with self._asking:
            if self._closed:
                raise OSError("the run is over")
            if self._process is None or self._process.poll() is not None:
                self._stop()
                self._start()
            answer = self._asked(_FORK, streams)
            if not answer:
                raise OSError(last_words(self._errors) or "what forks them gave no answer")
            if not answer.isdigit():
                raise OSError(answer.decode(errors="replace"))
            self._children.add(int(answer))
            return int(answer)

    def end(self, pid: int) -> None:
        """End a child at once; returns when it is gone."""
        with self._asking:
            # Else it ended with its server, and its number may be another's.
            if pid in self._children and self._process and self._process.poll() is None:
                self._children.discard(pid)
                os.kill(pid, signal.SIGKILL)  # it keeps its number until the server has waited
                self._asked(str(pid).encode())

    def close(self) -> None:
        """End it with its children, and give back its files; it can't be asked again."""
        with self._asking:
            self._closed = True
            self._stop()
            self._errors.close()

    def _asked(self, request: bytes, streams: Sequence[int] = ()) -> bytes:
        """Its answer; nothing where it died or hung over it, and so was ended."""
        assert self._line is not None  # noqa: S101  set by _start
        try:
            socket.send_fds(self._line, [request], list(streams))
            answer = self._line.recv(_MESSAGE_BYTES)
        except OSError:
            answer = b""
        if not answer:
            self._stop()
        return answer

    def _start(self) -> None:
        self._line, theirs = socket.socketpair()
        self._line.settimeout(ANSWER_S)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  our own interpreter and module
                [sys.executable, "-m", __name__, str(os.getpid()), *self._told],
                stdin=theirs.fileno(),
                stdout=self._errors,
                stderr=self._errors,
                env=self._environment,
                start_new_session=True,  # Ctrl-C is for the parent, which decides what is kept
            )

    def _stop(self) -> None:
        self._children.clear()
        if self._line is not None:
            self._line.close()  # which it takes for its end
            self._line = None
        if self._process is not None:
            try:
                self._process.wait(timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def last_words(errors: IO[bytes]) -> str:
    """The last line that a dead process wrote to its file of errors; nothing without one."""
    errors.seek(0)
    lines = errors.read().decode(errors="replace").strip().splitlines()
    return scrub(lines[-1])[:300] if lines else ""  # scrubbed first: a secret cut in two would stay


def main() -> None:
    """Fork a child for each request, until our side closes the line or dies."""
    die_with(int(sys.argv[1]))
    gc.disable()  # nothing of what is imported is garbage
    module = importlib.import_module(sys.argv[2])
    module.prepare(**json.loads(sys.argv[3]))
    gc.freeze()  # a child that looked for garbage in it would copy it all
    gc.enable()
    line = socket.socket(fileno=0)
    children: set[int] = set()
    while True:
        request, streams, _, _ = socket.recv_fds(line, _MESSAGE_BYTES, 3)
        if request == _FORK:
            answer = _forked(module.main, streams, children)
        elif request:
            answer = _waited(int(request), children)
        else:
            break
        line.send(answer)
    for child in [*children]:
        os.kill(child, signal.SIGKILL)
        _waited(child, children)  # so that their CPU seconds count as ours


def _forked(run: Callable[[], None], streams: Sequence[int], children: set[int]) -> bytes:
    server = os.getpid()
    try:
        child = os.fork()
    except OSError as error:
        return str(error).encode()[:_MESSAGE_BYTES]
    finally:
        if os.getpid() == server:
            for stream in streams:
                os.close(stream)
    if not child:
        _be_child(run, streams, server)
    children.add(child)
    return str(child).encode()


def _be_child(run: Callable[[], None], streams: Sequence[int], server: int) -> NoReturn:
    code = 1
    try:
        os.setsid()
        die_with(server)
        for number, stream in enumerate(streams):  # standard input was the server's line
            os.dup2(stream, number)
            os.close(stream)
        run()
        code = 0
    except BaseException:  # noqa: BLE001  told as its last words
        traceback.print_exc()
    finally:
        os._exit(code)


def _waited(child: int, children: set[int]) -> bytes:
    os.waitpid(child, 0)
    children.discard(child)
    return b"gone"


def die_with(parent: int) -> None:
    """Have the kernel end this process with its parent (Linux); ends at once if it is gone."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    main()
