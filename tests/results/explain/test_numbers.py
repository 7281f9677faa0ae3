"""From a number back to what made it: every value worked out anew, and by hand where it counts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from pydantic import create_model

import mox
from mox.errors import SpecError
from mox.evaluation import metrics
from mox.pipeline import codec
from mox.pipeline.stages import Ref
from mox.results import Results
from mox.results import run as runs
from mox.results.document import document
from mox.results.lineage.asked import asked
from mox.retrieval.hits import ranked
from mox.spec import Spec


def test_every_number_of_the_leaderboard_has_the_same_mean_when_explained(
    results: Results,
) -> None:
    shown = json.loads(json.dumps(document(results)))
    assert len(shown["trials"]) == 16
    for trial in shown["trials"]:
        found = json.loads(json.dumps(results.explain(trial["id"]).document(), allow_nan=False))
        assert found["holds"]
        for split, measures in {"all": trial["metrics"], **trial["splits"]}.items():
            for name, said in measures.items():
                explained = found["measures"][name]["splits"][split]
                assert {key: explained[key] for key in said} == said
                assert explained["anew"] == pytest.approx(said["mean"], abs=1e-12)
        assert (found["vs_baseline"] is None) == (trial["id"] == results.run.baseline)
        if found["vs_baseline"] is not None:
            versus = {name: found["vs_baseline"][name] for name in trial["vs_baseline"]}
            assert versus == trial["vs_baseline"]
            other = shown["trials"][0]["splits"][found["vs_baseline"]["on"]]["ndcg@30t"]
            own = found["measures"]["ndcg@30t"]["splits"][found["vs_baseline"]["on"]]
            assert versus["mean"] == pytest.approx(own["mean"] - other["mean"], abs=1e-12)
        costs = {name: cost["value"] for name, cost in found["costs"].items()}
        assert costs == {n: v for n, v in trial["costs"].items() if n != "index_mb_is"}


def test_every_score_of_every_question_adds_up_to_what_is_stored(results: Results) -> None:
    """The formula with its shown numbers, the evaluation anew, and the stored value are one."""
    for trial in results.finished[::3]:
        for question in results.questions_asked:
            view = asked(results, trial, question.id)
            assert view.problems == ()
            named = {one.measure for one in view.scores}
            assert named == (set(results.run.measures) if question.answerable else set())
            for one in view.scores:
                assert one.sum.value == pytest.approx(one.stored, abs=1e-9), one


def _quotes(_: Any, shown: Any) -> float:
    """1 where the best hit is a slice of a document of which there are other chunks; half where
    nothing was found."""
    if not shown.passages:
        return 0.5
    best = shown.passages[0]
    whole = best.text in shown.documents[best.document]
    return float(whole and len(shown.chunks) > len(shown.passages))


def _none_of_the_second(table: Any) -> Any:
    """The first rows for every question but the second, which finds nothing."""
    ids = np.tile(np.arange(6), (7, 1))
    ids[1] = -1
    return ranked(ids, np.tile(np.linspace(0.9, 0.1, 6), (7, 1)), k=6)


def test_a_third_party_s_metric_is_worked_out_anew_by_its_own_code(made: Any) -> None:
    """It is shown the documents' texts and all chunks, as the stage showed them."""
    metrics.kinds()  # ours come first
    kind = create_model("quoting", __base__=Spec, kind=(str, "quoting"))
    metrics.register(kind, fingerprint=lambda _: {"mine": "1"})(_quotes)
    try:
        size = {"kind": "recursive", "size": 32}
        made.trial("t", size, ("recall@2", "quoting@2"), hits=_none_of_the_second)
        results = made.results(("recall@2", "quoting@2"))
        assert results.explain("t").holds
        for question, value in (("q0", 1), ("q1", 0.5)):
            view = results.explain("t", question)
            assert view.asked is not None
            assert view.asked.problems == ()
            [recall, quoting] = view.asked.scores
            assert quoting.anew == quoting.stored == value
            assert "quoting is a plugin's metric" in quoting.sum.formula
    finally:
        metrics._entries.pop("quoting")
    assert recall.sum.formula == "nothing was found"


def test_a_mean_is_that_of_its_questions_in_so_many_groups(results: Results) -> None:
    view = results.explain(results.finished[0].id)
    for one in view.measures:
        values = results.scores(view.trial).arrays[one.measure]
        rows = [at for at, q in enumerate(results.questions_asked) if q.answerable]
        assert one.splits["all"].interval.mean == pytest.approx(float(np.mean(values[rows])))
        # 8 books are a group each; odd ones are dev.
        assert {split: found.groups for split, found in one.splits.items()} == {
            "all": 8, "dev": 4, "test": 4,
        }  # fmt: skip
        assert one.worst[0][1] == values[rows].min()
        assert one.best[0][1] == values[rows].max()


def test_the_chain_follows_the_data_and_proves_its_keys(results: Results, hybrid: str) -> None:
    view = results.explain(hybrid)
    assert [link.ref.kind for link in view.chain] == [
        "documents", "questions", "chunk", "tokens", "embed", "queries", "exact", "lexical",
        "fuse", "score",
    ]  # fmt: skip
    seen: set[Ref] = set()
    for link in view.chain:
        assert set(link.inputs.values()) <= seen
        seen.add(link.ref)
        assert link.proved is True
        assert link.damage == ""
        assert link.outdated == ""
    found = {link["kind"]: link for link in view.document()["lineage"]}
    assert found["chunk"]["spec"]["of"] == {"kind": "recursive", "size": 12, "overlap": 0}
    assert set(found["chunk"]["fingerprint"]) >= {"semchunk", "bpe-openai"}
    assert found["lexical"]["fingerprint"]["bm25s"]
    assert found["embed"]["rows"] == found["chunk"]["rows"] == found["chunk"]["facts"]["chunks"]
    assert found["score"]["unit"] == "questions × 24 measures"
    for link in found.values():
        assert link["at"].endswith("Z")
        assert link["bytes"] > 0


def test_a_stage_is_shared_by_the_trials_that_stand_on_it(results: Results, hybrid: str) -> None:
    """Four chunkings of four searches: a chunking serves four trials, its hits one."""
    view = results.explain(hybrid)
    shared = {link.ref.kind: len(link.shared_by) for link in view.chain}
    assert shared["documents"] == shared["questions"] == 15
    assert shared["chunk"] == shared["tokens"] == 3
    assert shared["queries"] == 11  # of dense and two hybrids on four chunkings, but this one
    assert shared["embed"] == 2
    assert shared["fuse"] == shared["score"] == 0


def test_a_hit_says_where_each_side_had_it_and_rrf_adds_up(results: Results, hybrid: str) -> None:
    view = results.explain(hybrid, "q-3-two")
    assert view.asked is not None
    lists = {
        "dense": codec.unpack_hits(results.store.read(*view.trial.roles["exact"]).arrays),
        "lexical": codec.unpack_hits(results.store.read(*view.trial.roles["lexical"]).arrays),
    }
    at = [q.id for q in results.questions_asked].index("q-3-two")
    assert view.asked.hits
    for one in view.asked.hits:
        total = 0.0
        for side, place in one.sides.items():
            ids = lists[side].ids[at].tolist()
            assert (place is None) == (one.row not in ids)
            if place is not None:
                assert ids[place.rank - 1] == one.row
                assert place.score == float(lists[side].scores[at, place.rank - 1])
                total += 1 / (60 + place.rank)
        assert one.hit.score == pytest.approx(total, abs=1e-7)  # stored as float32


def test_shown_characters_and_spent_tokens_are_those_of_the_texts(
    results: Results, hybrid: str
) -> None:
    from mox.chunking.tokenizers import open_tokenizer

    count = open_tokenizer("cl100k").count
    view = results.explain(hybrid, "q-5-two")
    assert view.asked is not None
    spent = 0
    for one in view.asked.hits:
        text = results.documents[one.hit.document].text
        assert one.text == "".join(text[start:end] for start, end in one.hit.spans)
        assert one.kept["3"] == (len(one.text) if one.rank <= 3 else 0)
        before, spent = spent, min(30, spent + count(one.text))
        assert one.spent["30t"] == spent
        assert (one.kept["30t"] > 0) == (spent > before)
    recall = next(one for one in view.asked.scores if one.measure == "recall@30t")
    # No overlap between the two passages: what is shown of them is the coverage.
    shown = sum(one.shown["30t"] for one in view.asked.evidence)
    length = sum(one.span.end - one.span.start for one in view.asked.evidence)
    assert recall.stored == pytest.approx(shown / length)


class TestSearch:
    def test_first_letters_find_the_newest_run_that_has_the_trial(self, results: Results) -> None:
        from dataclasses import replace

        trial = results.run.trials[3].id
        later = replace(results.run, id="newer", started="2999-01-01T00:00:00Z")
        runs.save(results.store, later)
        view = mox.explain(trial[:8])
        assert view.results.run.id == "newer"
        assert [one.run for one in view.reported] == ["newer", results.run.id]
        assert all(one.same for one in view.reported)
        narrowed = mox.explain(trial, run=results.run.id)
        assert narrowed.results.run.id == results.run.id

    def test_an_unknown_one_is_refused_with_the_nearest(self, results: Results) -> None:
        known = results.run.trials[0].id
        wrong = known[:-1] + ("0" if known[-1] != "0" else "1")
        with pytest.raises(SpecError, match=f"did you mean '{known}'"):
            mox.explain(wrong)

    def test_letters_of_several_are_refused(self, results: Results) -> None:
        with pytest.raises(SpecError, match="16 trials begin with ''"):
            mox.explain("")

    def test_an_empty_store_says_what_to_do(self) -> None:
        with pytest.raises(SpecError, match="no run is kept") as raised:
            mox.explain("abc")
        assert "mox run" in raised.value.mend

    def test_an_unknown_question_is_refused(self, results: Results, hybrid: str) -> None:
        with pytest.raises(SpecError, match="no questions begin with 'q-x'"):
            mox.explain(hybrid, "q-x")


def test_links_name_the_release_and_no_mlflow_where_it_has_nothing(results: Results) -> None:
    chosen = results.chosen
    assert chosen is not None
    release = mox.promote(results.run.id, offline=True).release
    found = mox.explain(chosen.id).document()
    assert [one["path"] for one in found["releases"]] == [str(release.path)]
    assert found["releases"][0]["sha256"] == release.sha256
    assert found["mlflow"] is None


def test_an_explanation_fits_a_hundred_columns_and_says_the_same_in_a_notebook(
    results: Results,
    hybrid: str,
) -> None:
    for view in (results.explain(hybrid), results.explain(hybrid, "q-3-any")):
        lines = repr(view).splitlines()
        # Only a path or a key may be longer than a line.
        assert all(len(line) <= 100 or len(line.split()) <= 2 for line in lines)
        page = view._repr_html_()
        assert view.trial.id in page
        assert "<style" not in page
        for one in view.asked.scores if view.asked else ():
            assert f"{one.measure} = {one.stored:.4f}" in page
            assert f"{one.measure} = {one.stored:.4f}" in repr(view)


def test_a_failed_trial_is_explained_by_its_error(hostile: Results) -> None:
    view = hostile.explain("trialx")
    assert view.holds
    assert view.document()["trial"]["error"].startswith("broke:")
    assert view.measures == ()
    with pytest.raises(SpecError, match="trial trialx has no hits: it is FAILED"):
        hostile.explain("trialx", "q0")
