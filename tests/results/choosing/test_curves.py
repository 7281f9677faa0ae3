"""Figures of indexes: their numbers are the results', and what isn't to be believed says so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from mox.errors import SpecError
from mox.results import Results
from mox.results.report.content import Picture
from mox.results.report.parts import sections
from mox.results.show.growth import growth

GOOD = [1.0, 1.0, 0.0, 1.0]


def rows(figure: Any, kind: str, encoding: str = "y") -> list[dict[str, Any]]:
    """Data of all layers of a kind of mark, top-level data sets looked up."""
    spec, found = figure.spec, []
    for layer in spec["layer"]:
        mark = layer["mark"]
        if (mark["type"] if isinstance(mark, dict) else mark) == kind:
            found += layer["data"]["values"]
    return found


def subtitle(figure: Any) -> str:
    return " | ".join(figure.spec["title"]["subtitle"])


@pytest.fixture
def swept(many: Any, add: Any, facts: Any) -> Results:
    """Exact search, four HNSW points of which `beaten` is on no line, one invalid IVF."""

    def load(qps: float, recall: float, **more: Any) -> Any:
        told = {"by_id": recall, "tie_aware": recall, "differ": False}
        return facts(qps=(qps, qps - 9, qps + 9), p95_ms=(1e3 / qps, 900 / qps, 1100 / qps),
                     memory_mb=qps / 10, recall=told, **more)  # fmt: skip

    add("exact", GOOD, load=load(50, 1.0, in_client=True))
    for name, ef, qps, recall in (("low", 8, 900, 0.7), ("mid", 16, 700, 0.9),
                                  ("high", 64, 300, 0.99), ("beaten", 32, 250, 0.95)):  # fmt: skip
        add(name, GOOD, agreement=recall, load=load(qps, recall), index={"ef_construction": ef})
    add("ivf", GOOD, agreement=0.8, index={"kind": "IVF_FLAT"},
        load=load(5000, 0.8, invalid="clients took 60 % of the 2 cores"))  # fmt: skip
    choose = {"maximise": "recall@2", "within": None, "prefer": None}
    found: Results = many.results(("recall@2",), choose=choose)
    return found


def test_points_are_the_results(swept: Results) -> None:
    found = {row["trial"]: row for row in rows(swept.recall_vs_throughput(), "point")}
    assert set(found) == {"exact", "low", "mid", "high", "beaten"}
    for name, row in found.items():
        facts = swept.load_facts(swept.trial(name))
        assert facts is not None
        ends = facts["qps"]
        assert (row["value"], row["low"], row["high"]) == (
            ends["median"], ends["low"], ends["high"],
        )  # fmt: skip
        assert row["value"] == swept.costs[name]["qps"]
        assert row["recall"] == facts["recall"]["tie_aware"]
        assert row["index"] == swept.trial(name).config["index"]["kind"]
    assert "ef_construction=64" in found["high"]["settings"]


def test_a_line_joins_what_no_point_of_its_index_beats(swept: Results) -> None:
    line = rows(swept.recall_vs_throughput(), "line")
    assert {row["trial"] for row in line} == {"exact", "low", "mid", "high"}
    # Of memory less is better: 90, 70, 30 and 25 MB, so `beaten` beats all but the higher recall.
    line = rows(swept.memory_vs_recall(), "line")
    assert {row["trial"] for row in line} == {"exact", "high", "beaten"}


def test_throughput_is_logarithmic_and_recall_ends_at_one(swept: Results) -> None:
    figure = swept.recall_vs_throughput()
    y, x = (figure.spec["layer"][0]["encoding"][axis] for axis in "yx")
    assert y["scale"]["type"] == "log"
    assert x["scale"]["domain"][1] == pytest.approx(1.0, abs=0.02)
    assert "under load" in x["title"]


def test_what_is_invalid_is_crossed_out_and_on_no_line(swept: Results) -> None:
    figure = swept.recall_vs_throughput()
    (crossed,) = rows(figure, "text")
    assert (crossed["trial"], crossed["value"]) == ("ivf", 5000)
    assert crossed["invalid"] == "clients took 60 % of the 2 cores"
    assert "INVALID" in subtitle(figure)
    assert "exact answers inside the client" in subtitle(figure)


def test_memory_is_not_invalid_by_its_clients(swept: Results) -> None:
    """What an engine holds in memory is no speed."""
    assert not rows(swept.memory_vs_recall("index_mb"), "text")


def test_latencies_have_their_intervals(swept: Results) -> None:
    bars = {row["trial"]: row for row in rows(swept.latency_vs_recall(), "rule")}
    assert (bars["low"]["low"], bars["low"]["high"]) == (900 / 900, 1100 / 900)


def test_lite_says_lite(many: Any, add: Any, facts: Any) -> None:
    add("a", GOOD, agreement=0.9, load=facts(qps=(9.0, 8.0, 10.0), lite=True))
    add("b", GOOD, agreement=0.8, load=facts(qps=(10.0, 9.0, 11.0), lite=True))
    figure = many.results(("recall@2",)).recall_vs_throughput()
    assert "Lite: measured on Milvus Lite" in subtitle(figure)
    assert {row["mark"] for row in rows(figure, "point")} == {"Lite"}
    assert "9 Lite" in repr(many.results(("recall@2",)))


def test_several_loads_are_lines_of_their_own(many: Any, add: Any, facts: Any) -> None:
    for clients in (1, 8):
        for at, recall in enumerate((0.8, 0.9)):
            load = facts(qps=(100.0 * clients - at, 1.0, 1000.0), clients=clients)
            add(f"{clients} {at}", GOOD, agreement=recall, load={**load, "recall": {
                "by_id": recall, "tie_aware": recall, "differ": False}})  # fmt: skip
    figure = many.results(("recall@2",)).recall_vs_throughput()
    assert {row["load"] for row in rows(figure, "line")} == {"1 client", "8 clients"}
    assert len(rows(figure, "line")) == 4
    line = next(layer for layer in figure.spec["layer"] if layer["mark"]["type"] == "line")
    assert line["encoding"]["strokeDash"]["scale"]["domain"] == ["1 client", "8 clients"]


def test_one_set_of_vectors_is_drawn_and_the_rest_is_said(many: Any, add: Any, facts: Any) -> None:
    for at in range(3):
        add(f"t{at}", GOOD, agreement=0.9, load=facts(qps=(10.0, 9.0, 11.0)), at=at // 2)
    figure = many.results(("recall@2",)).recall_vs_throughput()
    assert {row["trial"] for row in rows(figure, "point")} == {"t0", "t1"}
    assert "left out: 1 trials of other vectors" in subtitle(figure)


def test_without_a_load_there_is_no_throughput_to_draw(many: Any, add: Any) -> None:
    add("a", GOOD, agreement=0.9)
    with pytest.raises(SpecError, match=re.escape("add a `load` axis")):
        many.results(("recall@2",)).recall_vs_throughput()
    figure = many.results(("recall@2",)).memory_vs_recall()
    assert figure.spec["title"]["text"] == "made: index size against recall"


def test_they_stand_in_the_report_with_a_page_each(swept: Results, tmp_path: Path) -> None:
    section = next(one for one in sections(swept) if one.title == "What no other beats")
    pictures = [block for block in section.blocks if isinstance(block, Picture)]
    assert [one.file for one in pictures] == [
        "recall_vs_throughput.html", "latency_vs_recall.html", "memory_vs_recall.html",
    ]  # fmt: skip
    assert pictures[0].figure.spec == swept.recall_vs_throughput().spec
    page = swept.recall_vs_throughput().save(tmp_path / "f.svg").read_text("utf-8")
    assert "HNSW" in page


def grown(**changes: Any) -> dict[str, Any]:
    """A growth of two configurations at three sizes, as `mox bench growth --json` prints it."""
    points, fits = [], []
    for kind, search, b in (("pgvector", {}, 0.9), ("HNSW", {"ef": 64}, 0.1)):
        way = {"index": {"kind": kind}, "search": search, "clients": 1}
        for n in (1000, 4000, 16000):
            value = n**b / 100
            spread = {"median": value, "low": value * 0.9, "high": value * 1.2}
            point = {**way, "n": n, "mixed": max(0, n - 4000), "p95_ms": spread, "recall": 0.97}
            points.append({**point, "engine": {"engine": kind}, "invalid": None})
        curve = [
            {"n": n, "value": n**b / 100, "low": n**b / 110, "high": n**b / 90,
             "estimate": n > 16000}
            for n in (1000, 16000, 160000)
        ]  # fmt: skip
        fits.append({**way, "what": "p95_ms", "a": 0.01, "b": b, "low": b - 0.1, "high": b + 0.1,
                     "from": 1000, "to": 16000, "worst": 0.0, "curve": curve})  # fmt: skip
    bound = {"p95_ms": 50.0, "recall": 0.9, "clients": 1}
    document = {"experiment": "e", "points": points, "fits": fits, "bound": bound}
    return {**document, "crossing": None, **changes}


def test_growth_draws_what_the_document_says() -> None:
    document = grown()
    figure = growth(document)
    drawn = {(row["index"], row["n"]): row for row in rows(figure, "point")}
    assert len(drawn) == 6
    for one in document["points"]:
        row = drawn[one["index"]["kind"], one["n"]]
        assert (row["value"], row["low"], row["high"]) == tuple(one["p95_ms"].values())
        assert row["mixed"] == (one["n"] > 4000)
    bands = {(row["index"], row["n"]): row for row in rows(figure, "area")}
    for fit in document["fits"]:
        for at in fit["curve"]:
            row = bands[fit["index"]["kind"], at["n"]]
            assert (row["value"], row["low"], row["high"]) == (at["value"], at["low"], at["high"])
    assert "dashed: an estimate" in subtitle(figure)
    assert "hollow: vectors mixed from real ones" in subtitle(figure)
    assert figure.png[:4] == b"\x89PNG"


def test_growth_marks_lite_the_invalid_and_the_crossing() -> None:
    where = {"n": 12345.6, "low": 11000.0, "high": None, "estimate": True}
    document = grown(crossing={"index": {"kind": "pgvector"}, "search": {}, "clients": 1, **where})
    document["points"][0]["invalid"] = "clients took 60 %"
    document["points"][1]["engine"] = {"engine": "milvus-lite"}
    figure = growth(document)
    crossed = [row for row in rows(figure, "text") if "trial" not in row and "invalid" in row]
    assert [row["invalid"] for row in crossed] == ["clients took 60 %"]
    said = subtitle(figure)
    assert "INVALID" in said
    assert "Lite: measured on Milvus Lite" in said
    assert "pgvector keeps the bound up to 12,300 vectors [11,000 to no end], an estimate" in said


def test_a_curve_without_an_upper_end_has_no_band_there() -> None:
    document = grown()
    document["fits"][0]["curve"][-1]["high"] = None
    figure = growth(document)
    assert len(rows(figure, "area")) == 5
    assert figure.png[:4] == b"\x89PNG"


def test_of_several_loads_the_bounds_own_is_drawn_and_the_rest_is_said() -> None:
    document = grown()
    document["points"] += [{**one, "clients": 4} for one in document["points"]]
    figure = growth({**document, "bound": {**document["bound"], "clients": 4}})
    assert len(rows(figure, "point")) == 6
    assert {row["clients"] for row in rows(figure, "point")} == {4}
    assert "drawn: 4 clients as the bound has it, of 2 loads" in subtitle(figure)
    every = growth({**document, "bound": {**document["bound"], "clients": 9}})
    assert {row["clients"] for row in rows(every, "point")} == {1, 4}


def test_growth_of_what_was_not_measured_is_refused() -> None:
    with pytest.raises(SpecError, match="no size was measured for 'qps'"):
        growth(grown(), "qps")
