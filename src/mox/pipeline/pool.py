"""Worker processes that can be ended: each owned by a thread that feeds it jobs."""

from __future__ import annotations

import json
import os
import queue
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from mox.pipeline.forkserver import Forkserver, last_words
from mox.pipeline.stages import Stage
from mox.pipeline.worker import to_plain
from mox.secrets import scrub

Report = Callable[[Mapping[str, Any]], None]


@dataclass
class _Process:
    """A running worker, as we hold it."""

    pid: int
    jobs: IO[str]
    said: IO[str]
    listener: threading.Thread


class Worker:
    """One worker process. Started when first needed; started anew after it was ended."""

    def __init__(self, forks: Forkserver) -> None:
        self._forks = forks
        self._process: _Process | None = None
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._errors: IO[bytes] | None = None
        self._ended = threading.Lock()

    def do(self, job: Sequence[Stage], report: Report, *, timeout_s: float) -> None:
        """Do a job, reporting each event; returns when all its stages were reported.

        A worker that stands still for `timeout_s` is ended; then, as when it dies or says that it
        is done, its stages that were not reported are reported as lost.
        """
        waiting = {stage.key: stage for stage in job}
        try:
            jobs = self._started().jobs
        except OSError as error:
            self._lost(waiting, report, f"has no worker: none could be started ({error})")
            return
        try:
            jobs.write(json.dumps([to_plain(stage) for stage in job]) + "\n")
            jobs.flush()
            while True:
                event = self._events.get(timeout=timeout_s)
                if event is None:
                    self._lost(waiting, report, f"its worker died{self._last_words()}")
                    return
                if event["event"] == "idle":
                    if waiting:
                        self._lost(waiting, report, "was left undone by its worker without a word")
                    return
                if event["event"] in ("done", "failed", "damaged", "unpaid"):
                    waiting.pop(event["key"])
                report(event)
        except queue.Empty:
            self.end()
            self._lost(waiting, report, f"stood still for {timeout_s:.0f} s and was ended")
        except OSError:
            self._lost(waiting, report, f"its worker died{self._last_words()}")

    def end(self) -> None:
        """End the process at once, with whatever it was doing."""
        with self._ended:
            process, self._process = self._process, None
            if process is not None:
                self._forks.end(process.pid)
                for pipe in (process.jobs, process.said):
                    try:
                        pipe.close()
                    except OSError:
                        continue  # a pipe to the dead process could not be flushed

    def _started(self) -> _Process:
        if self._process is not None and self._process.listener.is_alive():
            return self._process
        self.end()
        self._events = queue.Queue()
        if self._errors is not None:
            self._errors.close()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed by close()
        theirs_in, jobs = os.pipe()
        said, theirs_out = os.pipe()
        try:
            pid = self._forks.fork([theirs_in, theirs_out, self._errors.fileno()])
        except OSError:
            os.close(jobs)
            os.close(said)
            raise
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        from_it = os.fdopen(said, encoding="utf-8")
        listener = threading.Thread(target=_listen, args=(from_it, self._events), daemon=True)
        process = _Process(pid, os.fdopen(jobs, "w", encoding="utf-8"), from_it, listener)
        self._process = process
        listener.start()
        return process

    def _lost(self, waiting: Mapping[str, Stage], report: Report, why: str) -> None:
        self.end()
        for at, (key, stage) in enumerate(waiting.items()):
            said = f"{stage.label} {why}" if at == 0 else f"{stage.label} was lost with it"
            report(
                {
                    "event": "lost",
                    "key": key,
                    "error": scrub(f"{said}."),
                    "mend": "run again; MOX_STAGE_TIMEOUT_S sets how long a stage may stand still.",
                }
            )

    def _last_words(self) -> str:
        """What a dead worker wrote last to standard error, if anything."""
        said = last_words(self._errors) if self._errors is not None else ""
        return f" ({said})" if said else ""

    def close(self) -> None:
        """End the process and give back its files."""
        self.end()
        if self._errors is not None:
            self._errors.close()
            self._errors = None


def _listen(said: IO[str], events: queue.Queue[dict[str, Any] | None]) -> None:
    try:
        for line in said:
            events.put(json.loads(line))
    except (ValueError, OSError):
        pass  # the pipe was closed under us, or a line was cut by a kill
    events.put(None)


def environment(workers: int) -> dict[str, str]:
    """A worker's environment: ours, with one thread for each numeric library.

    Workers run side by side on the cores; a library that took them all would only get in the
    way, and some of them are not deterministic on several threads.
    """
    found = dict(os.environ)
    if workers > 1:
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            found.setdefault(name, "1")
    found["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    found["TOKENIZERS_PARALLELISM"] = "false"
    # Else pydantic looks for its plugins in every installed distribution, worker by worker.
    found.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    return found
