"""A planted secret, in a URI and in the environment, is nowhere in what a run leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mox.secrets import hide

pytestmark = pytest.mark.timeout(170)

IN_URI = "pl4nted-in-a-uri"
IN_ENVIRONMENT = "pl4nted-in-the-environment"

EXPERIMENT = """\
name: secrets
corpus: {kind: evidence, path: corpus}
axes:
  chunk: [{kind: recursive, size: [16, 32]}]
  embed: [{kind: hashing, dims: 64}]
  index: [{kind: exact}, {kind: HNSW}]
  search: [{kind: dense, k: 10}, {kind: bm25, k: 10}]
measure: [recall@5, ndcg@40t]
choose: {maximise: ndcg@40t, within: 0.1, prefer: {minimise: index_mb}}
"""


def mox(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mox", *words], cwd=folder, capture_output=True, text=True,
        timeout=120, check=False,
        env={**os.environ, "SOME_API_KEY": IN_ENVIRONMENT, **environment},
    )  # fmt: skip


def leaks(folder: Path) -> list[str]:
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            raw = path.read_bytes()
            if IN_URI.encode() in raw or IN_ENVIRONMENT.encode() in raw:
                found.append(str(path.relative_to(folder)))
    return found


def test_no_secret_is_written_or_said(small_corpus: Path, own_state: Path) -> None:
    folder = small_corpus.parent
    (folder / "e.yaml").write_text(EXPERIMENT)
    uri = f"http://someone:{IN_URI}@127.0.0.1:9/x?token={IN_URI}"
    commands = [
        # Refused, since nothing listens there: the message names the place without the secret.
        (("run", "e.yaml"), {"MOX_MILVUS_URI": uri}, 2),
        (("doctor",), {"MOX_MILVUS_URI": uri, "MLFLOW_TRACKING_URI": uri}, 1),
        (("run", "e.yaml"), {"MLFLOW_TRACKING_URI": uri}, 2),
        (("run", "e.yaml"), {}, 0),
        (("results", "e.yaml", "--json"), {}, 0),
        (("promote", "e.yaml"), {}, 0),
    ]
    for words, environment, status in commands:
        done = mox(folder, *words, **environment)
        assert done.returncode == status, (words, done.stdout, done.stderr)
        assert IN_URI not in done.stdout + done.stderr
        assert IN_ENVIRONMENT not in done.stdout + done.stderr
    assert (own_state / "mlflow.db").exists()
    assert list((own_state / "releases").glob("*.yaml"))
    assert leaks(folder) == []


def test_no_secret_is_in_a_notebooks_output(
    small_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbformat
    from nbclient import NotebookClient

    folder = small_corpus.parent
    (folder / "e.yaml").write_text(EXPERIMENT.replace(", {kind: HNSW}", ""))
    monkeypatch.setenv("SOME_API_KEY", IN_ENVIRONMENT)
    monkeypatch.setenv("MOX_MILVUS_URI", f"http://someone:{IN_URI}@127.0.0.1:9")
    file = str(folder / "e.yaml")
    lost = f"mox.run({file!r}, set={{'axes.index': [{{'kind': 'HNSW'}}]}}, offline=True)"
    cells = [
        f"import mox\nplan = mox.plan({file!r})\nplan",
        "results = mox.run(plan, offline=True)\nresults",
        f"try:\n    {lost}\nexcept mox.MoxError as error:\n    print(error)",
        "results.leaderboard()",
        "results.inspect(results.questions_asked[0].id)",
    ]
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    text = nbformat.writes(notebook)
    assert "is away or does not answer" in text
    assert IN_URI not in text
    assert IN_ENVIRONMENT not in text


def test_a_uris_password_is_known_as_it_stands_in_the_environment_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MOX_REDIS_URL", "redis://me:first/pass%21@127.0.0.1:6379/0")
    said = "as written first/pass%21, as meant first/pass!, and second-pass"
    assert hide(said) == "as written ***, as meant ***, and second-pass"
    monkeypatch.setenv("MOX_REDIS_URL", "redis://me:second-pass@127.0.0.1:6379/0")
    assert hide(said) == "as written first/pass%21, as meant first/pass!, and ***"
    monkeypatch.delenv("MOX_REDIS_URL")
    assert hide(said) == said
