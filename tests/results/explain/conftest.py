"""One run of 16 trials to explain, in a state folder of each test's own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import mox
from mox.pipeline.store import Store
from mox.results import Results
from mox.results import run as runs

METRICS = ("recall", "precision", "iou", "set_precision", "set_iou", "hit", "full", "span_recall",
           "mrr", "ndcg", "omega", "set_omega")  # fmt: skip
WORDS = ["river", "mountain", "copper", "lantern", "harbour", "winter", "violin", "saddle"]


def write_corpus(folder: Path) -> None:
    """Eight books of four sentences; questions with one passage, two, two places, and none."""
    folder.mkdir(parents=True)
    documents, questions = [], []
    for at in range(8):
        words = [[WORDS[(at * 3 + row * 5 + n * n) % 8] for n in range(6)] for row in range(4)]
        lines = [f"Sentence {n} of book {at}: {' '.join(row)}." for n, row in enumerate(words)]
        text = "\n\n".join(lines)
        documents.append({"id": f"book-{at}", "text": text})

        def span(row: int, at: int = at, text: str = text, lines: Any = lines) -> dict[str, Any]:
            start = text.index(lines[row])
            return {"document": f"book-{at}", "start": start, "end": start + len(lines[row])}

        forms: dict[str, Any] = {"one": [span(0)], "two": [span(1), span(3)]}
        if at == 3:
            forms["any"] = [[span(0), span(2)]]
        for name, evidence in forms.items():
            asked = f"which book {at} has {' '.join(words[0 if name == 'one' else 1][:3])}"
            split = "dev" if at % 2 else "test"
            row = {"id": f"q-{at}-{name}", "text": asked, "evidence": evidence, "split": split}
            questions.append(row)
    none = {"id": "q-none", "text": "who?", "evidence": [], "kind": "unanswerable"}
    questions.append({**none, "split": "dev", "group": "none"})
    for name, rows in (("documents", documents), ("questions", questions)):
        raw = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(raw, encoding="utf-8")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `corpus`, `e.json` and a `state` that holds one run of 16 trials."""
    folder = tmp_path_factory.mktemp("explained")
    write_corpus(folder / "corpus")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOX_HOME", str(folder / "state"))
        patch.setenv("MOX_WORKERS", "1")
        results = mox.run(experiment(folder), offline=True, quiet=True)
    assert {trial.status for trial in results.run.trials} == {"FINISHED"}
    return folder


def experiment(folder: Path) -> dict[str, Any]:
    return {
        "name": "explained",
        "corpus": {"kind": "evidence", "path": str(folder / "corpus")},
        "axes": {
            "chunk": [{"kind": "recursive", "size": [12, 24], "overlap": [0, 4]}],
            "embed": [{"kind": "hashing", "dims": 64}],
            "index": [{"kind": "exact"}],
            "search": [
                {"kind": "dense", "k": 6},
                {"kind": "bm25", "k": 6},
                {"kind": "hybrid", "k": 6},
                {"kind": "hybrid", "k": 6,
                 "fusion": {"kind": "weighted", "normalise": "theoretical"}},
            ],
        },
        "measure": [f"{metric}@{cut}" for metric in METRICS for cut in ("3", "30t")],
        "choose": {"maximise": "ndcg@30t"},
    }  # fmt: skip


@pytest.fixture
def results(swept: Path, own_state: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    """The run, in a copy of its state folder; MOX_HOME is that copy."""
    shutil.copytree(swept / "state", own_state)
    store = Store(own_state)
    [run] = runs.every(store)
    return Results(run, store)


@pytest.fixture
def hybrid(results: Results) -> str:
    """The first hybrid trial's id."""
    return next(t.id for t in results.run.trials if t.config["search"]["kind"] == "hybrid")
