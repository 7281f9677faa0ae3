"""Plans: equal prefixes are one stage, keys depend on all that matters and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mox
from mox.errors import DataError, SpecError
from mox.pipeline.plan import Graph

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "scifact.yaml"


def experiment(corpus: Path, **changes: Any) -> dict[str, Any]:
    return {
        "name": "plans",
        "corpus": {"kind": "evidence", "path": str(corpus)},
        "axes": {
            "chunk": [{"kind": "recursive", "size": [16, 32]}],
            "embed": [{"kind": "hashing", "dims": 64}],
            "index": [{"kind": "exact"}, {"kind": "HNSW", "m": [4, 8]}],
            "search": [{"kind": "dense", "k": 5, "ef": [8, 32]}, {"kind": "hybrid", "k": 5}],
        },
        "measure": ["recall@5", "ndcg@60t"],
        **changes,
    }


def counts(plan: mox.Plan) -> dict[str, int]:
    found: dict[str, int] = {}
    for stage in plan.stages.values():
        found[stage.kind] = found.get(stage.kind, 0) + 1
    return found


def test_120_trials_on_scifact_are_3_chunkings_6_embeddings_24_builds(shared_data: Path) -> None:
    plan = mox.plan(BENCHMARK, set={"corpus.path": str(shared_data / "scifact")})
    assert len(plan.trials) == 120
    found = counts(plan)
    assert found["chunk"] == 3
    assert found["embed"] == 6
    assert found["build"] == 24
    assert found["search"] == 120
    assert found["exact"] == 6
    assert found["queries"] == 2
    assert "lexical" not in found
    assert "tokens" not in found, "no measure of tokens is asked for"


def test_a_trial_that_is_gone_leaves_its_settings_to_no_other(small_corpus: Path) -> None:
    """Stages are found again by the identity of a Spec, which Python gives to the next one."""
    plan = mox.plan(experiment(small_corpus))
    graph = Graph(plan.experiment, plan.corpus, lambda _: {})
    first = plan.trials[0].trial
    keys = {
        graph.trial(replace(first, chunk=first.chunk.model_copy(update={"size": size})))
        .roles["embed"]
        .key
        for size in range(10, 60)
    }
    assert len(keys) == 50


def test_equal_prefixes_are_one_stage(small_corpus: Path) -> None:
    found = counts(mox.plan(experiment(small_corpus)))
    # 2 chunkings; per chunking: exact at k = 5 and at the depth of fusion; 2 builds; searches
    # 2 builds × (2 ef at k 5 + 1 at depth 50); BM25 once for fusion; 3 fusions (2 builds, exact).
    assert found == {
        "documents": 1, "questions": 1, "chunk": 2, "tokens": 2, "embed": 2, "queries": 1,
        "exact": 4, "build": 4, "search": 12, "lexical": 2, "fuse": 6, "score": 16,
    }  # fmt: skip


def test_what_cannot_change_a_stage_does_not_change_its_key(small_corpus: Path) -> None:
    first = mox.plan(experiment(small_corpus))
    second = mox.plan(experiment(small_corpus, name="other", seed=7, measure=["recall@3"]))
    for kind in ("chunk", "embed", "build", "search"):
        keys = [{k for k, s in p.stages.items() if s.kind == kind} for p in (first, second)]
        assert keys[0] == keys[1], kind


@pytest.mark.parametrize(
    ("path", "value", "kinds"),
    [
        ("axes.chunk.0.size", 20, {"chunk", "embed", "build", "search", "score"}),
        ("axes.embed.0.dims", 128, {"embed", "queries", "build", "search", "score"}),
        ("axes.index.1.m", 16, {"build", "search", "score"}),
        ("axes.search.0.ef", 16, {"search", "score"}),
        ("measure", ["recall@3"], {"score"}),
        ("questions.limit", 5, {"questions", "queries", "search", "score"}),
    ],
)
def test_what_changes_a_stage_changes_it_and_what_stands_on_it(
    small_corpus: Path, path: str, value: Any, kinds: set[str]
) -> None:
    one = {"axes.chunk.0.size": 16, "axes.index.1.m": 8, "axes.search": [{"kind": "dense", "k": 5}]}
    if "search" in path:
        one["axes.search"] = [{"kind": "dense", "k": 5, "ef": 8}]
    settings = experiment(small_corpus)
    before = mox.plan(settings, set=one)
    after = mox.plan(settings, set={**one, path: value})
    changed = {stage.kind for key, stage in after.stages.items() if key not in before.stages} - {
        "exact",
        "tokens",
    }
    assert changed == kinds


def test_another_measure_of_the_same_form_is_another_score(small_corpus: Path) -> None:
    settings = experiment(small_corpus)
    before, after = (mox.plan(settings, set={"measure": [m]}) for m in ("recall@5", "recall@3"))
    assert {after.stages[key].kind for key in set(after.stages) - set(before.stages)} == {"score"}


def test_a_changed_document_changes_the_fingerprint(small_corpus: Path) -> None:
    before = mox.plan(experiment(small_corpus))
    path = small_corpus / "documents.jsonl"
    path.write_text(path.read_text().replace("Paragraph 5 of book 3", "Paragraph 5 of tome 3"))
    after = mox.plan(experiment(small_corpus))
    assert before.corpus.fingerprint != after.corpus.fingerprint
    assert not {k for k, s in before.stages.items() if s.kind == "chunk"} & set(after.stages)


@pytest.mark.parametrize(
    ("field", "first", "second", "same"),
    [
        ("title", "One", "Two", False),
        ("title", None, "One", False),
        ("metadata", {"year": 1, "by": "A"}, {"year": 2, "by": "A"}, False),
        ("metadata", {"year": 1, "by": "A"}, {"by": "A", "year": 1}, True),
        ("metadata", None, {}, True),
        ("uri", "here", "there", True),
    ],
)
def test_what_a_chunker_sees_of_a_document_is_in_its_chunks_key(
    small_corpus: Path, field: str, first: Any, second: Any, same: bool
) -> None:
    path = small_corpus / "documents.jsonl"
    head, *rest = path.read_text().splitlines()

    def chunks(value: Any) -> set[str]:
        path.write_text("\n".join([json.dumps({**json.loads(head), field: value}), *rest]))
        stages = mox.plan(experiment(small_corpus)).stages
        return {key for key, stage in stages.items() if stage.kind == "chunk"}

    before, after = chunks(first), chunks(second)
    assert (before == after) if same else not before & after


def test_choosing_across_chunkings_by_a_rank_cut_is_refused(small_corpus: Path) -> None:
    settings = experiment(small_corpus, choose={"maximise": "recall@5"})
    with pytest.raises(SpecError, match=r"would give longer chunks more text(.|\n)*recall@1000t"):
        mox.plan(settings)
    one = mox.plan(settings, set={"axes.chunk.0.size": 16})
    assert one.trials


def test_a_split_is_made_where_the_corpus_brings_none(small_corpus: Path) -> None:
    path = small_corpus / "questions.jsonl"
    path.write_text(path.read_text().replace('"split": "dev"', '"split": null').replace(
        '"split": "test"', '"split": null'))  # fmt: skip
    plan = mox.plan(experiment(small_corpus, split={"by": "group", "test": 0.5}))
    sides = [question.split for question in plan.corpus.questions]
    assert sides.count("dev") == sides.count("test") == 12


def test_no_question_left_is_refused(small_corpus: Path) -> None:
    path = small_corpus / "questions.jsonl"
    path.write_text("".join(l for l in path.read_text().splitlines(True) if '"dev"' in l))  # noqa: E741
    with pytest.raises((SpecError, DataError), match="no question"):
        mox.plan(experiment(small_corpus, questions={"split": "test"}))


def test_the_smallest_margin_that_dev_can_show_is_said(small_corpus: Path) -> None:
    settings = experiment(small_corpus, choose={"maximise": "ndcg@60t", "within": 0.05})
    notes = " ".join(mox.plan(settings).notes)
    # 12 questions of 6 documents; 1 - (1 - 0.95**(1/4))**(1/12) = 0.3048.
    assert "12 dev questions can show a margin of 0.305 at best, 4 kinds of trials" in notes
    assert "So only the best can qualify" in notes
    assert "for these documents only" in notes


def test_the_margin_is_that_of_as_many_groups_of_one_size(small_corpus: Path) -> None:
    path = small_corpus / "questions.jsonl"
    asked = [json.loads(line) for line in path.read_text().splitlines()]
    for at, one in enumerate(asked):
        one |= {"group": f"topic {min(at, 19)}", "split": "dev"}
    path.write_text("".join(json.dumps(one) + "\n" for one in asked))
    settings = experiment(small_corpus, choose={"maximise": "ndcg@60t", "within": 0.05})
    notes = " ".join(mox.plan(settings).notes)
    # 19 topics of one question and one of 5: as many as 24²/44 = 13.09 of one size, and
    # 1 - (1 - 0.95**(1/4))**(1/13.09) = 0.2834.
    assert "20 dev groups, of such sizes that they tell as much as 13 of one, can show" in notes
    assert "a margin of 0.283 at best" in notes


def test_choosing_without_dev_questions_is_refused_before_anything_runs(small_corpus: Path) -> None:
    settings = experiment(small_corpus, choose={"maximise": "ndcg@60t"})
    with pytest.raises(SpecError, match=r"choosing needs dev questions, .* on the dev side"):
        mox.plan({**settings, "questions": {"split": "test"}})


def test_a_split_that_leaves_a_side_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "documents.jsonl").write_text('{"id": "a", "text": "One and two and three."}\n')
    evidence = '[{"document": "a", "start": 0, "end": 3}]'
    lines = [f'{{"id": "q{at}", "text": "Which?", "evidence": {evidence}}}' for at in range(3)]
    (tmp_path / "questions.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(SpecError, match="leaves the test side empty: 3 questions in 1 group"):
        mox.plan(experiment(tmp_path, split={"test": 0.5}))
    assert mox.plan(experiment(tmp_path)).trials, "and one group without a split is no error"


def asked(corpus: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (corpus / "questions.jsonl").read_text().splitlines()]


def ask(corpus: Path, questions: list[dict[str, Any]]) -> None:
    lines = "".join(json.dumps(one) + "\n" for one in questions)
    (corpus / "questions.jsonl").write_text(lines)


def test_what_both_sides_of_a_split_share_is_noted(small_corpus: Path) -> None:
    def shared(**changes: Any) -> list[str]:
        notes = mox.plan(experiment(small_corpus, **changes)).notes
        return [note for note in notes if "in common" in note]

    assert shared() == []
    # Two questions a book, one of each side: 12 groups, a test question in each.
    questions = asked(small_corpus)
    for at, one in enumerate(questions):
        one["split"] = ("dev", "test")[at % 2]
    ask(small_corpus, questions)
    (note,) = shared()
    assert note.startswith("both sides of the corpus' own split have 12 groups (12 of 12 test")
    assert "isn't independent of the choice on dev" in note
    assert shared(questions={"split": "test"}) == [], "what isn't asked chooses nothing"
    # Whole groups, and one passage of book 0 (test) that answers a question of book 1 (dev), too.
    for at, one in enumerate(questions):
        one["split"] = "dev" if at // 2 % 2 else "test"
    questions[2]["evidence"].append(questions[0]["evidence"][0])
    ask(small_corpus, questions)
    (note,) = shared()
    assert note.startswith(
        "both sides of the split have 1 relevant passage (1 of 12 test questions)"
    )


def test_scifacts_own_split_parts_158_of_its_585_groups(shared_data: Path) -> None:
    """As awk counts over its qrels, a query's group being its first relevant document."""
    changes = {"corpus.path": str(shared_data / "scifact"), "questions": {}}
    notes = mox.plan(BENCHMARK, set=changes).notes
    said = "158 groups (190 of 300 test questions) and 181 relevant documents (196 of 300 test"
    assert any(said in note for note in notes)


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    """A BEIR folder of 40 documents, with a query each, all judged in test.tsv."""
    folder = tmp_path / "b"
    (folder / "qrels").mkdir(parents=True)
    for name, text in (("corpus", "word{0} of text {0}"), ("queries", "word{0}?")):
        rows = [json.dumps({"_id": f"{name[0]}{n}", "text": text.format(n)}) for n in range(40)]
        (folder / f"{name}.jsonl").write_text("\n".join(rows))
    judge(folder, "test", range(40))
    return folder


def judge(folder: Path, name: str, numbers: range) -> None:
    lines = [f"q{n}\tc{n}\t1" for n in numbers]
    (folder / "qrels" / f"{name}.tsv").write_text("\n".join(lines))


def choosing(folder: Path, **corpus: Any) -> dict[str, Any]:
    return {
        "name": "beir",
        "corpus": {"kind": "beir", "path": str(folder), **corpus},
        "axes": {"chunk": [{"kind": "whole"}], "search": [{"kind": "bm25", "k": 5}]},
        "measure": ["recall@5"],
        "choose": {"maximise": "recall@5"},
    }


def test_what_the_mend_of_a_corpus_without_dev_questions_says_works(beir: Path) -> None:
    anew = r"`splits: \{test: null\}` for a beir corpus\) and write `split: \{test: 0.5\}`"
    with pytest.raises(SpecError, match=rf"choosing needs dev questions(.|\n)*{anew}"):
        mox.plan(choosing(beir))
    halves = {"split": {"test": 0.5}}
    with pytest.raises(SpecError, match=rf"own split leaves the dev side empty(.|\n)*{anew}"):
        mox.plan(choosing(beir) | halves)
    plan = mox.plan(choosing(beir, splits={"test": None}) | halves)
    sides = [question.split for question in plan.corpus.questions]
    assert sides.count("dev") == sides.count("test") == 20
    assert not any("`split`" in note for note in plan.notes)


def test_a_split_that_is_not_used_is_noted(beir: Path) -> None:
    judge(beir, "train", range(35))
    judge(beir, "test", range(35, 40))
    said = "b brings its own split (35 dev, 5 test): `split` is not used."
    assert said in mox.plan(choosing(beir) | {"split": {"test": 0.5}}).notes
    assert said not in mox.plan(choosing(beir)).notes


def test_what_of_a_beir_folder_is_not_asked_is_noted(beir: Path) -> None:
    judge(beir, "train", range(20))
    judge(beir, "test", range(20, 30))
    judge(beir, "validation", range(30, 33))
    notes = mox.plan(choosing(beir)).notes
    assert "qrels of b that `splits` doesn't name, and that aren't read: validation.tsv." in notes
    assert "queries of b in none of the qrels read, which aren't asked: 10." in notes
    named = {"train": "dev", "validation": "dev", "test": "test"}
    notes = mox.plan(choosing(beir, splits=named)).notes
    assert "queries of b in none of the qrels read, which aren't asked: 7." in notes
    assert not any("qrels of b" in note for note in notes)
