"""What of a run is written where."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mox.results import Results
from mox.tracking import trials
from mox.tracking.keys import PARAM, TAG, metric_key

pytestmark = pytest.mark.timeout(120)


def test_a_trials_parameters_are_flat_and_can_be_filtered(results: Results, mirrored: Any) -> None:
    written = mirrored(results)
    for trial in results.run.trials:
        params = written.trials()[trial.id].data.params
        assert params["chunk.kind"] == "recursive"
        assert params["chunk.size"] == str(trial.config["chunk"]["size"])
        assert params["search.k"] == "5"
    wanted = "params.`chunk.size` = '12' and params.`search.kind` = 'bm25'"
    found = written.client.search_runs([written.experiment_id], wanted)
    assert len(found) == 1


def test_a_trials_metrics_are_its_means_with_bounds_and_its_costs(
    results: Results, mirrored: Any
) -> None:
    written = mirrored(results).trials()
    for trial in results.finished:
        metrics = written[trial.id].data.metrics
        for split, measures in results.summary[trial.id].items():
            side = None if split == "all" else split
            for measure, interval in measures.items():
                for bound, value in (
                    (None, interval.mean),
                    ("low", interval.low),
                    ("high", interval.high),
                ):
                    key = metric_key(measure, split=side, bound=bound)
                    assert metrics[key] == pytest.approx(value, rel=5e-4)
                    assert len(str(metrics[key])) <= len("-0.0001234")
        assert metrics["chunks"] == results.costs[trial.id]["chunks"]
        assert metrics["index_mb"] == pytest.approx(results.costs[trial.id]["index_mb"], rel=5e-4)
    assert {"recall_at_5", "dev_ndcg_at_30t_low", "test_recall_at_5"} <= set(metrics)


def test_what_is_no_number_is_left_out(results: Results) -> None:
    trial = results.finished[0]
    results.costs[trial.id]["build_s"] = math.nan
    results.costs[trial.id]["index_mb"] = math.inf
    names = set(trials.numbers(results, trial))
    assert "recall_at_5" in names
    assert not names & {"build_s", "index_mb", "index_mb_is"}


def test_every_question_stands_in_a_trials_table(
    results: Results, mirrored: Any, tmp_path: Path
) -> None:
    written = mirrored(results)
    trial = results.finished[0]
    child = written.trials()[trial.id]
    table = json.loads(written.artifact(child, "questions.json", tmp_path / "q"))
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [row["question"] for row in rows] == [q.id for q in results.questions_asked]
    unanswerable = [row for row in rows if row["kind"] == "unanswerable"]
    assert [row["recall@5"] for row in unanswerable] == [None]
    scored = [row["recall@5"] for row in rows if row["recall@5"] is not None]
    mean = results.summary[trial.id]["all"]["recall@5"].mean
    assert sum(scored) / len(scored) == pytest.approx(mean)
    logged = json.loads(child.data.tags["mlflow.loggedArtifacts"])
    assert logged == [{"path": "questions.json", "type": "table"}]


def test_the_parent_says_what_was_swept_and_by_which_rule(results: Results, mirrored: Any) -> None:
    params = mirrored(results).parent.data.params
    assert params["axes.chunk.size"] == "12, 24"
    assert params["axes.search.kind"] == "dense, bm25"
    assert params["corpus.name"] == "corpus"
    assert params["choose.maximise"] == "ndcg@30t"
    assert params["choose.within"] == "0.2"
    assert params["choose.prefer.minimise"] == "index_mb"
    assert params["measure"] == "recall@5, ndcg@30t"


def test_the_parent_has_the_chosen_trials_numbers(results: Results, mirrored: Any) -> None:
    parent = mirrored(results).parent
    chosen = results.chosen
    assert chosen is not None
    assert parent.data.tags["mox.chosen"] == chosen.id
    mean = results.summary[chosen.id]["dev"]["ndcg@30t"].mean
    assert parent.data.metrics["dev_ndcg_at_30t"] == pytest.approx(mean, rel=5e-4)
    assert parent.data.metrics["trials_finished"] == 4


def test_the_corpus_is_the_parents_dataset(results: Results, mirrored: Any) -> None:
    [held] = mirrored(results).parent.inputs.dataset_inputs
    assert held.dataset.name == "corpus"
    assert results.run.corpus["fingerprint"].startswith(held.dataset.digest)
    assert len(held.dataset.digest) == 36
    assert json.loads(held.dataset.profile)["questions"] == 17
    assert [(tag.key, tag.value) for tag in held.tags] == [("mlflow.data.context", "evaluation")]


def test_the_parents_artifacts_are_what_a_lead_needs(
    results: Results, mirrored: Any, tmp_path: Path
) -> None:
    written = mirrored(results)
    names = {file.path for file in written.client.list_artifacts(written.parent.info.run_id)}
    assert names == {
        "report.html", "report.md", "leaderboard.csv", "leaderboard.json", "pareto.html",
        "plan.json", "results.json", "environment.json", "experiment.yaml",
    }  # fmt: skip

    def text(name: str) -> str:
        return str(written.artifact(written.parent, name, tmp_path / "a"))

    assert json.loads(text("environment.json")) == results.run.environment
    assert json.loads(text("results.json"))["run_id"] == results.run.id
    assert "path: corpus" in text("experiment.yaml")
    assert "vegaEmbed" in text("pareto.html")
    plan = json.loads(text("plan.json"))
    assert len(plan["stages"]) == results.run.stages["total"]
    kinds = [stage["stage"] for stage in plan["stages"]]
    assert kinds.count("chunk") == 2
    assert kinds.count("score") == 4


def test_every_trial_stands_in_the_leaderboard(
    results: Results, change: Any, mirrored: Any, tmp_path: Path
) -> None:
    first, second, *others = results.run.trials
    ended = (
        replace(first, status="FAILED", error="broke"),
        replace(second, status="SKIPPED"),
        *others,
    )
    some = change(results, trials=ended, baseline=others[0].id)
    written = mirrored(some)
    raw = written.artifact(written.parent, "leaderboard.csv", tmp_path / "a")
    rows = {row["trial"]: row for row in csv.DictReader(io.StringIO(raw))}
    assert set(rows) == {trial.id for trial in results.run.trials}
    assert (rows[first.id]["status"], rows[first.id]["error"]) == ("FAILED", "broke")
    assert rows[second.id]["status"] == "SKIPPED"
    best = some.ranked()[0]
    assert rows[best.id]["rank"] == "1"
    dev = some.summary[best.id]["dev"]["ndcg@30t"]
    assert float(rows[best.id]["dev ndcg@30t low"]) == dev.low
    shown = json.loads(written.artifact(written.parent, "leaderboard.json", tmp_path / "b"))
    assert len(shown["data"]) == 4
    assert not [name for name in shown["columns"] if "." in name]  # MLflow's page empties those


def test_the_description_gives_the_verdict_first(results: Results, mirrored: Any) -> None:
    note = mirrored(results).parent.data.tags["mlflow.note.content"]
    assert results.choice is not None
    assert note.startswith("**")
    assert note.split("**")[1].replace("\\", "") == results.choice.reason
    for part in ("How sure", "Confirmed on test", "What it costs", "The alternatives"):
        assert part in note


def test_what_is_too_long_is_cut_visibly_and_kept_whole_as_an_artifact(
    results: Results, change: Any, mirrored: Any, tmp_path: Path
) -> None:
    first, second, *others = results.run.trials
    said = {**first.config["search"], "filter": "f" * 7000}
    long = replace(first, config={**first.config, "search": said})
    failed = replace(second, status="FAILED", error="e" * 9000)
    run = change(results, trials=(long, failed, *others), varying=("search.filter",))
    written = mirrored(run)
    children = written.trials()
    value = children[long.id].data.params["search.filter"]
    assert len(value) == PARAM
    assert value.endswith("(7,000 characters, see long_values.json)")
    whole = json.loads(written.artifact(children[long.id], "long_values.json", tmp_path / "a"))
    assert whole == {"search.filter": "f" * 7000}
    error = children[failed.id].data.tags["mox.error"]
    assert len(error) == TAG
    whole = json.loads(written.artifact(children[failed.id], "long_values.json", tmp_path / "b"))
    assert whole == {"mox.error": "e" * 9000}
    note = written.parent.data.tags["mlflow.note.content"]
    assert len(note) <= TAG
    assert f"{failed.id}: eee" in note
    assert "characters, see report.html)" in note
    report = written.artifact(written.parent, "report.md", tmp_path / "c")
    assert "e" * 9000 in report


def many(results: Results, count: int) -> tuple[Any, ...]:
    """Trials that share the artifacts of real ones, and differ in a setting."""
    real = results.run.trials
    found = []
    for at in range(count):
        like = real[at % len(real)]
        search = {**like.config["search"], "depth": at // 50}
        found.append(replace(like, id=f"t{at:04d}", config={**like.config, "search": search}))
    return tuple(found)


def test_above_200_trials_children_are_those_that_a_reader_would_look_for(
    results: Results, change: Any, mirrored: Any, tmp_path: Path
) -> None:
    made = list(many(results, 240))
    made[7] = replace(made[7], status="FAILED", error="one")
    made[8] = replace(made[8], status="FAILED", error="one")
    made[9] = replace(made[9], status="FAILED", error="two")
    run = change(results, trials=tuple(made), baseline="t0003", varying=("search.depth",))
    written = mirrored(run)
    children = written.trials()
    choice = run.choice
    assert choice is not None
    assert len(children) < 200
    assert {choice.trial, choice.best, *choice.candidates, "t0003"} <= set(children)
    assert {"t0007", "t0009"} <= set(children)
    assert "t0008" not in children  # the same failure as t0007
    for name in ("search.depth", "chunk.size", "search.kind"):
        for value in {str(run.params(trial)[name]) for trial in run.finished}:
            best = next(t for t in run.ranked() if str(run.params(t)[name]) == value)
            assert best.id in children, (name, value)
    raw = written.artifact(written.parent, "leaderboard.csv", tmp_path / "a")
    assert len(list(csv.DictReader(io.StringIO(raw)))) == 240


def test_up_to_200_trials_each_has_a_child(results: Results, change: Any) -> None:
    made = many(results, 200)
    run = change(results, trials=made, baseline="t0000")
    assert len(trials.wanted(run)) == 200


def test_a_run_without_a_finished_trial_is_mirrored(
    results: Results, change: Any, mirrored: Any
) -> None:
    failed = tuple(replace(t, status="FAILED", error="broke") for t in results.run.trials)
    written = mirrored(change(results, trials=failed))
    assert written.parent.info.status == "FAILED"
    note = written.parent.data.tags["mlflow.note.content"]
    assert note.startswith("**Nothing is chosen: no trial finished")


def test_a_run_without_a_rule_is_mirrored(results: Results, change: Any, mirrored: Any) -> None:
    written = mirrored(change(results, choose=None))
    assert "mox.chosen" not in written.parent.data.tags
    assert written.parent.data.tags["mlflow.note.content"].startswith("The experiment asks for no")
