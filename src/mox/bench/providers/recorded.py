"""From a benchmark's requests to the latency profile that a simulator can play."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mox.bench.providers.client.records import Kept, read
from mox.bench.providers.moments import answered, reads, tokens_each
from mox.bench.providers.record import Record
from mox.bench.providers.trust import doubted
from mox.errors import DataError

if TYPE_CHECKING:
    from mox.simulation.fitting import Observed
    from mox.simulation.profiles import Profile


class Fitted(NamedTuple):
    """What came of fitting a profile to each provider."""

    profiles: dict[str, Profile]
    """By the provider's name."""
    left_out: dict[str, str]
    """Provider's name → why it has none."""


class Written(NamedTuple):
    """Where profiles were written."""

    paths: list[Path]
    left_out: Mapping[str, str]
    """Provider's name → why it has none."""


def profiles(records: Path, providers: Iterable[str]) -> Fitted:
    """The profiles that the requests of each provider look like.

    Rounds in which the client measured itself aren't fitted.

    Args:
        records: of a benchmark, as `mox.bench.providers.kept` keeps them.
        providers: their names, each once.

    Raises:
        StoreError: the file can't be read.
    """
    from mox.simulation.fitting import fit

    rounds: dict[str, list[Kept]] = {name: [] for name in providers}
    for one in read(records):
        if one.whole and one.failed is None and one.records:
            rounds.setdefault(one.records[0].provider, []).append(one)
    found = Fitted({}, {})
    for name, every in rounds.items():
        some = [one for one in every if doubted(one.check, one.records) is None]
        try:
            found.profiles[name] = fit(observed(some), name=name)
        except DataError as error:
            doubts = len(every) - len(some)
            said = f"{doubts} of {len(every)} rounds are INVALID. " if doubts else ""
            found.left_out[name] = f"{said}{error.message} {error.mend[:1].upper()}{error.mend[1:]}"
    return found


def write(found: Fitted, path: Path) -> Written:
    """Write profiles: to the path where there was one provider, else a file beside it for each.

    Raises:
        StoreError: one can't be written.
    """
    from mox.simulation.profiles import write_profile

    alone = len(found.profiles) + len(found.left_out) == 1
    written: list[Path] = []
    for name, profile in found.profiles.items():
        plain = "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in name)
        at = path if alone else path.with_name(f"{path.stem}-{plain}{path.suffix}")
        while at in written:  # a/b and a-b
            at = at.with_name(f"{at.stem}-{path.suffix}")
        write_profile(profile, at)
        written.append(at)
    return Written(written, found.left_out)


def observed(rounds: Sequence[Kept]) -> Observed:
    """What was seen of one provider, in its own time."""
    import numpy as np

    from mox.simulation.fitting import Observed

    requests: list[tuple[float, float, float, float]] = []
    gaps: list[tuple[float, float, float]] = []
    for one in rounds:
        scale = float(one.header["time_scale"])
        for record, load in _loaded(one.records):
            chunks = reads(record.chunks)
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
            each = tokens_each(usage, chunks)
            for before, chunk in pairwise(chunks):
                gap_s = (chunk.at_ns - before.at_ns) / 1e9 / scale
                gaps.append((gap_s, each[chunk.kind] * chunk.characters, load))
    per_request = np.array(requests, dtype=float).reshape(-1, 4).T
    per_gap = np.array(gaps, dtype=float).reshape(-1, 3).T
    return Observed(*per_request, *per_gap)


def _loaded(records: Sequence[Record]) -> Iterator[tuple[Record, int]]:
    """Whole answers of a round, and how many others were under way when each was sent.

    One whose end nobody saw isn't counted: it would be under way for ever.
    """
    ended = [record for record in records if record.done_ns is not None]
    sent = sorted(record.sent_ns for record in ended if record.sent_ns is not None)
    done = sorted(record.done_ns for record in ended if record.done_ns is not None)
    for record in records:
        if answered(record) and record.sent_ns is not None:
            begun = bisect_left(sent, record.sent_ns)
            yield record, max(0, begun - bisect_right(done, record.sent_ns))
