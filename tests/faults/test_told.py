"""What a back end says as it fails is told without the secrets in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

EXPERIMENT = """\
name: told
corpus: {{kind: evidence, path: {corpus}}}
axes:
  chunk: [{{kind: toy-raise}}, {{kind: toy-crash}}, {{kind: recursive, size: 24}}]
  search: [{{kind: bm25, k: 3}}]
measure: [recall@3]
"""


def test_a_password_in_an_error_reaches_neither_a_file_nor_the_terminal(
    tmp_path: Path, small_corpus: Path, toy_plugin: Path, own_state: Path
) -> None:
    file = tmp_path / "e.yaml"
    file.write_text(EXPERIMENT.format(corpus=small_corpus))
    environment = {
        **os.environ,
        "PYTHONPATH": str(toy_plugin),
        "TOY_SAYS": "cannot connect to http://u:hunter2@host:19530",
    }
    done = subprocess.run(
        [sys.executable, "-m", "mox", "run", str(file), "--offline"],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    told = done.stdout + done.stderr
    assert "ZeroDivisionError: cannot connect to http://***@host:19530" in told, told
    assert "its worker died (" in told
    assert "hunter2" not in told
    [record] = (own_state / "runs").glob("*.json")
    assert record.read_text().count("http://***@host:19530") == 2
    for path in own_state.rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes(), path
