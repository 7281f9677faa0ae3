"""What a worker says is taken in, and what it doesn't say is told too."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mox.pipeline.pool import Worker
from mox.pipeline.stages import make

IDLE = """
import sys
for line in sys.stdin:
    print('{"event": "alive"}', flush=True)
    print('{"event": "idle"}', flush=True)
"""


def test_a_stage_that_a_worker_never_speaks_of_is_lost_not_forgotten(tmp_path: Path) -> None:
    package = tmp_path / "mox" / "pipeline"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").touch()
    (package / "worker.py").write_text(IDLE)
    worker = Worker({**os.environ, "PYTHONPATH": str(tmp_path)})
    stage = make("exact", {"k": 1}, {}, {})
    said: list[Mapping[str, Any]] = []
    try:
        worker.do([stage], said.append, timeout_s=20)
    finally:
        worker.close()
    assert [event["event"] for event in said] == ["alive", "lost"]
    assert said[1]["key"] == stage.key
    assert said[1]["error"] == "exact was left undone by its worker without a word."
