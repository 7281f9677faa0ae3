"""Profiles from records: what a simulator played is found again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mox.bench.providers.client.records import Kept
from mox.bench.providers.record import Chunk, Load, Record
from mox.bench.providers.recorded import observed, profiles, write
from mox.errors import DataError
from mox.simulation.profiles import SWIFT, read_profile
from mox.types.providers import Usage

HEADER = {"cell": "c", "round": 0, "time_scale": 0.5}


def record(number: int, sent: int, ats: list[int], **rest: object) -> Record:
    """A request; moments in ms, four characters in each chunk."""
    chunks = tuple(Chunk(at * 10**6, 4) for at in ats)
    usage = Usage(input_tokens=100, cached_tokens=40, output_tokens=2 * len(ats))
    return Record(
        "p", "m", "w", Load("closed", 1), 0, number, sent * 10**6, sent_ns=sent * 10**6,
        chunks=chunks, done_ns=(ats[-1] if ats else sent) * 10**6, usage=usage, **rest,  # type: ignore[arg-type]
    )  # fmt: skip


def test_moments_load_and_tokens_by_hand() -> None:
    first, second = record(0, 0, [100, 110, 130]), record(1, 50, [150, 160])
    lost = record(2, 60, [], error="server")  # under way for nobody: it failed at once
    seen = observed([Kept(HEADER, (first, second, lost), whole=True)])
    # In the provider's time all is twice as long.
    np.testing.assert_allclose(seen.ttft_s, [0.2, 0.2])
    np.testing.assert_allclose(seen.uncached_tokens, [60, 60])
    np.testing.assert_allclose(seen.load, [0, 1])
    np.testing.assert_allclose(seen.output_tokens, [6, 4])
    np.testing.assert_allclose(seen.gaps_s, [0.02, 0.04, 0.02])
    np.testing.assert_allclose(seen.gap_tokens, [2, 2, 2])
    np.testing.assert_allclose(seen.gap_load, [0, 0, 1])


def test_too_few_answers_are_refused_by_name(tmp_path: Path) -> None:
    from mox.bench.providers.client.records import Writer

    file = tmp_path / "records.jsonl"
    with Writer(file) as writer:
        writer.begin(HEADER)
        writer.record(record(0, 0, [100, 110]))
        writer.end("c", 0, check=None, failed=None)
    with pytest.raises(DataError, match="p: 1 whole answers"):
        profiles(file)


def test_one_profile_goes_where_it_is_told_and_several_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "profile.yaml"
    assert write({"a/b": SWIFT}, file) == [file]
    assert read_profile(file) == SWIFT
    both = write({"a/b": SWIFT, "c": SWIFT}, file)
    assert [path.name for path in both] == ["profile-a-b.yaml", "profile-c.yaml"]
