"""From a benchmark's requests to the latency profile that a simulator can play."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from mox.bench.providers.client.records import Kept, read
from mox.bench.providers.moments import answered
from mox.bench.providers.record import Record
from mox.errors import DataError

if TYPE_CHECKING:
    from mox.simulation.fitting import Observed
    from mox.simulation.profiles import Profile


def profiles(records: Path) -> dict[str, Profile]:
    """Provider's name → the profile that its requests look like.

    Args:
        records: of a benchmark, as `mox.bench.providers.kept` keeps them.

    Raises:
        DataError: too few whole answers of one.
        StoreError: the file can't be read.
    """
    from mox.simulation.fitting import fit

    rounds: dict[str, list[Kept]] = {}
    for one in read(records):
        if one.whole and one.records:
            rounds.setdefault(one.records[0].provider, []).append(one)
    found = {}
    for name, some in rounds.items():
        try:
            found[name] = fit(observed(some), name=name)
        except DataError as error:
            raise DataError(f"{name}: {error.message}", mend=error.mend) from None
    return found


def write(found: Mapping[str, Profile], path: Path) -> list[Path]:
    """Write profiles: to the path where there is one, else a file beside it for each provider.

    Raises:
        StoreError: one can't be written.
    """
    from mox.simulation.profiles import write_profile

    written = []
    for name, profile in found.items():
        plain = "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in name)
        at = path if len(found) == 1 else path.with_name(f"{path.stem}-{plain}{path.suffix}")
        write_profile(profile, at)
        written.append(at)
    return written


def observed(rounds: Sequence[Kept]) -> Observed:
    """What was seen of one provider, in its own time."""
    import numpy as np

    from mox.simulation.fitting import Observed

    requests: list[tuple[float, float, float, float]] = []
    gaps: list[tuple[float, float, float]] = []
    for one in rounds:
        scale = float(one.header["time_scale"])
        for record, load in _loaded(one.records):
            chunks = [chunk for chunk in record.chunks if chunk.characters]
            if not chunks or record.sent_ns is None:
                continue
            usage = record.usage
            requests.append(
                (
                    (chunks[0].at_ns - record.sent_ns) / 1e9 / scale,
                    usage.input_tokens - usage.cached_tokens,
                    load,
                    usage.output_tokens,
                )
            )
            each = usage.output_tokens / sum(chunk.characters for chunk in chunks)
            for before, chunk in pairwise(chunks):
                gap_s = (chunk.at_ns - before.at_ns) / 1e9 / scale
                gaps.append((gap_s, each * chunk.characters, load))
    per_request = np.array(requests, dtype=float).reshape(-1, 4).T
    per_gap = np.array(gaps, dtype=float).reshape(-1, 3).T
    return Observed(*per_request, *per_gap)


def _loaded(records: Sequence[Record]) -> Iterator[tuple[Record, int]]:
    """Whole answers of a round, and how many others were under way when each was sent."""
    sent = sorted(record.sent_ns for record in records if record.sent_ns is not None)
    done = sorted(record.done_ns for record in records if record.done_ns is not None)
    for record in records:
        if answered(record) and record.sent_ns is not None:
            begun = bisect_left(sent, record.sent_ns)
            yield record, max(0, begun - bisect_right(done, record.sent_ns))
