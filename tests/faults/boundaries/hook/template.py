"""A process with Mox and MLflow imported, that is forked for each call of the command line.

One JSON object a line on standard input: `words` (the command line, or `python` and a script with
its arguments), `environment`, `out` (the
file that gets its standard output and error). Answers with a line: the exit status, negative
for the signal that ended it. Only the imports are shared; the workers that a call starts are
processes of their own, as ever. What a killed call leaves running has to end by itself; it is
waited for, so that each call begins alone.
"""

from __future__ import annotations

import ctypes
import json
import os
import runpy
import signal
import sys

PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # a killed call's workers become ours
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _import()
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            _call(asked)
        _, status = os.waitpid(child, 0)
        _wait_for_the_rest()
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n")
        answers.flush()


def _wait_for_the_rest() -> None:
    try:
        while True:
            os.wait()
    except ChildProcessError:
        return


def _import() -> None:
    """What every call needs sooner or later; MLflow only where it is written to."""
    import mox.api
    import mox.cli.app

    if "FAULTS_LIGHT" in os.environ:
        import openai.resources.embeddings  # noqa: F401

        import mox.bench.providers.ask
        import mox.providers.embedding_wire

        return
    import altair  # noqa: F401
    import mlflow  # noqa: F401
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: F401

    import mox.release.registry  # noqa: F401


def _call(asked: dict[str, object]) -> None:
    """Be the command `mox`."""
    from mox.cli import main as command

    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        out = os.open(str(asked["out"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        err = os.open(f"{asked['out']}.err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.environ.update(asked["environment"])  # type: ignore[call-overload]
        sys.argv = ["mox", *asked["words"]]  # type: ignore[misc]
        if "FAULTS_WATCH" in os.environ:
            import watch

            watch.install()
        if asked["words"][0] == "python":  # type: ignore[index]
            sys.argv = sys.argv[2:]
            runpy.run_path(sys.argv[0], run_name="__main__")
            code = 0
        else:
            command()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
