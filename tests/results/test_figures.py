"""Figures that show anywhere, and what the charts draw."""

from __future__ import annotations

import base64
import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.errors import SpecError
from mox.results import Results
from mox.results.show.charts import leaderboard_chart, undominated
from mox.results.show.figures import Figure, figure

MIME = "application/vnd.vegalite.v5+json"


@pytest.fixture
def simple() -> Figure:
    import altair as alt

    points = alt.Data(values=[{"x": 1, "y": 2}, {"x": 2, "y": 3}])
    return figure(alt.Chart(points, title="simple").mark_point().encode(x="x:Q", y="y:Q"))


def test_a_figure_is_vega_lite_5_and_a_png(simple: Figure) -> None:
    bundle = simple._repr_mimebundle_()
    assert set(bundle) == {MIME, "image/png"}
    assert bundle[MIME]["$schema"] == "https://vega.github.io/schema/vega-lite/v5.json"
    png = base64.b64decode(bundle["image/png"])
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    assert width > 300 * 1.5  # altair's default view, and the axes beside it
    assert height > 300 * 1.5


def test_a_notebook_accepts_the_bundle(simple: Figure) -> None:
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook, new_output

    shown = new_output("display_data", simple._repr_mimebundle_())
    nbformat.validate(new_notebook(cells=[new_code_cell("f", outputs=[shown])]))


def test_a_figure_is_saved_in_three_forms_without_a_network(simple: Figure, tmp_path: Path) -> None:
    assert simple.save(tmp_path / "f.png").read_bytes()[:4] == b"\x89PNG"
    assert simple.save(tmp_path / "f.svg").read_text("utf-8").startswith("<svg")
    page = simple.save(tmp_path / "f.html").read_text("utf-8")
    assert not re.search(r"<(script|link)[^>]+(src|href)=", page)
    assert len(page) > 500_000  # Vega itself is inside
    with pytest.raises(SpecError, match=r"can't be written as f\.pdf"):
        simple.save(tmp_path / "f.pdf")


def test_a_page_runs_no_script_from_a_name(simple: Figure, tmp_path: Path) -> None:
    hostile = {**simple.spec, "title": "</script><script>alert(1)</script><!-- <script>"}
    page = Figure(hostile).save(tmp_path / "f.html").read_text("utf-8")
    assert "<script>alert" not in page
    assert page.count("</script>") == simple.save(tmp_path / "s.html").read_text().count(
        "</script>"
    )
    found = re.search(r"const spec = (.*);\n *const opts", page)
    assert found is not None
    assert json.loads(found[1]) == hostile


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12))
def test_undominated_points_are_those_that_no_other_beats(points: list[tuple[int, int]]) -> None:
    beaten = [
        any(
            cost <= mine[0] and worth >= mine[1] and (cost, worth) != mine for cost, worth in points
        )
        for mine in points
    ]
    found = undominated([(float(cost), float(worth)) for cost, worth in points])
    assert sorted(found) == [at for at, lost in enumerate(beaten) if not lost]
    assert [points[at][0] for at in found] == sorted(points[at][0] for at in found)


def values(spec: Any) -> list[dict[str, Any]]:
    """Rows of a chart's largest data set."""
    return max((layer["data"]["values"] for layer in spec["layer"]), key=len)


@pytest.fixture
def swept(made: Any) -> Results:
    """Four trials; b costs less than a and is better, c costs least, d has no size."""
    for name, worth, size in (
        ("a", 0.5, 3e6),
        ("b", 0.75, 2e6),
        ("c", 0.25, 1e6),
        ("d", 1.0, None),
    ):
        column = [worth, worth, float("nan"), *[worth] * 4]
        made.trial(name, {"kind": "recursive", "size": 32}, ["recall@2"],
                   values={"recall@2": column}, index_bytes=size)  # fmt: skip
    return made.results(
        ["recall@2"], choose={"maximise": "recall@2", "within": None, "prefer": None}
    )


def test_pareto_joins_and_letters_what_no_other_beats(swept: Results) -> None:
    spec = swept.pareto().spec
    rows = {row["trial"]: row for row in values(spec)}
    assert {name: row["letter"] for name, row in rows.items()} == {"a": "", "b": "B", "c": "A"}
    front = [layer["data"]["values"] for layer in spec["layer"] if layer["mark"]["type"] == "line"]
    assert [[row["trial"] for row in rows] for rows in front] == [["c", "b"]]
    assert [(row["cost"], row["mean"]) for row in front[0]] == [(1.0, 0.25), (2.0, 0.75)]


def test_pareto_says_what_it_leaves_out(swept: Results) -> None:
    title = swept.pareto().spec["title"]
    assert title["text"] == "made: recall@2 against index_mb"
    assert title["subtitle"][-1] == "left out, their index_mb not being known: 1 of 4 trials"


def test_pareto_marks_the_chosen_trial_and_the_baseline(swept: Results) -> None:
    by_chunks = swept.pareto(cost="chunks").spec
    marks = {row["trial"]: row["mark"] for row in values(by_chunks)}
    assert marks == {"d": "chosen", "a": "baseline", "b": "", "c": ""}


def test_points_carry_their_intervals(swept: Results) -> None:
    for row in values(swept.pareto().spec):
        assert row["low"] < row["mean"] < row["high"]


def test_an_unknown_cost_or_measure_is_refused_with_the_nearest(swept: Results) -> None:
    with pytest.raises(
        SpecError, match="no trial has the cost 'index_md', did you mean 'index_mb'"
    ):
        swept.pareto(cost="index_md")
    with pytest.raises(SpecError, match="no trial has the cost 'index_mb_is'"):
        swept.pareto(cost="index_mb_is")
    with pytest.raises(SpecError, match="'recal@2' was not measured, did you mean 'recall@2'"):
        swept.pareto("recal@2")


def test_the_leaderboards_chart_shows_the_best_twenty_in_order(made: Any) -> None:
    for at in range(22):
        column = [at / 22, at / 22, float("nan"), *[at / 22] * 4]
        made.trial(f"t{at:02d}", {"kind": "recursive", "size": 32}, ["recall@2"],
                   values={"recall@2": column})  # fmt: skip
    spec = leaderboard_chart(made.results(["recall@2"])).spec
    shown = [row["trial"] for row in spec["data"]["values"]]
    assert shown == [f"t{at:02d}" for at in range(21, 1, -1)]
    assert spec["title"]["subtitle"] == ["the best 20 of 22 trials"]


def test_a_single_question_is_drawn_without_an_interval(lone: Results) -> None:
    figure = lone.pareto()
    assert values(figure.spec)[0]["low"] is None
    assert figure.png[:4] == b"\x89PNG"


def test_nothing_finished_is_nothing_to_draw(made: Any) -> None:
    made.trial("a", {"kind": "recursive", "size": 32}, ["recall@2"])
    with pytest.raises(SpecError, match="no trial finished"):
        made.results(["recall@2"], trials=()).pareto()
