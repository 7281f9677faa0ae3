"""Which store: every pair of verdicts, what is refused, and the size at which pgvector stops."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from mox.bench.bound import Bound
from mox.bench.decide import decide, suffices_until
from mox.bench.points import Point, Spread, Way
from mox.errors import MissingError, SpecError

SIZES = (2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
MILVUS = {"engine": "milvus", "version": "2.3.5"}
POSTGRES = {"engine": "postgresql", "version": "18"}


def curve(
    kind: str,
    *,
    p95: tuple[float, float],
    recall: float = 0.98,
    noise: float = 0.0,
    clients: int = 4,
    engine: dict[str, str] | None = None,
) -> list[Point]:
    """Points of p95 = p95[0]·(n/10,000)^p95[1], up and down by a share `noise` in turn."""
    way = Way({"kind": kind}, {"ef": 64}, clients)
    found = []
    for at, n in enumerate(SIZES):
        sign = (1, -1, -1, 1, 1, -1)[at]
        value = p95[0] * (n / 10_000) ** p95[1] * math.exp(sign * noise)
        values = {"p95_ms": Spread.of(value), "recall": Spread.of(recall)}
        found.append(Point(way, n, n, values, engine or MILVUS))
    return found


BOUND = Bound(recall=0.95, clients=4, p95_ms=20.0)
YES, PERHAPS, NO = {"p95": (2.0, 0.2)}, {"p95": (18.0, 0.0), "noise": 0.3}, {"p95": (90.0, 0.3)}


@pytest.mark.parametrize(
    ("pgvector", "milvus", "taken", "why"),
    [
        (YES, YES, "pgvector", "pgvector keeps .* and is simpler"),
        (YES, NO, "pgvector", "pgvector keeps"),
        (YES, PERHAPS, "pgvector", "pgvector keeps"),
        (NO, YES, "Milvus", "pgvector does not keep .*; Milvus keeps it"),
        (PERHAPS, YES, "Milvus", "pgvector may not keep .*; Milvus keeps it"),
        (NO, PERHAPS, "Milvus", "pgvector does not keep .*; Milvus may keep it"),
        (PERHAPS, NO, "pgvector", "pgvector may keep .*; Milvus does not"),
        (PERHAPS, PERHAPS, "pgvector", "not told apart, and pgvector is simpler"),
    ],
)
def test_every_pair_of_verdicts(pgvector: dict, milvus: dict, taken: str, why: str) -> None:
    points = curve("pgvector_hnsw", **pgvector, engine=POSTGRES) + curve("HNSW", **milvus)
    found = decide(points, 10_000, BOUND)
    assert found.taken.store == taken
    assert found.other.store != taken
    assert re.search(why, found.why)


@pytest.mark.parametrize(
    ("pgvector", "milvus", "taken", "why"),
    [
        (0.99, None, "pgvector", "pgvector keeps recall"),
        (None, 0.99, "Milvus", "pgvector may not keep .*; Milvus keeps it"),
        (None, None, "Milvus", "both may keep .*, and Milvus is faster"),
        (0.99, 0.99, "Milvus", "both keep .*, and Milvus is faster"),
        (None, 0.5, "pgvector", "pgvector may keep .*; Milvus does not"),
        (0.5, None, "Milvus", "pgvector does not keep .*; Milvus may keep it"),
    ],
)
def test_without_a_latency_who_surely_keeps_the_recall_is_taken_before_who_may(
    pgvector: float | None, milvus: float | None, taken: str, why: str
) -> None:
    """Milvus is ten times as fast. None: .955 up and down by 2 %, whose interval reaches .95."""
    points = recalls("pgvector_hnsw", 20.0, pgvector, POSTGRES) + recalls(
        "HNSW", 2.0, milvus, MILVUS
    )
    found = decide(points, 10_000, Bound(recall=0.95, clients=4))
    assert found.taken.store == taken
    assert re.search(why, found.why)


def recalls(kind: str, ms: float, recall: float | None, engine: dict) -> list[Point]:
    found = []
    for at, point in enumerate(curve(kind, p95=(ms, 0.2), engine=engine)):
        wobble = math.exp(0.02 * (1, -1, -1, 1, 1, -1)[at])
        value = 0.955 * wobble if recall is None else recall
        found.append(replace(point, values={**point.values, "recall": Spread.of(value)}))
    return found


@pytest.mark.parametrize(
    ("bound", "said"),
    [
        ({"recall": 0.0}, "a bound of recall 0"),
        ({"recall": 1.1}, r"a bound of recall 1\.1"),
        ({"recall": math.nan}, "a bound of recall nan"),
        ({"recall": 0.9, "p95_ms": 0.0}, "a bound of p95 0 ms"),
        ({"recall": 0.9, "clients": 0}, "a bound for 0 clients"),
    ],
)
def test_a_bound_that_no_curve_can_be_held_to_is_refused(bound: dict, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        Bound(**bound)


def test_what_was_not_validly_measured_is_named_and_not_said_to_fail() -> None:
    """HNSW's clients took too much of the machine: FLAT alone speaks for Milvus."""
    graph = [replace(point, invalid="clients took 33 %") for point in curve("HNSW", **YES)]
    points = curve("pgvector_hnsw", **PERHAPS, engine=POSTGRES) + curve("FLAT", **NO) + graph
    why = decide(points, 10_000, BOUND).why
    assert "Milvus does not. Without a valid curve, so not considered: HNSW ef=64." in why
    assert "not considered" not in decide(points[:12], 10_000, BOUND).why


def test_neither_keeps_it_and_that_is_refused_with_both_predictions() -> None:
    points = curve("pgvector_hnsw", **NO, engine=POSTGRES) + curve("HNSW", **NO)
    with pytest.raises(SpecError, match=r"neither store keeps p95 ≤ 20 ms .* pgvector .* Milvus"):
        decide(points, 10_000, BOUND)


def test_a_curve_above_the_bound_is_not_saved_by_a_wide_interval() -> None:
    """25 ms, up and down by a third: the interval reaches 20 ms, what is expected doesn't."""
    wide = {"p95": (25.0, 0.0), "noise": 0.4}
    points = curve("pgvector_hnsw", **wide, engine=POSTGRES) + curve("HNSW", **YES)
    found = decide(points, 10_000, BOUND)
    assert found.other.p95_ms.low < 20 < found.other.p95_ms.value
    assert re.search("pgvector does not keep .*; Milvus keeps it", found.why)


def test_a_recall_that_is_too_low_is_no_answer_however_fast() -> None:
    points = curve("pgvector_hnsw", p95=(1.0, 0.1), recall=0.8, engine=POSTGRES) + curve(
        "HNSW", **YES
    )
    assert decide(points, 10_000, BOUND).taken.store == "Milvus"


def test_of_a_stores_configurations_the_fastest_that_keeps_the_bound_is_taken() -> None:
    points = (
        curve("pgvector_hnsw", p95=(1.0, 0.1), recall=0.8, engine=POSTGRES)
        + curve("pgvector_ivfflat", p95=(5.0, 0.1), engine=POSTGRES)
        + curve("HNSW", **YES)
    )
    assert decide(points, 10_000, BOUND).taken.way.index == {"kind": "pgvector_ivfflat"}


def test_without_a_latency_the_faster_one_and_a_tie_to_the_simpler() -> None:
    bound = Bound(recall=0.95, clients=4)
    slow = curve("pgvector_hnsw", p95=(30.0, 0.4), noise=0.02, engine=POSTGRES)
    fast = curve("HNSW", p95=(5.0, 0.1), noise=0.02)
    assert decide(slow + fast, 10_000, bound).taken.store == "Milvus"
    level = curve("HNSW", p95=(29.5, 0.4), noise=0.05)
    assert decide(slow + level, 10_000, bound).taken.store == "pgvector"


def test_a_size_that_was_not_measured_is_said_to_be_an_estimate() -> None:
    points = curve("pgvector_hnsw", **YES, engine=POSTGRES) + curve("HNSW", **YES)
    near, far = decide(points, 50_000, BOUND), decide(points, 500_000, BOUND)
    assert not near.document()["estimate"]
    assert far.document()["estimate"]
    assert "an estimate for a size that wasn't measured" in far.text()
    assert "estimate" not in near.text()


def test_no_curve_of_a_store_is_refused_by_what_is_lacking() -> None:
    pg = curve("pgvector_hnsw", **YES, engine=POSTGRES)
    with pytest.raises(MissingError, match=r"no curve of Milvus for 4 clients .*none of its"):
        decide(pg, 10_000, BOUND)
    with pytest.raises(MissingError, match="its curves are of 8 clients, not 4"):
        decide(pg + curve("HNSW", **YES, clients=8), 10_000, BOUND)
    with pytest.raises(MissingError, match="three sizes at least"):
        decide(pg + curve("HNSW", **YES)[:2], 10_000, BOUND)


def test_milvus_lite_decides_nothing() -> None:
    lite = {"engine": "milvus-lite", "version": "3.2.2"}
    points = curve("pgvector_hnsw", **YES, engine=POSTGRES) + curve("HNSW", **YES, engine=lite)
    with pytest.raises(MissingError, match="those of Milvus Lite say nothing of a server"):
        decide(points, 10_000, BOUND)


class TestWherePgvectorStops:
    def test_it_stops_where_its_latency_breaks_the_bound(self) -> None:
        # 2·(n/10,000)^0.5 = 20 at n = 1,000,000.
        found = suffices_until(curve("pgvector_hnsw", p95=(2.0, 0.5), engine=POSTGRES), BOUND)
        assert found is not None
        assert found.because == "p95_ms"
        assert found.size.n == pytest.approx(1e6)
        assert found.document()["estimate"]

    def test_it_stops_earlier_where_its_recall_does(self) -> None:
        points = [
            Point(one.way, one.n, one.n,
                  {**one.values, "recall": Spread.of(1.05 * one.n**-0.01)}, POSTGRES)
            for one in curve("pgvector_hnsw", p95=(2.0, 0.5))
        ]  # fmt: skip
        found = suffices_until(points, BOUND)
        assert found is not None
        assert found.because == "recall"
        assert found.size.n == pytest.approx((1.05 / 0.95) ** 100)

    def test_the_configuration_that_lasts_longest_counts(self) -> None:
        points = curve("pgvector_hnsw", p95=(2.0, 0.5), engine=POSTGRES) + curve(
            "pgvector_ivfflat", p95=(1.0, 0.5), engine=POSTGRES
        )
        found = suffices_until(points, BOUND)
        assert found is not None
        assert found.way.index == {"kind": "pgvector_ivfflat"}
        assert found.size.n == pytest.approx(4e6)

    def test_it_is_none_of_milvus_business(self) -> None:
        assert suffices_until(curve("HNSW", **YES), BOUND) is None

    def test_its_interval_holds_the_true_size_as_often_as_it_says(self) -> None:
        """Latency breaks first, at 60,000; noise of 8 % in it and none in the recall."""
        draw = np.random.default_rng(0)
        bound_at, times, held = 60_000.0, 500, 0
        bound = Bound(recall=0.95, clients=4, p95_ms=2.0 * (bound_at / 10_000) ** 0.5)
        for _ in range(times):
            points = [
                Point(one.way, one.n, one.n,
                      {**one.values,
                       "p95_ms": Spread.of(one.values["p95_ms"].median
                                           * math.exp(0.08 * draw.normal()))}, POSTGRES)
                for one in curve("pgvector_hnsw", p95=(2.0, 0.5))
            ]  # fmt: skip
            found = suffices_until(points, bound)
            assert found is not None
            low = math.inf if found.size.low is None else found.size.low
            held += low <= bound_at <= (found.size.high or math.inf)
        assert held / times == pytest.approx(0.95, abs=0.03)
