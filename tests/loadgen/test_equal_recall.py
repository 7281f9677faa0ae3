"""Comparisons at equal recall, against lines drawn by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from mox.loadgen import Spread
from mox.results.load.equal import Point, between, curve, equal_recall, lines
from mox.results.load.table import LoadRow, LoadTable


def sure(value: float) -> Spread:
    return Spread(value, 0.9 * value, 1.1 * value)


def row(kind: str, recall: float | None, qps: float, **more: Any) -> LoadRow:
    facts = {
        "clients": 1, "selectivity": 1.0, "inserts": 0, "cold": False, "cold_is": None,
        "recall": {"by_id": recall, "tie_aware": recall, "differ": False},
        "qps": sure(qps).document(), "p50_ms": None, "p95_ms": sure(1000 / qps).document(),
        "p99_ms": None, "memory_mb": None, "disk_mb": None, "invalid": None, "lite": False,
        "in_client": False, "errors": {}, "short_answers": 0, "others": 0.0, "rounds": 5,
        "engine": "e", "consistency": "c", "answers": 10,
        "engine_cpu_ms": None, "client_cpu_ms": None, "inserted_per_s": 0.0,
        "job": "j",
    }  # fmt: skip
    build, vectors, k = more.pop("build", "m=8"), more.pop("vectors", "v"), more.pop("k", 10)
    apart = more.pop("apart", False)
    return LoadRow(
        trial=f"{kind} {build} {recall}",
        label=kind,
        type=kind,
        build=build,
        vectors=vectors,
        vectors_are="" if vectors == "v" else vectors,
        k=k,
        facts={**facts, **more},
        costs={"index_mb": 1.0, "build_s": 2.0},
        apart=apart,
    )


def table(*rows: LoadRow) -> LoadTable:
    return LoadTable(rows, {"cpu": "c", "cores": "2"})


def test_a_table_says_once_of_each_engine_why_its_disk_is_not_known() -> None:
    why = {"engine": "milvus 9", "no_disk": "it doesn't say"}
    read = {"engine": "milvus 2", "disk_mb": 1.5, "no_disk": None}
    notes = table(row("A", 1, 1, **why), row("B", 1, 1, **why), row("C", 1, 1, **read)).notes
    said = [note for note in notes if note.startswith("No disk")]
    assert said == ["No disk of milvus 9: it doesn't say."]
    older = table(row("A", 1, 1)).notes  # measured before a reason was kept
    assert not any(note.startswith("No disk") for note in older)


def test_between_two_points_lies_what_the_line_through_their_logarithms_says() -> None:
    # Half way from 100 to 400 by logarithms is 200; a quarter of the way 100 · 4^(1/4).
    assert between(sure(100), sure(400), 0.5).median == pytest.approx(200)
    assert between(sure(100), sure(400), 0.25).median == pytest.approx(100 * math.sqrt(2))
    # Intervals go along: from [90, 110] and [360, 440] half way is [180, 220].
    assert between(sure(100), sure(400), 0.5).low == pytest.approx(180)
    assert between(sure(100), sure(400), 0.5).high == pytest.approx(220)


def test_a_curve_leaves_out_what_another_point_beats() -> None:
    def points(*pairs: tuple[float, float]) -> list[Point]:
        return [Point(r, sure(q), sure(1000 / q), row("A", r, q)) for r, q in pairs]

    kept = curve(points((0.8, 500), (0.9, 300), (0.85, 200), (0.9, 250), (0.95, 100)))
    assert [(one.recall, one.qps.median) for one in kept] == [(0.8, 500), (0.9, 300), (0.95, 100)]


def test_types_are_compared_where_they_find_as_much() -> None:
    # A: .8 at 800 and 1.0 at 200 QPS, so .9 at 400. B: .88 at 600, .92 at 150, so .9 at 300:
    # at equal settings B's first point looks faster than what A takes for more.
    found = equal_recall(
        table(row("A", 0.8, 800), row("A", 1.0, 200), row("B", 0.88, 600), row("B", 0.92, 150)),
        [0.9],
    )
    assert [(one.type, round(one.qps.median)) for one in found.rows] == [("A", 400), ("B", 300)]
    assert [one.rank for one in found.rows] == [(1, 1), (2, 2)]
    assert found.rows[0].p95_ms.median == pytest.approx(2.5)
    assert found.missing == ()


def test_of_several_builds_the_one_that_is_fastest_there_is_taken() -> None:
    rows = [
        row("A", 0.8, 900, build="m=4"), row("A", 0.9, 100, build="m=4"),
        row("A", 0.7, 500, build="m=16"), row("A", 0.95, 300, build="m=16"),
    ]  # fmt: skip
    (low,) = equal_recall(table(*rows), [0.8]).rows
    (high,) = equal_recall(table(*rows), [0.9]).rows
    assert (low.row.build, high.row.build) == ("m=4", "m=16")


def test_nothing_is_made_up_beyond_the_ends_of_a_curve() -> None:
    found = equal_recall(table(row("A", 0.97, 100), row("B", 0.5, 1000), row("B", 0.8, 900)), [0.9])
    (only,) = found.rows
    assert (only.type, only.exceeds, only.qps.median) == ("A", 0.97, 100)
    assert found.missing == ("B reaches 0.800 of 0.9 (1 client, k=10)",)
    assert "its least effort finds 0.970" in "\n".join(lines(found))
    assert equal_recall(table(row("A", None, 1.0)), [0.9]).rows == ()


def test_only_equal_conditions_are_compared() -> None:
    found = equal_recall(
        table(row("A", 0.95, 100), row("B", 0.95, 300, clients=4), row("C", 0.95, 99)), [0.9]
    )
    by_clients = {one.row.facts["clients"]: [] for one in found.rows}
    for one in found.rows:
        by_clients[one.row.facts["clients"]].append((one.type, one.rank))
    assert by_clients == {1: [("A", (1, 2)), ("C", (1, 2))], 4: [("B", (1, 1))]}


def test_marks_go_along_and_a_document_has_it_all() -> None:
    dubious = row("A", 0.95, 100, invalid="clients took 40 % …")
    faults = {"errors": {"gone": 3}, "short_answers": 2, "lite": True}
    made = table(dubious, row("B", 0.95, 50, **faults))
    assert "INVALID" in repr(made)
    assert "Lite" in repr(made)
    assert "3 errors" in repr(made)
    assert "2 short answers" in repr(made)
    assert "INVALID (1 of 2 rows)" in made._repr_html_()
    document = made.document()
    assert document["rows"][0]["invalid"] == "clients took 40 % …"
    at = [one for one in document["equal_recall"]["rows"] if one["recall"] == 0.9]
    assert [one["marks"] for one in at] == [["Lite", "3 errors", "2 short answers"]]
    assert [one["type"] for one in at] == ["B"]
    assert at[0]["qps"] == sure(50).document()
    assert at[0]["k"] == 10


def test_what_is_invalid_decides_nothing() -> None:
    # B: .8 at 500 and .96 at 300, so .9 at 500 · (3/5)^(5/8) = 363.3.
    bs = (row("B", 0.8, 500), row("B", 0.96, 300))
    invalid = row("A", 0.8, 8000, invalid="clients took 45 %")
    found = equal_recall(table(invalid, row("A", 0.96, 200), *bs), [0.9])
    said = [(one.type, round(one.qps.median), one.rank, one.exceeds) for one in found.rows]
    assert said == [("B", 363, (1, 1), None), ("A", 200, (2, 2), 0.96)]
    alone = equal_recall(table(invalid, *bs), [0.9, 0.95])
    assert [(one.type, one.rank) for one in alone.rows] == [("B", (1, 1))] * 2
    assert alone.missing == ("A has only INVALID rows (1 client, k=10)",)


def test_what_is_read_between_two_points_has_the_marks_of_both() -> None:
    left, right = row("A", 0.8, 500, errors={"gone": 3}), row("A", 0.96, 200, lite=True)
    (between_,) = equal_recall(table(left, right), [0.9]).rows
    assert between_.marks == ("3 errors", "Lite")
    assert "[3 errors, Lite]" in "\n".join(lines(equal_recall(table(left, right), [0.9])))
    (at,) = equal_recall(table(left, right), [0.96]).rows
    assert at.marks == ("Lite",), "this one alone is read"


def test_what_was_measured_in_different_jobs_is_not_told_apart() -> None:
    def told(*rows: LoadRow) -> list[tuple[int, int]]:
        return [one.rank for one in equal_recall(table(*rows), [0.9]).rows]

    assert told(row("A", 0.95, 500), row("B", 0.95, 50)) == [(1, 1), (2, 2)]
    assert told(row("A", 0.95, 500), row("B", 0.95, 50, job="later")) == [(1, 2), (1, 2)]
    # Before jobs had names: each of its own.
    assert told(row("A", 0.95, 500, job=None), row("B", 0.95, 50, job=None)) == [(1, 2), (1, 2)]
    # A's figure at .9 stands on two jobs, B's on one of them.
    mixed = (row("A", 0.8, 900), row("A", 0.95, 500, job="later", apart=True))
    found = equal_recall(table(*mixed, row("B", 0.95, 50)), [0.9])
    assert [(one.type, one.rank, one.marks) for one in found.rows] == [
        ("A", (1, 2), ("measured apart",)), ("B", (1, 2), ()),
    ]  # fmt: skip


def test_other_numbers_of_hits_and_other_vectors_are_compared_apart() -> None:
    rows = [
        row("A", 0.97, 4000, k=5), row("A", 0.90, 700, k=50), row("A", 0.99, 400, k=50),
        row("A", 0.95, 90, vectors="hashing dims=256"),
    ]  # fmt: skip
    found = equal_recall(table(*rows), [0.95])
    # At k = 50: 5/9 of the way from 700 to 400, 700 · (4/7)^(5/9) = 513.
    assert [(one.row.k, round(one.qps.median), one.rank) for one in found.rows] == [
        (5, 4000, (1, 1)), (50, 513, (1, 1)), (10, 90, (1, 1)),
    ]  # fmt: skip
    heads = [line for line in lines(found) if line.startswith("at ")]
    assert heads == [
        "at recall 0.95, 1 client, k=5:",
        "at recall 0.95, 1 client, k=50:",
        "at recall 0.95, 1 client, k=10, hashing dims=256:",
    ]


def test_a_single_round_shows_no_spread_and_so_no_difference() -> None:
    once = table(row("A", 0.95, 500, rounds=1), row("B", 0.95, 50, rounds=1))
    found = equal_recall(once, [0.9])
    assert [one.rank for one in found.rows] == [(1, 2), (1, 2)]
    assert found.document()["rows"][0]["qps"] == {"median": 500, "low": 0.0, "high": None}
    assert [
        one.rank for one in equal_recall(table(row("A", 0.95, 500), row("B", 0.95, 50)), [0.9]).rows
    ] == [(1, 1), (2, 2)]
