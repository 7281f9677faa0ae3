"""A benchmark as rows of requests and as a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from mox.bench.providers.client.records import Writer
from mox.bench.providers.record import Chunk, Load, Record
from mox.bench.providers.table import request_rows
from mox.types.providers import Usage

SECOND = 10**9


def request(load: Load, round_: int, scheduled_s: float) -> Record:
    """Sent when it was meant to be; an answer of two chunks after 50 and 60 ms."""
    sent = round(scheduled_s * SECOND)
    chunks = tuple(Chunk(sent + ms * 10**6, 4) for ms in (50, 60))
    return Record("p", "m", "w", load, round_, 0, sent, sent_ns=sent, chunks=chunks,
                  done_ns=chunks[-1].at_ns, usage=Usage(9, output_tokens=2))  # fmt: skip


def test_requests_lie_where_they_were_in_time_and_under_the_loads_of_the_file(
    tmp_path: Path,
) -> None:
    # Two rounds in one second, and one after a restart, whose clock begins again at 0. Each
    # began with its header, and asked when its warm-up was over: 0.2, 0.1 and 0.3 s later.
    open_, closed = Load("poisson", 40), Load("closed", 4)
    rounds = [
        ("2026-11-26T12:00:00.100+00:00", 100.0, request(open_, 0, 100.2)),
        ("2026-11-26T12:00:00.600+00:00", 100.5, request(closed, 0, 100.6)),
        ("2026-11-26T12:00:30.100+00:00", 0.0, request(open_, 1, 0.3)),
    ]
    file = tmp_path / "records.jsonl"
    with Writer(file) as writer:
        for number, (at, seconds, record) in enumerate(rounds):
            writer.begin({"cell": str(number), "round": 0, "time_scale": 0.05, "at": at,
                          "at_ns": round(seconds * SECOND)})  # fmt: skip
            writer.record(record)
            writer.end(str(number), 0, check=None, failed=None)
    found = request_rows(file)
    assert [one["at_s"] for one in found] == pytest.approx([0, 0.4, 30.1])
    # The client was told 40 a second at a scale of 0.05: 2 a second of the provider's.
    assert [one["load"] for one in found] == ["poisson 2", "closed 4", "poisson 2"]
    assert [one["round"] for one in found] == [1, 1, 2]
    assert [one["ttft_ms"] for one in found] == pytest.approx([1000] * 3)  # 50 ms / 0.05
