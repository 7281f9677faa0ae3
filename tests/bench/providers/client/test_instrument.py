"""The client's own error, against the simulator's send times."""

from __future__ import annotations

from pathlib import Path

import pytest

from mox.bench.providers.client import Cell, Errors, SelfCheck, Setting, instrument, measure
from mox.bench.providers.client.instrument import EACH_S, paired
from mox.bench.providers.client.records import read
from mox.bench.providers.record import Chunk, Load, Record


@pytest.fixture(scope="module")
def errors() -> Errors:
    return instrument(Setting(streams=3, seconds=0.5, tokens=15))


def test_every_token_is_held_against_the_moment_it_was_sent(errors: Errors) -> None:
    # Whole streams only, each of 15 tokens; none was seen before it was sent, and the median one
    # not half a token's time after: a pairing that is off by one would be a whole one off.
    assert errors.chunks % 15 == 0
    assert errors.chunks >= 3 * 15
    assert 0 < errors.first_p50_ms < 1000 * EACH_S / 2
    assert 0 < errors.later_p50_ms < 1000 * EACH_S / 2


def test_pieces_that_hold_no_output_are_no_tokens() -> None:
    record = Record("p", "m", "w", Load("closed", 1), 0, 0, scheduled_ns=0,
                    chunks=(Chunk(2_500_000, 3), Chunk(4_000_000, 3)))  # fmt: skip
    sent = {"sent_ns": [1_000_000, 2_000_000, 3_500_000, 4_000_000],
            "holds": ["", "text", "reasoning", ""]}  # fmt: skip
    assert paired(record, sent) == [0.5, 0.5]


def test_the_instruments_error_stands_beside_each_rounds_self_check(
    errors: Errors, target: object, prompts: object, tmp_path: Path
) -> None:
    cell = Cell(target, "w", prompts.say(n=1), Load("closed", 1), None, requests=1)  # type: ignore[arg-type,attr-defined]
    (turn,) = measure([cell], out=tmp_path / "r.jsonl", rounds=1, errors=errors)
    (kept,) = read(tmp_path / "r.jsonl")
    assert turn.check == kept.check
    assert isinstance(kept.check, SelfCheck)
    assert kept.check.instrument_first_ms == errors.first_p50_ms
    assert kept.check.instrument_later_ms == errors.later_p50_ms
