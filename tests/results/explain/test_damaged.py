"""What is damaged, changed or of another version is named by an explanation, and left there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mox.errors import StoreError
from mox.pipeline.stages import VERSIONS, Ref
from mox.pipeline.store import Store
from mox.results import Results


def flip(store: Store, ref: Ref) -> None:
    """Change one byte within an artifact's data."""
    path = store.folder(*ref) / "data.npz"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("role", ["score", "hits", "chunk", "embed"])
def test_a_damaged_artifact_is_named_and_left_where_it_is(
    results: Results, hybrid: str, role: str
) -> None:
    trial = results.trial(hybrid)
    ref = trial.roles[role]
    flip(results.store, ref)
    view = results.explain(trial.id)
    assert not view.holds
    assert f"{ref.kind} {ref.key[:12]}: its checksum differs" in view.problems[0]
    assert [link.ref for link in view.chain if link.damage] == [ref]
    assert (results.store.folder(*ref) / "data.npz").exists()
    assert "Does not hold" in repr(view)
    if role == "embed":
        assert view.measures  # its vectors play no part once the hits are there
    else:
        assert not view.measures
        with pytest.raises(StoreError, match=r"cannot be explained by question: .* checksum"):
            results.explain(trial.id, "q-1-one")


def rewrite(store: Store, ref: Ref, change: Any, **note: Any) -> None:
    """Write an artifact anew, its arrays changed and its checksum right."""
    found = store.read(*ref)
    sidecar = {**store.sidecar(*ref), **note}
    store.remove(*ref)
    arrays = {name: change(name, array) for name, array in found.arrays.items()}
    store.write(*ref, arrays, found.facts, sidecar)


def test_a_stored_score_that_hits_dont_give_is_named_by_measure_and_question(
    results: Results,
) -> None:
    trial = results.finished[0]
    at = [q.id for q in results.questions_asked].index("q-2-one")

    def better(name: str, array: Any) -> Any:
        if name == "ndcg@30t":
            array = array.copy()
            array[at] = 0.987
        return array

    rewrite(results.store, trial.roles["score"], better)
    fresh = Results(results.run, results.store)
    problems = fresh.explain(trial.id).problems
    assert any(
        p.startswith("ndcg@30t: 1 of 18 questions come to other values than are stored")
        and "q-2-one" in p
        and "stored 0.987000" in p
        for p in problems
    )
    assert any(p.startswith("ndcg@30t on test: the mean is reported as") for p in problems)
    question = fresh.explain(trial.id, "q-2-one")
    assert any("q-2-one: ndcg@30t is stored as 0.987000" in p for p in question.problems)
    assert not any("recall" in p for p in problems)


def test_another_stage_version_is_named_with_what_differs(results: Results) -> None:
    trial = results.finished[0]
    rewrite(results.store, trial.roles["score"], lambda _, array: array * 0.5, version=0)
    view = Results(results.run, results.store).explain(trial.id)
    now = VERSIONS["score"]
    assert any(f"(stage version 0, now {now})" in problem for problem in view.problems)
    assert any("its key is not the hash of what is noted" in problem for problem in view.problems)


def test_fused_hits_that_their_lists_dont_give_are_named(results: Results, hybrid: str) -> None:
    trial = results.trial(hybrid)

    def swapped(name: str, array: Any) -> Any:
        return array[:, [1, 0, 2, 3, 4, 5]] if name == "ids" else array

    rewrite(results.store, trial.roles["hits"], swapped)
    view = Results(results.run, results.store).explain(trial.id, "q-1-one")
    assert "q-1-one: fusing its lists again gives other hits" in view.problems


def test_a_corpus_that_the_record_doesnt_mean_is_named(results: Results, hybrid: str) -> None:
    other = {**results.run.corpus, "fingerprint": "0" * 64}
    view = Results(replace(results.run, corpus=other), results.store).explain(hybrid)
    assert view.problems == ("the corpus' fingerprint is not what the run's record says",)
