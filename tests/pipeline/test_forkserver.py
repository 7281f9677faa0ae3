"""Workers are forked from one process, end when they are told or when it does, and are counted."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

import mox
from mox.chunking import chunkers
from mox.pipeline.forkserver import WORKER, Forkserver
from mox.pipeline.pool import environment
from mox.pipeline.stages import make
from mox.pipeline.worker import BACK_ENDS, shared

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")

CHILD = """
import os, sys, time
SHARED = []
def prepare(more=0, imports=()):
    SHARED.append(more) if more else None
    for name in imports:
        __import__(name)
    SHARED.append(os.getpid())
def main():
    for line in sys.stdin:
        print(eval(line), flush=True)
"""


class Child:
    """A child that answers Python expressions."""

    def __init__(self, forks: Forkserver) -> None:
        theirs_in, ask = os.pipe()
        answer, theirs_out = os.pipe()
        self.pid = forks.fork([theirs_in, theirs_out, 2])
        os.close(theirs_in)
        os.close(theirs_out)
        self._ask, self._answer = os.fdopen(ask, "w"), os.fdopen(answer)

    def says(self, expression: str) -> str:
        self._ask.write(expression + "\n")
        self._ask.flush()
        return self._answer.readline().strip()

    def close(self) -> None:
        with suppress(OSError):
            self._ask.close()
        self._answer.close()


Start = Callable[..., tuple[Forkserver, Callable[[], Child]]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A server of these children, and what forks one; both are ended."""
    (tmp_path / "a_child.py").write_text(CHILD)
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    servers: list[Forkserver] = []
    children: list[Child] = []

    def begin(**shared: Any) -> tuple[Forkserver, Callable[[], Child]]:
        ambient = {**environment(2), "PYTHONPATH": path}
        servers.append(Forkserver(ambient, shared, module="a_child"))

        def fork() -> Child:
            children.append(Child(servers[-1]))
            return children[-1]

        return servers[-1], fork

    yield begin
    for server in servers:
        server.close()
    for child in children:
        child.close()


def gone(pid: int, within_s: float = 10) -> bool:
    """Whether a process that isn't ours to wait for has ended."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.01)
    return False


def test_children_share_what_was_prepared_once(start: Start) -> None:
    _, fork = start(more=7)
    one, other = fork(), fork()
    prepared = {child.says("SHARED") for child in (one, other)}
    assert prepared == {one.says("[7, os.getppid()]")}
    assert one.pid == int(one.says("os.getpid()")) != other.pid


def test_a_child_that_is_ended_is_gone_when_that_returns_and_others_live_on(start: Start) -> None:
    server, fork = start()
    one, other = fork(), fork()
    server.end(one.pid)
    assert not psutil.pid_exists(one.pid)
    assert other.says("1 + 1") == "2"


def test_what_children_took_is_counted_as_ours(start: Start) -> None:
    """The CPU seconds of a run are those that the kernel counts for its process; else they would
    lack the work of workers, and no limit or measurement would see it."""
    server, fork = start()
    ended, left = fork(), fork()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    burn = "max(iter(lambda: time.process_time() > 0.5, True))"
    assert ended.says(burn) == left.says(burn) == "False"
    server.end(ended.pid)
    server.close()  # ends the other
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime > 1.0


def test_children_end_with_their_server_and_the_next_has_a_new_one(start: Start) -> None:
    server, fork = start()
    one = fork()
    first = int(one.says("os.getppid()"))
    os.kill(first, signal.SIGKILL)
    assert gone(one.pid)
    other = fork()
    assert int(other.says("os.getppid()")) != first
    server.end(one.pid)  # as its worker does, late: the number may be somebody else's by now
    assert other.says("1 + 1") == "2"
    assert fork().says("os.getppid()") == other.says("os.getppid()")


def test_a_server_that_stands_still_is_ended(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server, fork = start()
    monkeypatch.setattr("mox.pipeline.forkserver.PATIENCE_S", 0.2)
    one = fork()
    above = int(one.says("os.getppid()"))
    os.kill(above, signal.SIGSTOP)
    server.close()
    assert gone(above)
    assert gone(one.pid)


def test_a_server_that_gives_no_answer_is_told_not_waited_for(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mox.pipeline.forkserver.PATIENCE_S", 0.2)
    monkeypatch.setattr("mox.pipeline.forkserver.ANSWER_S", 1.0)
    _, fork = start()
    one = fork()
    os.kill(int(one.says("os.getppid()")), signal.SIGSTOP)
    with pytest.raises(OSError, match="what forks them gave no answer"):
        fork()
    assert gone(one.pid)
    assert fork().says("1 + 1") == "2"


def test_nothing_is_forked_once_it_is_closed(start: Start) -> None:
    server, fork = start()
    above = int(fork().says("os.getppid()"))
    server.close()
    with pytest.raises(OSError, match="the run is over"):
        server.fork([0, 1, 2])
    assert gone(above)


@pytest.mark.parametrize("stands_still", [False, True])
def test_all_end_with_who_started_them(tmp_path: Path, stands_still: bool) -> None:
    """Killed, so that nothing of ours can do it: the server hears its line end, or else the kernel
    ends it, and with it them."""
    (tmp_path / "a_child.py").write_text(CHILD)
    script = (
        "import os, sys, time\n"
        "from mox.pipeline.forkserver import Forkserver\n"
        "forks = Forkserver(dict(os.environ), module='a_child')\n"
        "r, w = os.pipe()\n"
        "print(forks.fork([r, 2, 2]), flush=True)\n"
        "time.sleep(60)\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        child = int(process.stdout.readline())
        above = psutil.Process(child).ppid()
        if stands_still:
            os.kill(above, signal.SIGSTOP)
        process.kill()
        assert gone(child)
        assert gone(above)


def test_workers_are_forked_from_a_single_thread() -> None:
    """A fork has the locks of threads that it hasn't got, and would wait for them for ever."""
    ours = [
        (stage, kind)
        for stage, registry in BACK_ENDS.items()
        for kind in registry.kinds()
        if registry.entry(kind).plugin is None
    ]
    assert len(ours) > 40
    server = Forkserver(environment(2), {"kinds": ours, "tokenizer": "cl100k"})
    try:
        theirs_in, ours = os.pipe()
        worker = psutil.Process(server.fork([theirs_in, 2, 2]))
        above = worker.parent()
        assert above is not None
        assert WORKER in above.cmdline()
        assert above.num_threads() == 1
        os.close(theirs_in)
        os.close(ours)
    finally:
        server.close()


def test_third_parties_back_ends_are_left_to_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows whether they start threads when they are imported."""
    theirs = replace(chunkers.entry("fixed"), plugin="somebody's")
    monkeypatch.setitem(chunkers._entries, "theirs", theirs)
    stages = [
        make("chunk", {"of": {"kind": kind}, "tokenizer": "o200k"}, {}, {})
        for kind in ("fixed", "theirs")
    ]
    assert shared(stages) == {"kinds": [("chunk", "fixed")], "tokenizer": "o200k"}


def test_what_workers_share_is_there_already_and_what_is_missing_stops_nobody(
    start: Start,
) -> None:
    _, fork = start()
    prepare = "__import__('mox.pipeline.worker').pipeline.worker.prepare"
    told = "kinds=[['lexical', 'of nobody'], ['lexical', 'bm25']], tokenizer='of nobody'"
    names = ["mox.pipeline.work", "mox.pipeline.together", "mox.retrieval.bm25", "bm25s"]
    there = f"[name in sys.modules for name in {names}]"
    assert fork().says(f"[{prepare}({told}), {there}]") == f"[None, {[True] * 4}]"


def test_numpys_own_generator_differs_from_worker_to_worker(start: Start) -> None:
    _, fork = start(imports=["numpy.random"])
    seeded = "__import__('mox.pipeline.worker').pipeline.worker.seed_anew()"
    drawn = "sys.modules['numpy.random'].random()"
    assert len({(child.says(seeded), child.says(drawn)) for child in (fork(), fork())}) == 2


def test_a_run_lets_its_server_end_by_itself_with_all_that_its_workers_took(
    small_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel ends it with the thread that started it, one of those that feed workers: when
    that went first, the CPU seconds of workers that nobody had waited for were lost."""
    codes: list[int | None] = []

    class Seen(Forkserver):
        def _stop(self) -> None:
            process = self._process
            super()._stop()
            codes.append(process.returncode if process else None)

    monkeypatch.setattr("mox.pipeline.execute.Forkserver", Seen)
    for size in range(20, 24):
        written = {
            "name": "counted",
            "corpus": {"kind": "evidence", "path": str(small_corpus)},
            "axes": {"chunk": [{"kind": "fixed", "size": size}], "search": [{"kind": "bm25"}]},
            "measure": ["recall@5"],
        }
        mox.run(written, offline=True, quiet=True)
    assert [code for code in codes if code is not None] == [0] * 4
