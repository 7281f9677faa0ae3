"""What is lost or damaged below a score that survives is redone, and nothing else is."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import mox
from mox.pipeline.stages import Ref

pytestmark = pytest.mark.timeout(120)


def experiment(corpus: Path) -> dict[str, Any]:
    """Two trials whose costs are known: HNSW's, and BM25's."""
    return {
        "name": "lost",
        "corpus": {"kind": "evidence", "path": str(corpus)},
        "axes": {
            "chunk": [{"kind": "recursive", "size": 24}],
            "embed": [{"kind": "hashing", "dims": 64}],
            "index": [{"kind": "HNSW", "m": 4}],
            "search": [{"kind": "dense", "k": 5, "ef": 8}, {"kind": "bm25", "k": 5}],
        },
        "measure": ["recall@5", "ndcg@60t"],
        "choose": {"maximise": "recall@5", "within": 0.3, "prefer": {"minimise": "index_mb"}},
    }


def run(written: dict[str, Any]) -> Any:
    return mox.run(written, offline=True, quiet=True)


def test_whatever_is_lost_or_found_damaged_below_a_score_is_redone_and_nothing_else(
    small_corpus: Path,
) -> None:
    written = experiment(small_corpus)
    first = run(written)
    one_of = {kind: Ref(kind, key) for kind, key in first.store.held()}
    trial = next(trial for trial in first.finished if "lexical" in trial.roles)
    before = first.hits(trial).ids.tolist()
    for gone in (
        {"documents", "tokens", "build", "lexical"},
        {"questions", "chunk", "exact"},
        {"embed", "queries", "search"},
    ):
        for kind in gone - {"lexical"}:
            shutil.rmtree(first.store.folder(*one_of.pop(kind)))
        if "lexical" in gone:
            data = first.store.folder(*one_of.pop("lexical")) / "data.npz"
            raw = bytearray(data.read_bytes())
            raw[-200] ^= 255
            data.write_bytes(raw)
            with pytest.raises(mox.MoxError, match="run again: it is redone"):
                mox.load(first.run.id).hits(trial)
        again = run(written)
        by_kind = again.run.stages["by_kind"]
        assert {kind: row["run"] for kind, row in by_kind.items() if row["run"]} == dict.fromkeys(
            gone, 1
        )
        assert again.choice.trial == first.choice.trial
        assert again.hits(trial).ids.tolist() == before
        assert len(again.documents) == 12
    assert set(one_of) == {"score"}


def test_a_trial_whose_lost_part_cannot_be_redone_fails_and_the_others_are_reported(
    small_corpus: Path,
) -> None:
    written = experiment(small_corpus)
    chunk = written["axes"]["chunk"]
    written["axes"] = {"chunk": chunk, "search": [{"kind": "bm25", "k": 5, "k1": [0.9, 1.5]}]}
    results = run(written)
    trial = results.finished[0]
    folder = results.store.folder(*trial.roles["hits"])
    shutil.rmtree(folder)
    folder.write_text("a file is in the way: no folder can take its name")
    again = run(written)
    status = {one.id: one.status for one in again.run.trials}
    assert status.pop(trial.id) == "FAILED"
    assert set(status.values()) == {"FINISHED"}
    assert "cannot write" in str(again.trial(trial.id).error)
    assert set(again.costs) == set(status)
    assert again.report()
