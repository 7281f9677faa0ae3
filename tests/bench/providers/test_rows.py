"""From moments to figures: by hand, and nothing that failed in any latency."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox.bench.providers.document import document
from mox.bench.providers.moments import moments
from mox.bench.providers.record import Chunk, Load, Record
from mox.bench.providers.rows import ERRORS, About, Bounds, error_counts, row, spent
from mox.types.providers import Usage

CLOSED = Load("closed", 1)


def record(
    number: int = 0,
    *,
    scheduled: float = 0.0,
    sent: float | None = None,
    text: Sequence[tuple[float, int]] = ((100, 4), (200, 4), (300, 4)),
    reasoning: Sequence[tuple[float, int]] = (),
    done: float | None = 310.0,
    tokens: int = 3,
    thought: int = 0,
    **rest: Any,
) -> Record:
    """A request; `text` and `reasoning` are (milliseconds, characters) of each chunk."""
    chunks = [
        *(Chunk(ns(at), size, "reasoning") for at, size in reasoning),
        *(Chunk(ns(at), size) for at, size in text),
    ]
    usage = Usage(input_tokens=100, output_tokens=tokens + thought, reasoning_tokens=thought)
    return Record(
        "made", "model", "short", CLOSED, rest.pop("round_", 0), number, ns(scheduled),
        sent_ns=ns(scheduled if sent is None else sent), chunks=tuple(chunks),
        done_ns=None if done is None else ns(done), usage=usage, **rest,
    )  # fmt: skip


def failed(number: int = 0, error: str = "server", **rest: Any) -> Record:
    """A request that ended in an error."""
    return record(number, text=(), done=rest.pop("done", 5.0), tokens=0, error=error, **rest)


def ns(ms: float) -> int:
    return 1_000_000_000 + round(ms * 1e6)


ABOUT = About("made", "model", "short", {"kind": "closed", "value": 1})


def about(**rest: Any) -> About:
    return About("made", "model", "short", {"kind": "closed", "value": 1}, **rest)


class TestMoments:
    def test_durations_of_one_request_by_hand(self) -> None:
        # Meant at 0, let go at 5, sent at 10; text at 100, 200, 300; over at 310.
        found = moments(record(sent=10, leased_ns=ns(5)))
        assert found.ttft_ms == pytest.approx(90)
        assert found.e2e_ms == pytest.approx(300)
        assert found.e2e_from_schedule_ms == pytest.approx(310)
        assert found.ttft_from_schedule_ms == pytest.approx(100)
        assert found.pool_wait_ms == pytest.approx(5)
        assert found.gaps_ms == pytest.approx((100, 100))
        assert found.itl_ms == pytest.approx(100)  # 200 ms for the 2 tokens after the first
        assert found.tokens_per_s == pytest.approx(10)

    def test_several_tokens_in_the_first_chunk_do_not_make_it_look_faster(self) -> None:
        # 10 tokens, 40 characters: 24 of them, so 6 tokens, at once, then 4 tokens in 200 ms.
        found = moments(record(text=((100, 24), (200, 8), (300, 8)), tokens=10))
        assert found.itl_ms == pytest.approx(50)

    def test_chunk_gaps_are_not_times_between_tokens(self) -> None:
        # 9 tokens in 3 even chunks: gaps of 100 ms, 6 tokens in 200 ms.
        found = moments(record(tokens=9))
        assert found.gaps_ms == pytest.approx((100, 100))
        assert found.itl_ms == pytest.approx(200 / 6)

    def test_reasoning_is_the_first_event_and_no_part_of_the_answer(self) -> None:
        found = moments(record(reasoning=((40, 9), (60, 9)), tokens=3, thought=7))
        assert found.ttft_ms == pytest.approx(40)
        assert found.answer_ms == pytest.approx(100)
        assert found.itl_ms == pytest.approx(100)

    def test_reasoning_that_nobody_counts_apart_is_no_token_of_the_answer(self) -> None:
        # A token of four characters each 20 ms: 90 of reasoning, 10 of the answer, counted as 100.
        reasoning = [(100 + 20 * at, 4) for at in range(90)]
        text = [(1900 + 20 * at, 4) for at in range(10)]
        found = moments(record(reasoning=reasoning, text=text, done=2100, tokens=100))
        assert found.itl_ms == pytest.approx(20)
        assert found.tokens_per_s == pytest.approx(50)

    def test_events_of_one_read_are_one_chunk(self) -> None:
        # Three tokens a read, a read each 60 ms: 6 tokens in the 120 ms after the first read.
        text = [(at, 4) for at in (100, 160, 220) for _ in range(3)]
        found = moments(record(text=text, tokens=9))
        assert found.gaps_ms == pytest.approx((60, 60))
        assert found.itl_ms == pytest.approx(20)
        assert row(ABOUT, [[record(text=text, tokens=9)]]).stalls["stalled"] == 0

    def test_an_answer_of_one_read_has_no_time_between_tokens(self) -> None:
        found = moments(record(text=[(100, 4)] * 5, tokens=5))
        assert (found.itl_ms, found.tokens_per_s, found.gaps_ms) == (None, None, ())

    def test_an_event_without_text_is_no_first_token(self) -> None:
        assert moments(record(text=((20, 0), (100, 4), (200, 4)), tokens=2)).ttft_ms == 100

    def test_an_answer_of_one_chunk_has_no_time_between_tokens(self) -> None:
        found = moments(record(text=((100, 4),), tokens=1))
        assert found.itl_ms is None
        assert found.tokens_per_s is None

    def test_an_answer_without_text_has_no_first_token(self) -> None:
        found = moments(record(text=(), tokens=0))
        assert (found.ttft_ms, found.answer_ms, found.e2e_ms) == (None, None, 310)

    def test_a_simulated_second_is_told_in_the_providers_time(self) -> None:
        found = moments(record(sent=10), time_scale=0.1)
        assert found.ttft_ms == pytest.approx(900)
        assert found.itl_ms == pytest.approx(1000)
        assert found.tokens_per_s == pytest.approx(1)

    def test_what_failed_has_no_durations(self) -> None:
        with pytest.raises(ValueError, match="not answered"):
            moments(failed())


class TestRow:
    @given(st.integers(1, 40), st.integers(1, 40), st.randoms(use_true_random=False))
    def test_failed_requests_are_in_no_latency(self, good: int, bad: int, rng: Any) -> None:
        answers = [record(at, done=300 + rng.uniform(0, 900)) for at in range(good)]
        errors = [failed(good + at, "timeout_total", done=99_000.0) for at in range(bad)]
        found = row(ABOUT, [answers + errors])
        alone = row(ABOUT, [answers])
        assert found.figures == alone.figures
        assert found.stalls == alone.stalls
        assert found.errors["timeout_total"] == bad
        assert (found.n, found.answers) == (good + bad, good)

    def test_percentiles_are_of_all_rounds_together(self) -> None:
        fast = [record(at, done=310) for at in range(10)]
        slow = [record(at, done=1310, round_=1) for at in range(30)]
        p50 = row(ABOUT, [fast, slow]).figures["e2e_ms"]["p50"].value
        assert p50 == pytest.approx(np.quantile([310.0] * 10 + [1310.0] * 30, 0.5))
        assert p50 == 1310  # the mean of the rounds' medians would be 810

    def test_a_gap_of_over_five_medians_is_a_stall(self) -> None:
        text = ((100, 4), (110, 4), (120, 4), (130, 4), (181, 4), (230, 4))
        # Gaps 10, 10, 10, 51, 49: the median is 10, and only 51 is over five of them.
        found = row(ABOUT, [[record(text=text, tokens=6)]])
        assert found.stalls == {"gaps": 5, "stalled": 1, "answers": 1}
        middle = found.chunk_gap_ms["p50"]  # gaps of one answer aren't independent: no interval
        assert (middle.value, middle.low, middle.high) == (pytest.approx(10), None, None)

    def test_every_kind_of_rate_limit_is_a_rate_limit_and_every_class_is_listed(self) -> None:
        kinds = ("rate_limit_requests", "rate_limit_output", "rate_limit_tokens", "overloaded")
        found = error_counts([failed(error=kind) for kind in kinds])
        assert (found["rate_limit"], found["overloaded"]) == (3, 1)
        assert list(found) == list(ERRORS)
        assert sum(found.values()) == 4

    def test_throughput_is_by_the_time_of_the_rounds_without_the_pauses_between(self) -> None:
        first = [record(0, done=500), record(1, scheduled=100, done=1000)]
        later = [record(0, scheduled=90_000, text=(), done=91_000, round_=1)]
        found = row(ABOUT, [first, later]).throughput
        assert found["requests_per_s"] == pytest.approx(3 / 2)
        assert found["tokens_per_s"] == pytest.approx(9 / 2)

    def test_a_round_of_failures_lasts_as_long_as_one_of_answers(self) -> None:
        # Ten answers in a second, then ten errors in ten: ten answers in eleven seconds.
        good = [record(at, done=1000) for at in range(10)]
        bad = [failed(at, scheduled=20_000, done=30_000.0, round_=1) for at in range(10)]
        found = row(ABOUT, [good, bad]).throughput
        assert found["requests_per_s"] == pytest.approx(10 / 11)
        # Never sent, so it has no end: its round lasts at least until it should have been.
        unsent = [failed(0, round_=1, done=None), failed(1, round_=1, scheduled=4000, done=None)]
        assert row(ABOUT, [good, unsent]).throughput["requests_per_s"] == pytest.approx(10 / 5)
        assert row(ABOUT, [bad]).throughput == {"requests_per_s": 0, "tokens_per_s": 0}

    def test_a_row_without_an_answer_says_why(self) -> None:
        found = row(ABOUT, [[failed(error="auth", said="no such key") for _ in range(3)]])
        assert not found.valid
        assert found.why == "no answer: 3 × auth (no such key)."
        assert found.document()["ttft_ms"]["p50"]["value"] is None

    def test_a_client_that_measured_itself_makes_the_row_invalid(self) -> None:
        found = row(ABOUT, [[record()]], invalid="the loop lagged")
        assert (found.valid, found.why) == (False, "the loop lagged")

    def test_a_document_of_several_time_scales_has_the_one_that_enlarges_errors_most(self) -> None:
        """Each row has its own."""
        for scales in ((0.1, 1.0), (1.0, 0.1), (0.5, 0.1, 1.0)):
            rows = [row(about(simulated=True, time_scale=one), [[record()]]) for one in scales]
            assert document({}, rows, {})["time_scale"] == 0.1
        assert document({}, [row(ABOUT, [[record()]])], {})["time_scale"] == 1

    def test_the_document_is_strict_json_with_the_fields_that_were_promised(self) -> None:
        plain = row(ABOUT, [[record(), failed()]]).document()
        json.dumps(plain, allow_nan=False)
        promised = (
            "provider model workload load n valid why ttft_ms itl_ms e2e_ms e2e_from_schedule_ms"
            " pool_wait_ms tokens_per_s errors usd_per_1k usd_per_1k_good"
        )
        assert set(promised.split()) <= set(plain)
        assert set(plain["ttft_ms"]) == {"p50", "p90", "p95", "p99"}
        assert {"value", "low", "high"} <= set(plain["ttft_ms"]["p50"])


class TestMoney:
    def test_failures_are_in_the_price_of_an_answer(self) -> None:
        records = [record(at, usd="0.01") for at in range(3)] + [failed(usd="0.02")]
        found = row(ABOUT, [records])
        assert found.usd == Decimal("0.05")
        assert found.usd_per(found.n, thousand=False) == pytest.approx(0.0125)
        assert found.document()["usd_per_1k"] == pytest.approx(50 / 3)

    def test_a_good_answer_is_in_time_and_good_enough(self) -> None:
        bounds = Bounds(e2e_ms=400, quality=0.5)
        records = [
            record(0, usd="0.01", quality=0.9),
            record(1, usd="0.01", quality=0.4),  # poor
            record(2, usd="0.01", quality=0.9, done=401),  # late
            record(3, usd="0.01", quality=0.5, sent=100, done=400),  # at the bounds
        ]
        found = row(about(bounds=bounds), [records])
        assert found.good == 2
        assert found.document()["usd_per_1k_good"] == pytest.approx(20)
        assert found.attained is not None
        assert (found.attained.met, found.attained.n) == (3, 4)  # the poor one is in time
        assert found.quality == pytest.approx(0.675)

    def test_bounds_count_from_the_intended_start(self) -> None:
        waited = record(scheduled=0, sent=200, text=((450, 4), (460, 4)), done=470, tokens=2)
        assert Bounds(ttft_ms=450, e2e_ms=470).keeps(moments(waited))
        assert not Bounds(ttft_ms=300).keeps(moments(waited))  # 250 ms of service, 450 for a user
        assert not Bounds(e2e_ms=300).keeps(moments(waited))

    def test_no_good_answer_has_no_price(self) -> None:
        found = row(about(bounds=Bounds(e2e_ms=1)), [[record(usd="0.01")]])
        assert found.document()["usd_per_1k_good"] is None

    def test_an_answer_without_a_price_leaves_the_sum_open(self) -> None:
        assert spent([record(usd="1"), record()]) is None
        assert spent([record(usd="1"), failed()]) == Decimal(1)

    def test_prices_are_added_exactly(self) -> None:
        assert spent([record(usd="0.1") for _ in range(3)]) == Decimal("0.3")
