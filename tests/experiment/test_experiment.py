"""Experiments: axes expand into distinct trials; what cannot be meant is refused by its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mox.errors import SpecError
from mox.experiment import load

BASE = """\
name: small
corpus: {kind: evidence, path: here}
axes:
  chunk:
    - {kind: recursive, size: [200, 400]}
  embed: [{kind: wordllama}, {kind: hashing}]
  index:
    - {kind: exact}
    - {kind: HNSW, m: [8, 16]}
    - {kind: IVF_FLAT, nlist: 64}
  search:
    - {kind: dense, k: 10, ef: [16, 64], nprobe: [4, 16]}
    - {kind: bm25, k: 10}
measure: [recall@1000t, recall@5]
choose: {maximise: recall@1000t, within: 0.05, prefer: {minimise: index_mb}}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "e.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(SpecError, match=r".") as caught:
        load(written(folder, text))
    return str(caught.value)


def test_settings_multiply_only_the_indexes_that_have_them(tmp_path: Path) -> None:
    trials = load(written(tmp_path, BASE)).trials
    # 2 chunkings × (2 embedders × (exact 1 + HNSW 2 × ef 2 + IVF nprobe 2) + bm25 1)
    assert len(trials) == 2 * (2 * (1 + 4 + 2) + 1)
    assert len({trial.id for trial in trials}) == len(trials)


def test_bm25_has_neither_embedder_nor_index(tmp_path: Path) -> None:
    lexical = [t for t in load(written(tmp_path, BASE)).trials if t.search.kind == "bm25"]
    assert all(trial.embed is None and trial.index is None for trial in lexical)
    assert len(lexical) == 2


def test_prefix_order_is_chunk_outermost(tmp_path: Path) -> None:
    trials = load(written(tmp_path, BASE)).trials
    sizes = [trial.params["chunk.size"] for trial in trials]
    assert sizes == sorted(sizes)


def test_every_default_is_written_out(tmp_path: Path) -> None:
    trial = next(t for t in load(written(tmp_path, BASE)).trials if t.search.kind == "bm25")
    assert trial.params["search.k1"] == 1.5
    assert trial.params["search.b"] == 0.75
    assert trial.params["chunk.overlap"] == 0


def test_a_trial_id_is_the_configuration_alone(tmp_path: Path) -> None:
    first = load(written(tmp_path, BASE))
    other = load(written(tmp_path, BASE.replace("name: small", "name: other\nseed: 5")))
    assert [t.id for t in first.trials] == [t.id for t in other.trials]


def test_milvus_spellings_are_accepted(tmp_path: Path) -> None:
    ours = load(written(tmp_path, BASE)).trials
    theirs = load(written(tmp_path, BASE.replace("m: [8, 16]", "M: [8, 16]"))).trials
    assert [t.id for t in ours] == [t.id for t in theirs]


def test_a_setting_by_two_spellings_is_refused(tmp_path: Path) -> None:
    """`m` are the links here; who writes Milvus' `M` and `m` means something else by it."""
    index = "{kind: HNSW_PQ, M: 16, m: 32}"
    said = refusal(tmp_path, BASE.replace("{kind: HNSW, m: [8, 16]}", index))
    assert "HNSW_PQ has 'm' twice" in said
    assert "e.yaml:9" in said


@pytest.mark.parametrize(
    ("embed", "index", "said"),
    [
        ("{kind: wordllama}", "{kind: IVF_PQ, m: 48}", "does not divide the 256 dimensions"),
        ("{kind: hashing, dims: 100}", "{kind: BIN_FLAT}", "100 dimensions do not fill whole"),
        ("{kind: minilm}", "{kind: HNSW_PQ, pq_m: 36}", "does not divide the 384 dimensions"),
    ],
)
def test_dimensions_that_an_index_cannot_cut_are_refused_by_the_plan(
    tmp_path: Path, embed: str, index: str, said: str
) -> None:
    text = BASE.replace("[{kind: wordllama}, {kind: hashing}]", embed)
    refused = refusal(tmp_path, text.replace("{kind: exact}", index))
    assert said in refused
    assert "e.yaml:7" in refused, "the line of `index:`"


def test_the_baseline_defaults_to_the_first_trial(tmp_path: Path) -> None:
    experiment = load(written(tmp_path, BASE))
    assert experiment.baseline == experiment.trials[0].id


def test_the_baseline_names_one_trial_by_what_it_sets(tmp_path: Path) -> None:
    text = BASE + "baseline: {chunk: {size: 400}, index: {kind: HNSW, m: 16}}\n"
    experiment = load(written(tmp_path, text))
    baseline = next(t for t in experiment.trials if t.id == experiment.baseline)
    assert baseline.params["chunk.size"] == 400
    assert baseline.params["index.m"] == 16
    assert baseline.params["search.ef"] == 16


@pytest.mark.parametrize(
    ("baseline", "said"),
    [
        ("{chunk: {size: 300}}", "none has chunk.size = 300, it is 200 or 400. The nearest one ("),
        ("{chunk: {sise: 200}}", "no trial has a setting 'chunk.sise', did you mean 'chunk.size'?"),
        # IVF_FLAT has no m; of its trials and HNSW's those with m are as near, so the first.
        ("{index: {kind: IVF_FLAT, m: 8}}", "no trial has all its settings together. The nearest"),
    ],
)
def test_a_baseline_that_matches_no_trial_names_the_nearest(
    tmp_path: Path, baseline: str, said: str
) -> None:
    message = refusal(tmp_path, BASE + f"baseline: {baseline}\n")
    assert f"e.yaml:16: baseline matches no trial: {said}" in message
    nearest = message.split("The nearest one (")[1][:10]
    assert nearest in [trial.id for trial in load(written(tmp_path, BASE)).trials]


BAD: list[tuple[str, str, str, str]] = [
    ("misspelt top field", "measure:", "mesure:", r"e.yaml:15: unknown field 'mesure', did you mean 'measure'?"),
    ("misspelt axis", "  index:", "  indx:", r"e.yaml:7: unknown field 'axes.indx', did you mean 'index'?"),
    ("unknown kind", "kind: recursive", "kind: recursve", "e.yaml:5: unknown kind 'recursve' in mox.chunkers, did you mean 'recursive'?"),
    ("misspelt setting of a chunker", "size: [200, 400]", "siz: [200, 400]", "e.yaml:5: recursive has no field 'siz', did you mean 'size'?"),
    ("misspelt build setting", "nlist: 64", "nlst: 64", "e.yaml:10: IVF_FLAT has no field 'nlst', did you mean 'nlist'?"),
    ("search setting of no index", "nprobe: [4, 16]", "nprobes: [4, 16]", "e.yaml:12: search setting 'nprobes' belongs to no index of this sweep, did you mean 'nprobe'?"),
    ("unknown search kind", "kind: bm25", "kind: bm52", "e.yaml:13: unknown kind 'bm52' of search, did you mean 'bm25'?"),
    ("ef under k", "ef: [16, 64]", "ef: [5, 64]", "e.yaml:12: HNSW: ef = 5 cannot fill k = 10 places"),
    ("overlap as large as size", "size: [200, 400]", "size: 200, overlap: 200", "e.yaml:5: "),
    ("unknown measure", "recall@5", "recal@5", "e.yaml:14: unknown metric 'recal', did you mean 'recall'?"),
    ("choosing by what isn't measured", "maximise: recall@1000t", "maximise: recall@100t", "e.yaml:15: choose.maximise names 'recall@100t', which is not measured"),
    ("a margin in percent", "within: 0.05", "within: 5", "e.yaml:15: choose.within = 5: a margin is in the measure's own units, between 0 and 1.\n  mend: write 0.05 for 5 points."),
    ("a margin with a sign", "within: 0.05", "within: -0.05", "e.yaml:15: choose.within = -0.05: a margin has no sign.\n  mend: write 0.05"),
    ("no margin at all", "within: 0.05", "within: 0", "e.yaml:15: choose.within = 0: no number of questions shows a loss of nothing"),
    ("preferring what isn't reported", "minimise: index_mb", "minimise: index_gb", "e.yaml:15: choose.prefer names 'index_gb'"),
    ("k that is no number", "k: 10, ef", "k: ten, ef", "dense.k = 'ten': Input should be a valid integer"),
    ("dense without vectors", "  embed: [{kind: wordllama}, {kind: hashing}]\n", "", "dense search needs vectors, and axes.embed is missing"),
    ("missing corpus", "corpus: {kind: evidence, path: here}\n", "", "`corpus` is missing"),
    ("reserved range", "ef: [16, 64]", "ef: {range: [16, 64]}", "`range` is reserved"),
    ("kind without a mapping", "[{kind: wordllama}, {kind: hashing}]", "[wordllama]", "e.yaml:6: axes.embed holds settings, not 'wordllama'"),
    ("an empty list of alternatives", "size: [200, 400]", "size: []", "e.yaml:3: the axes hold no trial"),
    ("unknown tokenizer", "name: small", "name: small\ntokenizer: cl10k", "e.yaml:2: unknown tokenizer 'cl10k', did you mean 'cl100k'?"),
    ("m out of bounds", "m: [8, 16]", "m: [1, 16]", "e.yaml:9: HNSW.m = 1"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_input_names_its_line_and_the_nearest_valid_name(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in BASE
    expected = said.replace("e.yaml:15: unknown", "e.yaml:14: unknown")
    message = refusal(tmp_path, BASE.replace(old, new, 1))
    assert expected in message
    assert "mend: " in message


def test_unknown_names_in_changes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"did you mean 'limit'"):
        load(written(tmp_path, BASE), {"questions.limt": 3})


def test_a_mapping_is_an_experiment_too(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "corpus": {"kind": "evidence", "path": "x"},
        "axes": {"chunk": [{"kind": "whole"}], "search": [{"kind": "bm25", "k": 3}]},
        "measure": "recall@3",
    }
    experiment = load(settings)
    assert [t.search.kind for t in experiment.trials] == ["bm25"]
    assert experiment.choose is None


def test_what_is_written_twice_counts_once_and_is_said(tmp_path: Path) -> None:
    text = BASE.replace("size: [200, 400]", "size: [200, 400, 200]").replace(
        "- {kind: bm25, k: 10}", "- {kind: bm25, k: 10}\n    - {k: 10, kind: bm25}"
    )
    once, twice = load(written(tmp_path, BASE)), load(written(tmp_path, text))
    assert [trial.id for trial in twice.trials] == [trial.id for trial in once.trials]
    assert once.notes == ()
    assert len(twice.notes) == 2
    assert twice.notes[0].startswith("axes.chunk has {kind: recursive, size: 200")
    assert twice.notes[1] == 'axes.search has {"k":10,"kind":"bm25"} 2 times; it counts once.'


def test_a_key_file_lies_beside_the_file_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where relative paths would start by themselves
    (tmp_path / "there").mkdir()
    paid = "{kind: openai, key_file: keys/one}"
    text = BASE.replace("[{kind: wordllama}, {kind: hashing}]", f"[{paid}]")
    assert paid in text
    found = load(written(tmp_path / "there", text)).trials[0].embed
    assert getattr(found, "key_file", None) == tmp_path / "there" / "keys" / "one"


@pytest.mark.parametrize("key", ["usd", "minutes"])
@pytest.mark.parametrize("value", [".inf", ".nan"])
def test_a_budget_without_an_end_is_left_out_and_not_written(
    tmp_path: Path, key: str, value: str
) -> None:
    assert f"budget.{key}" in refusal(tmp_path, BASE + f"budget: {{{key}: {value}}}\n")
