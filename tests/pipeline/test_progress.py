"""What a run shows while it goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mox
from mox.pipeline.execute import Outcome, _Runner
from mox.pipeline.progress import Silent
from mox.pipeline.stages import Stage
from mox.settings import settings

SHOWN = """
import sys
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
import mox
from mox.pipeline.progress import Notebook

InteractiveShell.instance()
plan = mox.plan({
    "name": "shown", "corpus": {"kind": "evidence", "path": sys.argv[1]},
    "axes": {"chunk": [{"kind": "fixed", "size": 24}], "search": [{"kind": "bm25"}]},
    "measure": ["recall@5"],
})
stages = [stage for stage in plan.stages.values() if stage.kind == "lexical"]
with capture_output() as caught:
    shown = Notebook()
    shown.begin(plan, plan.pending())
    shown.started(stages[0])
    shown.left(stages[0])
    shown.started(stages[0])
    shown.end()
print([output.data["text/html"].count("1 under way") for output in caught.outputs])
with capture_output() as caught:
    Notebook().begin(plan, [])
print(caught.outputs[0].data["text/html"].count("nothing to do: all is stored"))
"""


def test_a_notebook_shows_what_is_under_way_before_any_of_it_is_done(
    small_corpus: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHOWN, str(small_corpus)],
        env={**os.environ, "IPYTHONDIR": str(tmp_path / "ipython")},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    # When it begins, as the stage starts, is left undone and starts again, and once all is over.
    assert done.stdout.splitlines()[-2:] == ["[0, 1, 0, 1, 0]", "1"], done.stdout + done.stderr


class Watched(Silent):
    """Knows which stages are under way."""

    def __init__(self) -> None:
        self.running: set[str] = set()

    def started(self, stage: Stage) -> None:
        self.running.add(stage.key)

    def left(self, stage: Stage) -> None:
        self.running.remove(stage.key)

    def finished(self, stage: Stage, *, stored: bool, failed: bool) -> None:
        self.running.remove(stage.key)


@pytest.mark.parametrize("event", ["unpaid", "lost", "damaged"])
def test_what_a_worker_left_undone_is_not_under_way(small_corpus: Path, event: str) -> None:
    """A stage that the budget stopped, and one that has to wait to be done again."""
    plan = mox.plan({
        "name": "shown", "corpus": {"kind": "evidence", "path": str(small_corpus)},
        "axes": {"chunk": [{"kind": "fixed", "size": 24}], "search": [{"kind": "bm25"}]},
        "measure": ["recall@5"],
    })  # fmt: skip
    score = next(stage for stage in plan.stages.values() if stage.kind == "score")
    watched = Watched()
    runner = _Runner(plan, settings(), watched, Outcome(), plan.pending())
    runner._handle(score, {"event": "start"})
    assert watched.running == {score.key}
    damaged = score.inputs["chunk"].key
    runner._handle(score, {"event": event, "damaged": damaged, "error": "so.", "mend": "so."})
    assert watched.running == set()
