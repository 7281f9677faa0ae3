"""What of a growth is written in MLflow: its verdict first, its curves by size, and no secret."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mox.pipeline.store import Store
from mox.tracking import curves, growth

pytestmark = pytest.mark.timeout(170)

Content = dict[str, Any]
WAY = "pgvector_hnsw column=vector m=4 ef_construction=16 ef_search=20 iterative=off"


def test_the_description_begins_with_the_verdict(written: Any) -> None:
    run = written.one()
    note = run.data.tags["mlflow.note.content"].replace("\\", "").split("\n")
    assert note[0] == (
        "**pgvector suffices (p95 ≤ 50 ms, recall ≥ 0.5, 1 client) up to 61,200 vectors [52,000 to"
        f" no end], where its latency breaks the bound ({WAY}, 1 client); an"
        " ESTIMATE, since no such size was measured.**"
    )
    assert run.data.tags["mox.estimate"] == "true"
    assert run.data.metrics["pgvector_suffices_until"] == 61234.5
    assert note[2] == "Taken: nothing at 80 to 240 vectors; nothing at 2,400 vectors (an ESTIMATE)."
    assert note[4].startswith("Look: [the whole report](/#/experiments/")
    heads = [line.removeprefix("## ") for line in note if line.startswith("## ")]
    assert heads[:3] == ["What each size needs", "Latency: p95, ms", "Recall"]
    assert any("ESTIMATE" in line for line in note if line.startswith("| pgvector_hnsw"))


def test_a_run_has_what_was_asked_and_by_what_it_is_found(written: Any, grown: Content) -> None:
    run = written.one()
    assert run.info.status == "FINISHED"
    assert run.data.tags["mox.kind"] == "growth"
    assert run.data.tags["mox.growth"] == grown["growth"]
    params = run.data.params
    assert params["sizes"] == "80, 160, 240"
    assert (params["k"], params["dims"]) == ("5", "64")
    assert params["embed.kind"] == "hashing"
    assert {name: params[f"bound.{name}"] for name in ("p95_ms", "recall", "clients")} == {
        "p95_ms": "50.0", "recall": "0.5", "clients": "1",
    }  # fmt: skip
    assert int(params["corpora.corpus"]) >= 240
    assert params["host.cores"] == grown["host"]["cores"]


def test_metrics_are_curves_by_the_number_of_vectors(written: Any, grown: Content) -> None:
    points = grown["points"]
    name = f"{WAY.replace('=', '-')} 1 client"
    for what in ("p95_ms", "qps"):
        wanted = {one["n"]: [one[what]["median"]] for one in points}
        assert written.steps(f"{what}/{name}") == wanted
    for what in ("recall", "build_s", "formula_mb", "index_mb"):
        assert written.steps(f"{what}/{name}") == {one["n"]: [one[what]] for one in points}
    latest = written.one().data.metrics
    assert latest[f"p95_ms/{name}"] == points[-1]["p95_ms"]["median"]
    assert latest["measurements"] == 3


def test_figures_and_document_are_artifacts_that_need_no_network(
    written: Any, once: tuple[Store, Content], tmp_path: Path
) -> None:
    files = {one.path for one in written.client.list_artifacts(written.one().info.run_id)}
    drawn = {"p95_ms.html", "qps.html", "recall.html", "index_mb.html", "build_s.html"}
    assert files == {*drawn, "growth.json", "growth.md", "growth.html"}
    assert json.loads(written.text("growth.json", tmp_path / "a")) == once[1]
    for name in ("p95_ms.html", "growth.html"):
        page = written.text(name, tmp_path / "a")
        assert not re.search(r"<(script|link|img)[^>]+(src|href)=['\"]?http", page)
    assert "pgvector_hnsw" in written.text("p95_ms.html", tmp_path / "a")
    said = written.text("growth.md", tmp_path / "a")
    assert "by formula" in said
    assert "ESTIMATE" in said


def test_invalid_latencies_are_no_metrics_and_lite_says_so(grown: Content) -> None:
    first, *_ = grown["points"]
    lite = {"engine": "milvus-lite", "version": "3.2.2"}
    invalid = {**first, "invalid": "clients took 60 %", "engine": lite}
    found = curves.series({**grown, "points": [invalid]})
    mine = {key for key in found if "Milvus Lite" in key}
    assert {key.split("/")[0] for key in mine} == {"recall", "build_s", "formula_mb", "index_mb"}


def test_configurations_that_read_alike_there_keep_a_metric_each(grown: Content) -> None:
    """MLflow's alphabet has no `=` and no `@`: `a@b` and `a=b` would be one name."""
    first, second, *_ = grown["points"]
    points = [
        {**one, "index": {"kind": "x", "by": by}}
        for one, by in ((first, "a@b"), (second, "a%b"))
    ]  # fmt: skip
    found = curves.series({**grown, "points": points})
    recalls = [key for key in found if key.startswith("recall/")]
    assert len(recalls) == 2
    assert all(re.fullmatch(r"[\w\-. /]+", key) for key in found)


def test_a_growth_that_failed_altogether_is_failed(grown: Content) -> None:
    left = [{"failed": True}]
    assert growth.ended({**grown, "points": [], "left_out": left}) == "FAILED"
    assert growth.ended({**grown, "left_out": left}) == "FINISHED"
    assert growth.ended({**grown, "points": [], "left_out": [{"failed": False}]}) == "FINISHED"


def test_planted_secrets_are_nowhere_in_what_is_mirrored(
    store: Store,
    slim: Content,
    grown: Content,
    monkeypatch: pytest.MonkeyPatch,
    mirror: Callable[[Store, Content], Any],
) -> None:
    uri, key = "http://root:pa55-w0rd@host:5432", "sk-planted-0123456789"
    monkeypatch.setenv("MOX_POSTGRES_URI", uri)
    monkeypatch.setenv("SOME_API_KEY", key)
    said = f"failed: {uri} refused {key}"
    way = {name: slim["points"][0][name] for name in ("index", "search", "clients")}
    left = {**way, "n": 480, "why": said, "expected_s": 1.0, "failed": True}
    p95_ms = grown["points"][0]["p95_ms"]
    points = [{**slim["points"][0], "p95_ms": p95_ms, "invalid": said}, *slim["points"][1:]]
    mirror(store, {**slim, "points": points, "left_out": [left], "notes": [said],
                   "host": {"cpu": said}})  # fmt: skip
    raw = {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}
    assert sum(b"refused ***" in one for one in raw.values()) >= 4
    for path, one in raw.items():
        for secret in ("pa55-w0rd", "root:pa55", key):
            assert secret.encode() not in one, os.fspath(path)
