"""What a run shows while it goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
    shown.end()
print([output.data["text/html"].count("1 under way") for output in caught.outputs])
"""


def test_a_notebook_shows_what_is_under_way_before_any_of_it_is_done(
    small_corpus: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHOWN, str(small_corpus)],
        env={**os.environ, "IPYTHONDIR": str(tmp_path / "ipython")},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    # When it begins, as the stage starts, and once all is over.
    assert done.stdout.splitlines()[-1:] == ["[0, 1, 0]"], done.stdout + done.stderr
