"""From a number back to what made it: every value worked out anew, and by hand where it counts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import create_model

import mox
from mox.errors import SpecError, StoreError
from mox.evaluation import metrics
from mox.pipeline import codec
from mox.pipeline.stages import VERSIONS, Ref
from mox.pipeline.store import Store
from mox.results import Results
from mox.results import run as runs
from mox.results.document import document
from mox.results.lineage.asked import asked
from mox.spec import Spec

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

        forms = {"one": [span(0)], "two": [span(1), span(3)]}
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


def hybrid(results: Results) -> str:
    return next(t.id for t in results.run.trials if t.config["search"]["kind"] == "hybrid")


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
    """1 where the best hit is a slice of a document of which there are other chunks."""
    best = shown.passages[0]
    whole = best.text in shown.documents[best.document]
    return float(whole and len(shown.chunks) > len(shown.passages))


def test_a_third_party_s_metric_is_worked_out_anew_by_its_own_code(made: Any) -> None:
    """It is shown the documents' texts and all chunks, as the stage showed them."""
    metrics.kinds()  # ours come first
    kind = create_model("quoting", __base__=Spec, kind=(str, "quoting"))
    metrics.register(kind, fingerprint=lambda _: {"mine": "1"})(_quotes)
    try:
        made.trial("t", {"kind": "recursive", "size": 32}, ("recall@2", "quoting@2"))
        results = made.results(("recall@2", "quoting@2"))
        view = results.explain("t", "q0")
        assert results.explain("t").holds
        assert view.asked is not None
        assert view.asked.problems == ()
        [_, quoting] = view.asked.scores
    finally:
        metrics._entries.pop("quoting")
    assert quoting.anew == quoting.stored == 1
    assert "quoting is a plugin's metric" in quoting.sum.formula


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


def test_the_chain_follows_the_data_and_proves_its_keys(results: Results) -> None:
    view = results.explain(hybrid(results))
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


def test_a_stage_is_shared_by_the_trials_that_stand_on_it(results: Results) -> None:
    """Four chunkings of four searches: a chunking serves four trials, its hits one."""
    view = results.explain(hybrid(results))
    shared = {link.ref.kind: len(link.shared_by) for link in view.chain}
    assert shared["documents"] == shared["questions"] == 15
    assert shared["chunk"] == shared["tokens"] == 3
    assert shared["queries"] == 11  # of dense and two hybrids on four chunkings, but this one
    assert shared["embed"] == 2
    assert shared["fuse"] == shared["score"] == 0


def test_a_hit_says_where_each_side_had_it_and_rrf_adds_up(results: Results) -> None:
    view = results.explain(hybrid(results), "q-3-two")
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


def test_shown_characters_and_spent_tokens_are_those_of_the_texts(results: Results) -> None:
    from mox.chunking.tokenizers import open_tokenizer

    count = open_tokenizer("cl100k").count
    view = results.explain(hybrid(results), "q-5-two")
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


def flip(store: Store, ref: Ref) -> None:
    """Change one byte within an artifact's data."""
    path = store.folder(*ref) / "data.npz"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("role", ["score", "hits", "chunk", "embed"])
def test_a_damaged_artifact_is_named_and_left_where_it_is(results: Results, role: str) -> None:
    trial = results.trial(hybrid(results))
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


def test_fused_hits_that_their_lists_dont_give_are_named(results: Results) -> None:
    trial = results.trial(hybrid(results))

    def swapped(name: str, array: Any) -> Any:
        return array[:, [1, 0, 2, 3, 4, 5]] if name == "ids" else array

    rewrite(results.store, trial.roles["hits"], swapped)
    view = Results(results.run, results.store).explain(trial.id, "q-1-one")
    assert "q-1-one: fusing its lists again gives other hits" in view.problems


def test_a_corpus_that_the_record_doesnt_mean_is_named(results: Results) -> None:
    from dataclasses import replace

    other = {**results.run.corpus, "fingerprint": "0" * 64}
    view = Results(replace(results.run, corpus=other), results.store).explain(hybrid(results))
    assert view.problems == ("the corpus' fingerprint is not what the run's record says",)


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

    def test_an_unknown_question_is_refused(self, results: Results) -> None:
        with pytest.raises(SpecError, match="no questions begin with 'q-x'"):
            mox.explain(hybrid(results), "q-x")


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
) -> None:
    for view in (results.explain(hybrid(results)), results.explain(hybrid(results), "q-3-any")):
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
