"""Searching texts in engines, and what an engine fuses held against Mox' own fusion."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mox
from mox.errors import SpecError
from mox.experiment import load
from mox.release.ask import open_release
from mox.release.bundle import promote
from mox.results import Results, TrialRun
from mox.retrieval.rrf import Rrf, fuse
from mox.services import postgres
from mox.settings import settings
from mox.types import Hits

pytestmark = pytest.mark.timeout(120)

DEPTH = 40
PAIR = {"kind": "milvus_hybrid", "vector": {"kind": "FLAT"}}
ENGINES: dict[str, dict[str, Any]] = {
    "milvus": {
        "vector": {"kind": "FLAT"},
        "text": {"kind": "SPARSE_INVERTED_INDEX"},
        "pair": "milvus_hybrid",
    },
    "postgres": {
        "vector": {"kind": "pgvector"},
        "text": {"kind": "postgres_fts"},
        "pair": "postgres_hybrid",
    },
}


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of 150 texts in which hardly two rows score the same, and 20 questions."""
    folder = tmp_path_factory.mktemp("varied")
    draw = np.random.default_rng(3)
    words = ["".join(draw.choice(list("abcdeilmnorst"), size=7)) for _ in range(400)]
    share = 1 / np.arange(1, 401)
    texts = [
        " ".join(draw.choice(words, size=int(n), p=share / share.sum()))
        for n in draw.permutation(np.arange(12, 162))  # no two as long: hardly a tie
    ]
    documents = [{"id": f"d-{at:03d}", "text": text} for at, text in enumerate(texts)]
    questions = [
        {
            "id": f"q-{at:02d}",
            "text": " ".join(draw.choice(text.split(), size=5, replace=False)),
            "evidence": [{"document": f"d-{at:03d}", "start": 0, "end": len(text)}],
            "split": "dev" if at % 2 else "test",
        }
        for at, text in enumerate(texts[:20])
    ]
    for name, rows in (("documents", documents), ("questions", questions)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return folder


def experiment(corpus: Path, index: list[Any], search: list[Any]) -> dict[str, Any]:
    return {
        "name": "texts",
        "corpus": {"kind": "evidence", "path": str(corpus)},
        "axes": {
            "chunk": [{"kind": "whole"}],
            "embed": [{"kind": "hashing", "dims": 64}],
            "index": index,
            "search": search,
        },
        "measure": ["recall@5", "ndcg@60t"],
    }


def run(corpus: Path, index: list[Any], search: list[Any]) -> Results:
    return mox.run(experiment(corpus, index, search), offline=True, quiet=True)


@pytest.fixture(scope="module", params=ENGINES)
def swept(
    request: pytest.FixtureRequest, varied: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Results]:
    """One engine's vectors, its texts and both together, and Mox' own BM25 beside them."""
    parts = ENGINES[request.param]
    pair = {"kind": parts["pair"], "vector": parts["vector"], "text": parts["text"]}
    home = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOX_HOME", str(home))
        yield run(
            varied,
            [parts["vector"], parts["text"], pair],
            [
                {"kind": "dense", "k": DEPTH},
                {"kind": "full_text", "k": DEPTH},
                {"kind": "engine_hybrid", "k": 10, "depth": DEPTH},
                {"kind": "bm25", "k": DEPTH, "k1": 1.2, "stemmer": None, "stopwords": None},
            ],
        )
    postgres.stop(home / "services" / "indexes" / "postgres")


def of_kind(results: Results, kind: str) -> TrialRun:
    [found] = [trial for trial in results.finished if trial.config["search"]["kind"] == kind]
    return found


def agree(theirs: Hits, ours: Hits) -> None:
    """The same scores at every place, and the same rows up to ties."""
    k = theirs.k
    assert np.abs(theirs.scores - ours.scores[:, :k]).max() <= 1e-6
    for row in range(len(theirs.ids)):
        for at in range(k):
            tied = np.abs(ours.scores[row] - theirs.scores[row, at]) <= 1e-6
            assert theirs.ids[row, at] in ours.ids[row, tied]


def test_the_engines_own_lists_fused_by_mox_are_what_the_engine_fuses(swept: Results) -> None:
    """The lists come from indexes of vectors alone and of texts alone, the answer from one
    collection of both."""
    assert len(swept.finished) == 4
    dense, lexical, theirs = (
        swept.hits(of_kind(swept, kind)) for kind in ("dense", "full_text", "engine_hybrid")
    )
    # A tie within a list of Milvus may stand either way round, and then other sums come of it.
    # The statement that PostgreSQL gets has them in the order of rows, as Mox does.
    by_row = of_kind(swept, "dense").config["index"]["kind"] == "pgvector"
    plain = [by_row or not (_has_ties(dense, at) or _has_ties(lexical, at)) for at in range(20)]
    assert sum(plain) >= 10
    ours = fuse(Rrf(k=60), [_only(dense, plain), _only(lexical, plain)], k=2 * DEPTH)
    agree(_only(theirs, plain), ours)


def _has_ties(hits: Hits, at: int) -> bool:
    scores = hits.scores[at][hits.ids[at] >= 0]
    return bool((np.abs(np.diff(scores)) <= 1e-6).any())


def _only(hits: Hits, queries: list[bool]) -> Hits:
    return Hits(hits.ids[queries], hits.scores[queries])


def test_milvus_finds_what_our_own_bm25_finds(swept: Results) -> None:
    """The same words, k1 and b: the same rows in the same order, up to ties."""
    if of_kind(swept, "full_text").config["index"]["kind"] != "SPARSE_INVERTED_INDEX":
        pytest.skip("another engine ranks otherwise")
    theirs, ours = (swept.hits(of_kind(swept, kind)) for kind in ("full_text", "bm25"))
    # Milvus' sum has a factor k1 + 1 more.
    assert np.allclose(theirs.scores / 2.2, ours.scores, rtol=1e-4)
    agree(Hits(theirs.ids[:, :10], theirs.scores[:, :10] / 2.2), ours)


def test_text_indexes_and_vector_indexes_multiply_by_their_own_searches_alone(
    tmp_path: Path,
) -> None:
    wanted = experiment(
        tmp_path,
        [
            {"kind": "exact"},
            {"kind": "HNSW", "m": [8, 16]},
            {"kind": "SPARSE_INVERTED_INDEX", "bm25_k1": [1.2, 2]},
            {"kind": "milvus_hybrid", "vector": {"kind": "HNSW", "m": [8, 16]}},
        ],
        [
            {"kind": "dense", "k": 5, "ef": [16, 64]},
            {"kind": "full_text", "k": 5},
            {"kind": "engine_hybrid", "k": 5, "ef": [50, 64]},
            {"kind": "bm25", "k": 5},
        ],
    )
    wanted["axes"]["embed"] = [{"kind": "hashing", "dims": [32, 64]}]
    asked = load(wanted)
    counted: dict[str, int] = {}
    for trial in asked.trials:
        counted[trial.search.kind] = counted.get(trial.search.kind, 0) + 1
    # dense: 2 embedders × (exact + 2 builds × 2 ef); full_text: 2 builds, without an embedder;
    # engine_hybrid: 2 embedders × 2 builds × 2 ef; bm25: 1.
    assert counted == {"dense": 10, "full_text": 2, "engine_hybrid": 8, "bm25": 1}
    assert all((t.embed is None) == (t.search.kind in ("full_text", "bm25")) for t in asked.trials)


def test_equal_builds_of_texts_are_one_stage(small_corpus: Path) -> None:
    plan = mox.plan(
        experiment(
            small_corpus,
            [
                {"kind": "SPARSE_INVERTED_INDEX"},
                {"kind": "milvus_hybrid", "vector": {"kind": "FLAT"}},
            ],
            [
                {"kind": "full_text", "k": [5, 10]},
                {"kind": "engine_hybrid", "k": 5, "depth": [10, 50]},
            ],
        )
    )
    found: dict[str, int] = {}
    for stage in plan.stages.values():
        found[stage.kind] = found.get(stage.kind, 0) + 1
    assert found == {
        "documents": 1, "questions": 1, "chunk": 1, "tokens": 1, "embed": 1, "queries": 1,
        "build": 2, "search": 4, "score": 4,
    }  # fmt: skip


def test_a_build_is_named_with_the_settings_of_its_parts(small_corpus: Path) -> None:
    pair = {"kind": "milvus_hybrid", "vector": {"kind": "HNSW", "m": 8}}
    plan = mox.plan(experiment(small_corpus, [pair], [{"kind": "engine_hybrid", "k": 5, "ef": 50}]))
    [label] = [stage.label for stage in plan.stages.values() if stage.kind == "build"]
    assert label.startswith("build milvus_hybrid vector.kind=HNSW vector.m=8")
    assert "text.bm25_k1=1.2" in label


def test_other_words_are_another_kind_of_trial_where_a_margin_is_shared(
    small_corpus: Path,
) -> None:
    """Each index of texts finds hits of its own; two builds of one do not."""
    index = [{"kind": "SPARSE_INVERTED_INDEX", "bm25_k1": [1.0, 1.2, 2.0]}]
    wanted = experiment(small_corpus, index, [{"kind": "full_text", "k": [5, 10]}])
    wanted |= {"choose": {"maximise": "ndcg@60t"}}
    notes = " ".join(mox.plan(wanted).notes)
    assert "3 kinds of trials at once" in notes


def refusal(corpus: Path, index: list[Any], search: list[Any]) -> str:
    with pytest.raises(SpecError, match=r".") as caught:
        load(experiment(corpus, index, search))
    return str(caught.value)


def test_what_cannot_be_meant_is_refused_with_the_mend(tmp_path: Path) -> None:
    flat, texts = {"kind": "FLAT"}, {"kind": "SPARSE_INVERTED_INDEX"}
    pair = {"kind": "milvus_hybrid", "vector": flat}
    said = refusal(tmp_path, [flat], [{"kind": "full_text"}])
    assert "full_text searches an index of texts, and axes.index has only FLAT" in said
    assert "add `{kind: SPARSE_INVERTED_INDEX}`" in said
    said = refusal(tmp_path, [texts], [{"kind": "dense"}])
    assert "dense searches an index of vectors" in said
    said = refusal(tmp_path, [flat, texts], [{"kind": "engine_hybrid"}])
    assert "kind: milvus_hybrid" in said
    said = refusal(tmp_path, [flat, texts], [{"kind": "full_text", "ef": 16}])
    assert "'ef' belongs to no index of this sweep" in said
    said = refusal(tmp_path, [pair], [{"kind": "engine_hybrid", "fusion": {"kind": "mean"}}])
    assert "milvus_hybrid fuses by rrf or weighted, not 'mean'" in said
    weighted = {"kind": "weighted", "normalise": "min-max"}
    said = refusal(tmp_path, [pair], [{"kind": "engine_hybrid", "fusion": weighted}])
    assert "normalise" in said
    assert "arctan" in said
    hnsw = {"kind": "milvus_hybrid", "vector": {"kind": "HNSW"}}
    said = refusal(tmp_path, [hnsw], [{"kind": "engine_hybrid", "k": 5, "ef": 20}])
    assert "ef = 20 cannot fill k = 50" in said


def test_an_index_that_nothing_searches_is_said(tmp_path: Path) -> None:
    asked = load(
        experiment(
            tmp_path,
            [{"kind": "FLAT"}, {"kind": "SPARSE_INVERTED_INDEX"}],
            [{"kind": "dense", "k": 5}],
        )
    )
    assert "axes.index has SPARSE_INVERTED_INDEX, which no point of axes.search searches." in (
        asked.notes
    )


def test_search_settings_that_the_engine_lacks_are_refused_when_the_plan_is_made(
    small_corpus: Path,
) -> None:
    search = [{"kind": "full_text", "k": 5, "drop_ratio_search": 0.2}]
    with pytest.raises(SpecError, match=r"milvus-lite .* has no drop_ratio_search"):
        mox.plan(experiment(small_corpus, [{"kind": "SPARSE_INVERTED_INDEX"}], search))


def test_a_collection_that_is_gone_is_built_again(small_corpus: Path, own_state: Path) -> None:
    index = [{"kind": "SPARSE_INVERTED_INDEX"}, PAIR]
    kinds = ("full_text", "engine_hybrid")
    first = run(small_corpus, index, [{"kind": kind, "k": 3} for kind in kinds])
    folders = list((own_state / "services" / "indexes").glob("*.db"))
    assert len(folders) == 2
    for folder in folders:
        shutil.rmtree(folder)
    again = run(small_corpus, index, [{"kind": kind, "k": 4} for kind in kinds])
    assert [t.status for t in [*first.run.trials, *again.run.trials]] == ["FINISHED"] * 4
    for kind in kinds:
        before, after = (results.hits(of_kind(results, kind)) for results in (first, again))
        assert np.allclose(before.scores, after.scores[:, :3])


@pytest.mark.parametrize("kind", ["full_text", "engine_hybrid"])
def test_a_release_answers_as_the_sweep_did(kind: str, swept: Results) -> None:
    trial = of_kind(swept, kind)
    release = promote(swept, trial=trial.id)
    with open_release(release.path, swept.store, settings()) as opened:
        for row in swept.questions(trial.id).rows[:3]:
            found = [(p.document, p.spans) for p in opened.ask(row.text, k=5).passages]
            assert found == [(hit.document, hit.spans) for hit in row.hits[:5]]


def test_costs_of_a_text_index_name_no_exact_search(swept: Results) -> None:
    for kind in ("full_text", "engine_hybrid"):
        trial = of_kind(swept, kind)
        costs = swept.costs[trial.id]
        assert costs["index_mb"] > 0
        assert costs["build_s"] > 0
        assert not any(name.startswith("recall_of_exact") for name in costs)
        assert swept.explain(trial.id)
    swept.leaderboard()
