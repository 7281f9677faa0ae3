"""What a worker does: stages, in a process of its own.

It speaks JSON lines: jobs on standard input, events on standard output. Nothing is pickled and
the parent's `__main__` is never imported, so it works the same from a script without a guard,
from `python -` and from a notebook. It ends when the run's process does, whatever it is doing:
the kernel ends it with what it was forked from where it can, and a thread of its own waits for
standard input to end.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

from mox.chunking import chunkers
from mox.embedding import embedders
from mox.errors import BudgetError, MoxError
from mox.indexes import indexes
from mox.pipeline import codec
from mox.pipeline.stages import MEASURED, UNSYNCED, VERSIONS, Output, Ref, Stage
from mox.pipeline.store import DamagedError, Store
from mox.registry import Registry
from mox.retrieval import fusions, retrievers
from mox.secrets import scrub
from mox.settings import settings

Job = list[dict[str, Any]]

BACK_ENDS: Mapping[str, Registry[Any]] = {
    "chunk": chunkers,
    "embed": embedders,
    "queries": embedders,
    "build": indexes,
    "lexical": retrievers,
    "fuse": fusions,
}
"""Stages whose `of` names a back end."""


def shared(stages: Sequence[Stage]) -> dict[str, Any]:
    """What `prepare` is given for these stages: what each worker would have to import and open.

    Of third parties' back ends nobody knows whether they start threads when imported: they are
    left to the workers.
    """
    asked = {(s.kind, s.spec["of"]["kind"]) for s in stages if s.kind in BACK_ENDS}
    ours = [pair for pair in sorted(asked) if BACK_ENDS[pair[0]].entry(pair[1]).plugin is None]
    cut = next((s.spec["tokenizer"] for s in stages if s.kind in ("chunk", "tokens")), None)
    return {"kinds": ours, "tokenizer": cut}


def prepare(*, kinds: Iterable[Sequence[str]] = (), tokenizer: str | None = None) -> None:
    """Have at hand, once for all workers, what each of them would import and open.

    What can't be had is left to the stages that need it, which say so.

    Args:
        kinds: pairs of a stage and its back end, with what the back end says that it imports.
        tokenizer: one that is opened.
    """
    import mox.pipeline.context
    import mox.pipeline.together
    import mox.pipeline.work  # noqa: F401
    from mox.chunking.tokenizers import open_tokenizer

    for stage, kind in kinds:
        with suppress(Exception):
            for name in BACK_ENDS[stage].entry(kind).traits.get("imports", ()):
                importlib.import_module(name)
    if tokenizer is not None:
        with suppress(Exception):
            open_tokenizer(tokenizer)


def main() -> None:
    """Do jobs until standard input ends."""
    seed_anew()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Libraries that print would break the protocol: what they print goes to standard error.
    os.dup2(2, 1)
    jobs: queue.Queue[Job] = queue.Queue()
    threading.Thread(target=_receive, args=(sys.stdin, jobs), daemon=True).start()
    _serve(jobs, out)


def seed_anew() -> None:
    """Part numpy's own generator from that of other workers: unlike Python's, it is the same in
    all processes that are forked from one, and a third party's back end may draw from it."""
    if random := sys.modules.get("numpy.random"):
        random.seed()


def _receive(source: IO[str], jobs: queue.Queue[Job]) -> None:
    for line in source:
        jobs.put(json.loads(line))
    # The parent closed the pipe or died; a stage under way leaves only a temporary name.
    os._exit(0)


def _serve(jobs: queue.Queue[Job], out: IO[str]) -> None:
    from mox.pipeline.context import Context

    def say(*, at_once: bool = True, **event: Any) -> None:
        out.write(json.dumps(event) + "\n")
        if at_once:
            out.flush()

    here = settings()
    context = Context(Store(here.root), here, lambda: say(event="alive"))
    while True:
        job = [from_plain(plain) for plain in jobs.get()]
        failed: dict[str, dict[str, Any]] = {}
        for kind in dict.fromkeys(stage.kind for stage in job):
            left = [stage for stage in job if stage.kind == kind]
            whole = [s for s in left if not any(r.key in failed for r in s.inputs.values())]
            done = do_together(whole, context, say)
            for stage in left:
                if stage.key in done:
                    continue
                said = next((failed[r.key] for r in stage.inputs.values() if r.key in failed), None)
                said = said or _do(stage, context, say)
                if said is not None:
                    failed[stage.key] = said
                    say(event="failed", key=stage.key, **said)
        context.end_job()
        say(event="idle")


def do_together(stages: list[Stage], context: Any, say: Callable[..., None]) -> set[str]:
    """Do at once what can be; each is stored by itself, and said.

    Returns:
        Keys of those that are done, or failed by themselves. The others wait to be done one by
        one: what can't be done at once, what another process does now, what couldn't be stored,
        and all that were left when something was raised, so that each says what is wrong with it
        by itself.
    """
    from mox.pipeline.together import TOGETHER, can

    done: set[str] = set()
    if len(stages) < 2 or stages[0].kind not in TOGETHER:
        return done
    try:
        several = [stage for stage in stages if can(stage)]
        store: Store = context.store
        with store.claim([stage.key for stage in several]) as mine:
            todo = [s for s in several if s.key in mine and not store.has(*s.ref)]
            for stage in todo:
                say(at_once=stage is todo[-1], event="start", key=stage.key)
            made, seconds = _made(todo, context)
            done.update(s.key for s, output in made if _settled(s, output, seconds, context, say))
    except Exception:  # noqa: BLE001  said by the stage itself, when it is done alone
        return done
    return done


def _made(todo: list[Stage], context: Any) -> tuple[list[tuple[Stage, Output | MoxError]], float]:
    """What stages make together, as far as it goes well, and seconds of each: an equal share,
    since the first that is at hand has done the work of all."""
    from mox.pipeline.together import TOGETHER

    made: list[tuple[Stage, Output | MoxError]] = []
    began = time.perf_counter()
    with suppress(Exception):  # said by those that are left, when each is done alone
        for pair in TOGETHER[todo[0].kind](todo, context) if todo else ():
            made.append(pair)  # noqa: PERF402  those made before something is raised count
    return made, (time.perf_counter() - began) / max(len(made), 1)


def _settled(
    stage: Stage, output: Output | MoxError, seconds: float, context: Any, say: Callable[..., None]
) -> bool:
    """Store what a stage made, or say how it failed; False where it has to be done alone."""
    failed: Exception
    if isinstance(output, MoxError):
        failed = output
    else:
        try:
            keep(stage, output, seconds, context.store)
        except Exception as error:  # noqa: BLE001  said here, or by the stage done alone
            if stage.kind not in MEASURED:
                return False
            failed = error  # what took minutes to measure isn't measured again for that
        else:
            if (
                stage.kind == "fuse"
            ):  # at hand for its scores only now: hits outlive no failed write
                context.fresh(stage.ref, codec.unpack_hits(dict(output.arrays)))
            say(at_once=False, event="done", key=stage.key, stored=False, seconds=seconds)
            return True
    say(at_once=False, event="failed", key=stage.key, **_failure(failed))
    return True


def _do(stage: Stage, context: Any, say: Callable[..., None]) -> dict[str, Any] | None:
    """Do one stage and say so; returns what failed, for the caller to say of all it takes along."""
    say(event="start", key=stage.key)
    try:
        seconds, stored = perform(stage, context)
    except DamagedError as error:
        context.close_engine(error)
        say(event="damaged", key=stage.key, damaged=error.key, **_failure(error))
    except BudgetError as error:
        say(event="unpaid", key=stage.key, **_failure(error))
    except Exception as error:  # noqa: BLE001  whatever a back end raises fails its trials only
        context.close_engine(error)
        return _failure(error)
    else:
        say(event="done", key=stage.key, stored=stored, seconds=seconds)
    return None


def _failure(error: Exception) -> dict[str, str]:
    """What is said of an error: shown, and kept with the run, so without the secrets that a back
    end's message may quote."""
    if isinstance(error, MoxError):
        return {"error": scrub(error.message), "mend": scrub(error.mend)}
    return {"error": scrub(f"{type(error).__name__}: {error}"), "mend": _trace(error)}


def perform(stage: Stage, context: Any) -> tuple[float, bool]:
    """Do a stage unless it is stored, alone among all processes on this store.

    Returns:
        Seconds of work, and whether it was stored already (another process did it meanwhile).
    """
    from mox.pipeline.work import WORK

    store: Store = context.store
    with context.alone(stage.key):
        if store.has(stage.kind, stage.key):
            return 0.0, True
        began = time.perf_counter()
        output = WORK[stage.kind](stage, context)
        seconds = time.perf_counter() - began
        keep(stage, output, seconds, store)
        return seconds, False


def keep(stage: Stage, output: Any, seconds: float, store: Store) -> None:
    """Store what a stage made, and how."""
    note = {
        "version": VERSIONS[stage.kind],
        "spec": dict(stage.spec),
        "inputs": {role: list(ref) for role, ref in stage.inputs.items()},
        "fingerprint": dict(stage.fingerprint),
        "seconds": seconds,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    sync = stage.kind not in UNSYNCED
    store.write(stage.kind, stage.key, output.arrays, output.facts, note, sync=sync)


def _trace(error: BaseException) -> str:
    """Where it was raised, for an error that no one foresaw."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1]
    return f"raised in {last.name} ({os.path.basename(last.filename)}:{last.lineno})."  # noqa: PTH119


def to_plain(stage: Stage) -> dict[str, Any]:
    """A stage as JSON."""
    return {
        "kind": stage.kind,
        "key": stage.key,
        "spec": dict(stage.spec),
        "inputs": {role: list(ref) for role, ref in stage.inputs.items()},
        "fingerprint": dict(stage.fingerprint),
        "runtime": dict(stage.runtime),
    }


def from_plain(plain: Mapping[str, Any]) -> Stage:
    """A stage from JSON."""
    inputs = {role: Ref(*ref) for role, ref in plain["inputs"].items()}
    return Stage(
        plain["kind"], plain["key"], plain["spec"], inputs, plain["fingerprint"], plain["runtime"]
    )
