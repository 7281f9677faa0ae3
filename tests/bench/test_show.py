"""A growth shown: in a terminal, in a notebook, as a frame; memory by formula in all of them."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest

from mox.bench.bound import Bound
from mox.bench.formula import formula_mb
from mox.bench.points import Point, Spread, Way
from mox.bench.record import Growth, Left, content
from mox.results.growth.report import report

ABOUT = {"experiment": "shown", "host": {"cpu": "a", "cores": "2"}, "embed": {"kind": "wordllama"},
         "dims": 256, "k": 10, "questions": 5, "real": {"x": 2_000}}  # fmt: skip
SIZES = (1_000, 2_000, 4_000)
REST = {"sizes": list(SIZES), "mixtures": None, "alike": [], "notes": ["a note"]}
FLAT, PG = Way({"kind": "FLAT"}, {}, 4), Way({"kind": "pgvector", "column": "vector"}, {}, 1)


def point(way: Way, n: int, **changes: Any) -> Point:
    values = {"p95_ms": Spread(n / 100, n / 200, n / 50), "recall": Spread.of(1.0),
              "build_s": Spread.of(1.5), "index_mb": Spread.of(n / 1_000),
              "memory_mb": Spread.of(n / 500)}  # fmt: skip
    engine = {"engine": "milvus" if way is FLAT else "postgresql", "version": "9"}
    formula = formula_mb(way.index, n, 256)
    return Point(way, n, min(n, 2_000), values, **{"engine": engine, "formula_mb": formula,
                                                   **changes})  # fmt: skip


def grown(points: list[Point], left: tuple[Left, ...] = (), **bound: Any) -> Growth:
    asked = Bound(0.9, **{"clients": 1, "p95_ms": 30.0, **bound})
    return Growth(content(ABOUT, points, list(left), asked, REST), ())


@pytest.fixture
def both() -> Growth:
    return grown([point(way, n) for way in (FLAT, PG) for n in SIZES])


def test_what_was_not_measured_is_a_dash_and_no_zero() -> None:
    """No load, so neither latency nor throughput: `0 q/s` would be said of an engine that hangs."""
    said = grown([point(PG, 1_000)]).text()
    (row,) = (line for line in said.splitlines() if line.lstrip().startswith("1,000 "))
    assert row.split()[4:6] == ["–", "1.000"]


def test_intervals_of_recall_are_said_to_know_nothing_of_other_questions(both: Growth) -> None:
    said = "All sizes are asked the same 5 questions, so they say nothing of what others would find"
    assert said in both.text()
    assert said in both._repr_html_()
    assert said in report(both.content).html()
    assert said not in grown([point(PG, 1_000)]).text(), "no curve, so no interval"


def test_formulas_are_those_of_the_index_types() -> None:
    # FLAT: 4 bytes a dimension. HNSW of m = 8: besides 8 bytes for each of 8 links, and 16.
    # Milvus keeps 40 bytes a row beside either.
    assert formula_mb({"kind": "FLAT"}, 1_000, 256) == 1_000 * (256 * 4 + 40) / 1e6
    graph = {"kind": "HNSW", "m": 8}
    assert formula_mb(graph, 1_000, 256) == 1_000 * (256 * 4 + 8 * 8 + 16 + 40) / 1e6


def test_what_has_no_formula_has_none() -> None:
    assert formula_mb({"kind": "exact"}, 1_000, 256) is None


def test_points_have_it_and_read_it_back(both: Growth) -> None:
    flat = [one for one in both.content["points"] if one["index"]["kind"] == "FLAT"]
    assert [one["formula_mb"] for one in flat] == [1.064, 2.128, 4.256]
    assert [one.document() for one in both.points] == both.content["points"]
    whats = {fit["what"] for fit in both.content["fits"]}
    assert whats == {"p95_ms", "recall", "build_s", "index_mb", "memory_mb"}, "nothing is fitted"


def test_sizes_that_were_not_run_have_an_estimate_with_its_mark(both: Growth) -> None:
    found = both.content["estimates"]
    assert {(one["index"]["kind"], one["n"]) for one in found} == {
        ("FLAT", 40_000), ("pgvector", 40_000),
    }  # fmt: skip
    assert found[0] == {"index": FLAT.index, "n": 40_000, "formula_mb": 42.56, "estimate": True}


def test_what_was_left_out_has_an_estimate_too() -> None:
    points = [point(FLAT, n) for n in SIZES[:2]]
    left = (Left(4_000, FLAT, "the time was up", 9.0), Left(1_000, PG, "failed: x", 9.0, True))
    found = grown(points, left).content["estimates"]
    assert {(one["index"]["kind"], one["n"]) for one in found} == {
        ("FLAT", 4_000), ("FLAT", 40_000),
        *(("pgvector", n) for n in (*SIZES, 40_000)),
    }  # fmt: skip


def test_a_decision_for_a_size_beyond_all_is_an_estimate_also_where_nothing_is_taken(
    both: Growth,
) -> None:
    marks = {one["rows"]: (one["store"], one["estimate"]) for one in both.content["decisions"]}
    assert marks == dict.fromkeys(SIZES, (None, False)) | {40_000: (None, True)}


def test_the_text_has_both_memories_and_marks_the_estimate(both: Growth) -> None:
    lines = both.text().split("\n")
    head = next(line for line in lines if "formula MB" in line)
    row = lines[lines.index(head) + 2].split()
    assert row[0] == "2,000"
    assert row[-3:] == ["4", "2.13", "2.0"], "memory, formula, index"
    assert "  FLAT at 40,000: 42.6 MB by formula, an ESTIMATE" in lines
    assert repr(both) == both.text()


@pytest.mark.parametrize(
    ("n", "said"),
    [
        (61_234.5, "up to 61,200 vectors [52,000 to no end], where its latency breaks the bound"),
        (None, "without an end [52,000 to no end]: the curve of pgvector, 1 client never breaks"),
        (0.0, "at no size [52,000 to no end]: its latency breaks the bound from the first vector"),
    ],
)
def test_where_pgvector_stops_is_said_for_every_outcome(
    both: Growth, n: float | None, said: str
) -> None:
    way = {"index": {"kind": "pgvector"}, "search": {}, "clients": 1}
    stops = {**way, "n": n, "low": 52_000.0, "high": None, "estimate": True, "because": "p95_ms"}
    text = Growth({**both.content, "crossing": stops}, ()).text()
    assert f"pgvector suffices (p95 ≤ 30 ms, recall ≥ 0.9, 1 client) {said}" in text
    assert "an ESTIMATE, since no such size was measured" in text


def test_a_notebook_sees_verdict_figure_and_table(both: Growth) -> None:
    html = both._repr_html_()
    said = re.sub(r"<[^>]+>", " ", html)
    assert said.index("pgvector suffices (p95 ≤ 30 ms") < said.index("configuration")
    (png,) = re.findall(r'<img [^>]*src="data:image/png;base64,([^"]+)"', html)
    assert base64.b64decode(png)[:4] == b"\x89PNG"
    assert html.index("<img") < html.index("<table")
    assert html.count("<tr") == 1 + len(both.content["points"])
    assert "FLAT at 40,000: 42.6 MB by formula, an ESTIMATE" in said
    assert not re.search(r"<(style|script|svg)", html), "a notebook drops these"


def test_a_notebook_sees_what_is_missing_mixed_or_invalid() -> None:
    points = [point(PG, n) for n in SIZES[:2]]
    invalid = point(PG, 4_000, invalid="clients took <60> %")
    left = Left(4_000, FLAT, "failed: <b>", 9.0, True)
    html = grown([*points, invalid], (left,))._repr_html_()
    said = re.sub(r"<[^>]+>", " ", html)
    assert "NOT WHOLE: 1 of 4 measurements are missing" in said
    assert "failed: &lt;b&gt;" in html
    assert said.count("INVALID") >= 1
    assert said.count("mixed ") >= 1
    nothing = grown([], (left,))._repr_html_()
    assert "<img" not in nothing


def test_a_frame_has_a_row_for_each_point(both: Growth) -> None:
    frame = both.to_frame()
    assert len(frame) == 6
    row = frame[(frame["index"] == "FLAT") & (frame["n"] == 2_000)].iloc[0]
    assert (row["p95_ms"], row["p95_ms_low"], row["p95_ms_high"]) == (20.0, 10.0, 40.0)
    assert (row["memory_mb"], row["formula_mb"], row["clients"]) == (4.0, 2.128, 4)
    assert list(frame["index.column"].dropna().unique()) == ["vector"]
    assert list(frame.columns[:2]) == ["index", "index.column"]
    assert frame["qps"].isna().all()
