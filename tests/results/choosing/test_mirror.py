"""What MLflow gets of a choice under constraints: the rule, the frontier, the figures."""

from __future__ import annotations

from typing import Any

import pytest

from mox.results import Results
from mox.results.report.content import Report
from mox.results.report.parts import opening, sections
from mox.tracking import parent, trials
from mox.tracking.report import markdown
from mox.tracking.tables import readable

GOOD, POOR = [1.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0]


class Place:
    """Where a run stands in MLflow."""

    trials = "trials"

    def artifact(self, path: str) -> str:
        return f"artifacts/{path}"


@pytest.fixture
def chosen(many: Any, add: Any, facts: Any) -> Results:
    """Two indexes under load, of which one keeps the bounds."""

    def load(qps: float) -> Any:
        return facts(qps=(qps, qps - 1, qps + 1), p95_ms=(1e3 / qps, 900 / qps, 1100 / qps))

    add("fast", POOR, agreement=1.0, load=load(100.0))
    add("slow", GOOD, agreement=1.0, load=load(20.0))
    rule = {"maximise": "qps", "subject_to": ["recall_of_exact@6 >= 0.9", "p95_ms <= 20"],
            "within": None, "prefer": None}  # fmt: skip
    found: Results = many.results(("recall@2",), choose=rule, settings={"name": "made"})
    return found


def reported(results: Results) -> Report:
    title, unfinished, verdict, tone, facts = opening(results)
    return Report(title=title, unfinished=unfinished, verdict=tuple(verdict), tone=tone,
                  facts=facts, sections=tuple(sections(results)))  # fmt: skip


def test_the_rule_is_a_parameter(chosen: Results) -> None:
    said = parent.params(chosen)
    assert said["choose.maximise"] == "qps"
    assert said["choose.subject_to"] == "recall_of_exact@6 >= 0.9, p95_ms <= 20"


def test_the_frontier_is_a_tag_of_the_sweep_and_of_each_trial(chosen: Results) -> None:
    assert chosen.frontier().trials == ("slow", "fast")
    tags = parent.tags(chosen)
    assert tags["mox.frontier"] == "slow, fast"
    assert tags["mox.frontier_by"] == "recall@2, p95_ms, index_mb, build_s"
    said = trials.content(chosen, chosen.trial("slow"), "parent")
    assert said.tags["mox.frontier"] == "true"
    assert said.metrics["qps"] == 20.0
    assert said.metrics["p95_ms"] == 50.0


def test_the_board_has_speeds_and_the_frontier(chosen: Results) -> None:
    rows = {row["trial"]: row for row in readable(chosen)}
    assert (rows["fast"]["QPS"], rows["fast"]["p95 ms"], rows["fast"]["frontier"]) == (
        100,
        10,
        True,
    )
    assert rows["slow"]["note"] == "out by p95_ms"


def test_figures_are_pages_and_the_description_leads_to_them(chosen: Results) -> None:
    report = reported(chosen)
    files = parent.files(chosen, report, Place())  # type: ignore[arg-type]
    drawn = {"recall_vs_throughput.html", "latency_vs_recall.html", "memory_vs_recall.html"}
    assert drawn <= set(files)
    for name in drawn:
        page = files[name]
        assert isinstance(page, bytes)
        assert b"HNSW" in page
    text = markdown(report, Place())  # type: ignore[arg-type]
    for name in drawn:
        assert f"(artifacts/{name})" in text
    assert "## What no other beats" in text
    assert "1 of 2 trials keep the constraints" in text
