"""Profiles from records: what a simulator played is found again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from mox.bench.providers.client.records import Kept, Writer
from mox.bench.providers.client.selfcheck import SelfCheck
from mox.bench.providers.record import Chunk, Load, Record
from mox.bench.providers.recorded import Fitted, observed, profiles, write
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


def test_a_request_is_under_way_until_it_is_given_up_and_not_for_ever() -> None:
    answers = [record(at, 1000 * at, [1000 * at + 100, 1000 * at + 110]) for at in range(3)]
    # One caller, and between its answers timeouts whose end nobody kept.
    lost = [
        replace(record(3 + at, 1000 * at + 500, [], error="timeout_total"), done_ns=None)
        for at in range(2)
    ]
    seen = observed([Kept(HEADER, (*answers, *lost), whole=True)])
    np.testing.assert_allclose(seen.load, [0, 0, 0])
    # Another caller's that is given up at 2500: under way when the third answer is asked for.
    slow = replace(lost[0], sent_ns=1900 * 10**6, done_ns=2500 * 10**6)
    seen = observed([Kept(HEADER, (*answers, slow), whole=True)])
    np.testing.assert_allclose(seen.load, [0, 0, 1])


def test_what_one_network_read_brought_is_one_chunk() -> None:
    seen = observed([Kept(HEADER, (record(0, 0, [100, 100, 120, 120]),), whole=True)])
    # In the provider's time; 8 tokens in 4 events, 4 tokens in a read.
    np.testing.assert_allclose(seen.gaps_s, [0.04])
    np.testing.assert_allclose(seen.gap_tokens, [4])


def test_tokens_of_reasoning_that_nobody_saw_are_in_no_gap() -> None:
    # 4 chunks, 8 tokens of output by `record`; 6 of them were thought before the first.
    hidden = record(0, 0, [100, 110, 120, 130])
    usage = replace(hidden.usage, reasoning_tokens=6)
    seen = observed([Kept(HEADER, (replace(hidden, usage=usage),), whole=True)])
    np.testing.assert_allclose(seen.gap_tokens, [0.5] * 3)
    # The first two chunks are a summary of the reasoning: each kind has its own tokens.
    told = (*(replace(one, kind="reasoning") for one in hidden.chunks[:2]), *hidden.chunks[2:])
    seen = observed([Kept(HEADER, (replace(hidden, usage=usage, chunks=told),), whole=True)])
    np.testing.assert_allclose(seen.gap_tokens, [3, 1, 1])


def enough(provider: str) -> list[Record]:
    """As many answers and gaps as a profile needs."""
    ats = [range(1000 * at + 200, 1000 * at + 320, 10) for at in range(20)]
    made = [record(at, 1000 * at, list(some)) for at, some in enumerate(ats)]
    return [replace(one, provider=provider) for one in made]


BUSY = SelfCheck(0.1, 0.2, cpu_share=0.99)


def kept_rounds(file: Path, *rounds: tuple[list[Record], SelfCheck | None]) -> Path:
    with Writer(file) as writer:
        for number, (records, check) in enumerate(rounds):
            writer.begin({**HEADER, "cell": str(number)})
            for one in records:
                writer.record(one)
            writer.end(str(number), 0, check=check, failed=None)
    return file


def test_a_provider_that_cannot_be_fitted_stops_no_other(tmp_path: Path) -> None:
    few = [replace(one, provider="few") for one in enough("few")[:1]]
    file = kept_rounds(tmp_path / "r.jsonl", (enough("good"), None), (few, None))
    found = profiles(file, ["good", "few", "dead"])
    assert list(found.profiles) == ["good"]
    assert "1 whole answers with 11 gaps are too few" in found.left_out["few"]
    assert "0 whole answers" in found.left_out["dead"]
    # It was one of three: another call may have them all, and its place is the same then.
    written = write(found, tmp_path / "p.yaml")
    assert [path.name for path in written.paths] == ["p-good.yaml"]
    assert list(written.left_out) == ["few", "dead"]


def test_rounds_in_which_the_client_measured_itself_are_not_fitted(tmp_path: Path) -> None:
    file = kept_rounds(tmp_path / "r.jsonl", (enough("a"), None), (enough("b"), BUSY))
    found = profiles(file, ["a", "b"])
    assert list(found.profiles) == ["a"]
    assert found.left_out["b"].startswith("1 of 1 rounds are INVALID. 0 whole answers")


def test_one_profile_goes_where_it_is_told_and_several_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "profile.yaml"
    assert write(Fitted({"a/b": SWIFT}, {}), file).paths == [file]
    assert read_profile(file) == SWIFT
    three = write(Fitted({"a/b": SWIFT, "c": SWIFT, "a-b": SWIFT}, {}), file).paths
    assert [path.name for path in three] == [
        "profile-a-b.yaml", "profile-c.yaml", "profile-a-b-.yaml"
    ]  # fmt: skip
