"""A provider's key, in the environment and in a file, is nowhere in what work with it leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mox.simulation.serving import serving

pytestmark = pytest.mark.timeout(170)

VARIABLE = "WHERE_IT_STANDS"
"""No name that gives a secret away by itself."""
IN_ENVIRONMENT, IN_FILE = "sk-pl4nted-in-the-environment", "sk-pl4nted-in-a-file"
PRICES = """\
prices:
  - {provider: compatible, model: sim-swift, per: 1M, simulated: true, input: 0.2, output: 1.0}
  - {provider: compatible, model: sim-none, per: 1M, simulated: true, input: 0.2, output: 1.0}
  - {provider: compatible, model: sim-embed-small, per: 1M, simulated: true, input: 0.02}
"""
BENCHMARK = """\
name: keys
providers:
  - {{kind: compatible, name: one, model: sim-swift, base_url: "{url}", key_env: {variable}}}
  - {{kind: compatible, name: two, model: sim-swift, base_url: "{url}", key_file: "{folder}/key"}}
  - {{kind: compatible, name: lost, model: sim-none, base_url: "{url}", key_env: {variable}}}
workloads: [{{kind: tokens, input: 60, output: 8}}]
loads: [{{kind: closed, concurrency: 1}}]
requests: 1
prices: prices.yaml
"""
EXPERIMENT = """\
name: keys
corpus: {{kind: evidence, path: corpus}}
axes:
  chunk: [{{kind: recursive, size: 48}}]
  embed:
    - {{kind: compatible, base_url: "{url}", key_env: {variable}, simulated: true,
        model: sim-embed-small, dims: 128}}
    - {{kind: compatible, base_url: "{other}", key_file: "{folder}/key", simulated: true,
        model: sim-embed-small, dims: 128}}
  index: [{{kind: exact}}]
  search: [{{kind: dense, k: 5}}]
measure: [recall@5]
choose: {{maximise: recall@5}}
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving({"time_scale": 0.01}) as served:
        yield served.openai_base_url


@pytest.fixture
def folder(small_corpus: Path, url: str) -> Path:
    """A corpus, a key in a file, and both kinds of work that ask a provider."""
    place = small_corpus.parent
    (place / "key").write_text(IN_FILE)
    (place / "prices.yaml").write_text(PRICES)
    (place / "b.yaml").write_text(BENCHMARK.format(url=url, variable=VARIABLE, folder=place))
    other = url.replace("127.0.0.1", "localhost")
    settings = {"url": url, "other": other, "variable": VARIABLE, "folder": place}
    (place / "e.yaml").write_text(EXPERIMENT.format(**settings))
    return place


def leaks(folder: Path) -> list[str]:
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "key" and b"pl4nted" in path.read_bytes()
    ]


def test_no_key_is_written_or_said(folder: Path, own_state: Path) -> None:
    environment = {
        **os.environ,
        VARIABLE: IN_ENVIRONMENT,
        "MOX_PRICES": str(folder / "prices.yaml"),
        "MOX_WORKERS": "1",
        "OPENAI_LOG": "debug",
        "ANTHROPIC_LOG": "debug",
    }
    commands = [
        (("doctor",), 0),
        (("bench", "providers", "b.yaml", "--json"), 1),  # one model is not there
        (("plan", "e.yaml"), 0),
        (("run", "e.yaml"), 0),
        (("results", "e.yaml", "--json"), 0),
        (("report", "e.yaml"), 0),
        (("costs", "--json"), 0),
        (("promote", "e.yaml"), 0),
        # Refused: a key where the name of a variable belongs.
        (("run", "e.yaml", "--set", f"axes.embed.0.key_env={IN_ENVIRONMENT}"), 2),
    ]
    for words, status in commands:
        done = subprocess.run(
            [sys.executable, "-m", "mox", *words], cwd=folder, capture_output=True, text=True,
            timeout=120, check=False, env=environment,
        )  # fmt: skip
        assert done.returncode == status, f"{words}\n{done.stdout}\n{done.stderr}"
        assert "pl4nted" not in done.stdout + done.stderr, words
    assert (own_state / "mlflow.db").exists()
    assert list((own_state / "releases").glob("*.yaml"))
    assert leaks(folder) == []


def test_no_key_is_in_a_notebooks_output(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv(VARIABLE, IN_ENVIRONMENT)
    monkeypatch.setenv("MOX_PRICES", str(folder / "prices.yaml"))
    cells = [
        f"import mox\nplan = mox.plan({str(folder / 'e.yaml')!r})\nplan",
        f"bench = mox.bench_providers({str(folder / 'b.yaml')!r}, offline=True)\nbench",
        "bench.frame().T",
        "bench.document()",
    ]
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    text = nbformat.writes(notebook)
    assert "sim-none" in text
    assert "pl4nted" not in text
