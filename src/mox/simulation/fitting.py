"""A profile from what a real provider was seen to do: `mox bench --record`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mox.errors import DataError
from mox.simulation.latency import service_s
from mox.simulation.profiles import NO_QUEUE, Profile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LEAST_REQUESTS = 20
LEAST_GAPS = 100
STALL_SIGMAS = 6.0
"""Deviations of the token times over which a gap is a stall, to begin with."""
LEAST_STALLS = 8
"""Stalls under which their distribution is the default one."""
SINGLE = 1.2
"""Mean tokens a chunk under which chunks whose tokens are estimated are of one or two."""
PAIRS = 1.01
"""… and up to which all are of one: a first chunk, which ends no gap, is shorter than others."""
LONGEST_CHUNK = 16
"""Tokens; longer chunks count as that."""


@dataclass(frozen=True)
class Observed:
    """Whole answers of one model, as plain arrays.

    Args:
        ttft_s: (requests,) from sending to the first token, reasoning included.
        uncached_tokens: (requests,) input that no cache had, by the provider's usage.
        load: (requests,) other requests of the account in flight when each was sent.
        output_tokens: (requests,) by the provider's usage.
        gaps_s: (gaps,) from each chunk to the next, of all requests together.
        gap_tokens: (gaps,) tokens of the chunk that ends the gap. Where the provider doesn't say:
            its characters × the answer's output tokens / the answer's characters; with several
            tokens to a chunk that smears their numbers, and makes `token_shape` too small.
        gap_load: (gaps,) as `load`, of the gap's request.
        network_s: a round trip to the provider, measured apart (a connection's set-up, say);
            it can't be told from the first token's time.
    """

    ttft_s: Array
    uncached_tokens: Array
    load: Array
    output_tokens: Array
    gaps_s: Array
    gap_tokens: Array
    gap_load: Array
    network_s: float = 0.0


def fit(observed: Observed, *, name: str) -> Profile:
    """The profile that a recorded run looks like.

    What a run didn't vary isn't known: with one length of prompt all of the first token's time
    is `first_s`; without requests that waited there is no queue at any load (`NO_QUEUE` slots),
    and a token goes on to slow down as it did up to `recorded_load`. The profile `fills`: what
    was recorded was a load, whose answers are as long as they may be.

    Raises:
        DataError: fewer than 20 requests or 100 gaps, or arrays of different lengths.
    """
    _check(observed)
    recorded = int(observed.load.max())
    first, per_token, sigma = _first(observed, _unloaded(observed.load))
    profile = Profile(
        name=name,
        network_s=observed.network_s,
        first_s=first,
        first_per_token_s=per_token,
        first_sigma=min(sigma, 3.0),
        token_s=1.0,  # this and what else is of tokens comes next
        fills=True,
        slots=recorded + 1,
        recorded_load=recorded,
    )
    profile = _with_tokens(profile, observed)
    for _ in range(2):  # how much load slows a token hangs on the slots, and these on that
        slots = _slots(observed, profile)
        profile = _with_tokens(profile.model_copy(update={"slots": slots}), observed)
    if profile.slots <= recorded:
        return profile
    # A limit just above what was seen would be a queue that nobody saw. Per request in flight a
    # token slows down as before.
    slowdown = profile.slowdown / profile.slots * NO_QUEUE
    return profile.model_copy(update={"slots": NO_QUEUE, "slowdown": slowdown})


def _with_tokens(profile: Profile, observed: Observed) -> Profile:
    """The profile with all that its slots say of tokens, chunks and stalls."""
    import numpy as np

    estimated = _one_or_two(observed)
    if estimated is None:
        tokens = observed.gap_tokens.clip(1e-3)
        shares = _shares(tokens)
    else:
        tokens = np.full(len(observed.gap_tokens), estimated)
        shares = (2 - estimated, estimated - 1) if estimated > PAIRS else (1.0,)
    token_s, slowdown, shape, late = _tokens(observed, tokens, profile.slots)
    if len(shares) == 2 and estimated is not None:
        # That some chunks are pairs made the gaps differ too, by no chance of a token's own.
        own = 1 / shape - shares[0] * shares[1] / estimated
        shape = min(1 / max(own, 1e-6), 1e6)
    found = {
        "token_s": token_s,
        "token_shape": shape,
        "slowdown": slowdown,
        "chunk_shares": shares,
        **_stalls(observed, tokens, late, token_s),
    }
    return profile.model_copy(update=found)


def _check(observed: Observed) -> None:
    requests, gaps = len(observed.ttft_s), len(observed.gaps_s)
    if requests < LEAST_REQUESTS or gaps < LEAST_GAPS:
        raise DataError(
            f"{requests} whole answers with {gaps} gaps are too few to fit a profile.",
            mend=f"record {LEAST_REQUESTS} answers and {LEAST_GAPS} gaps or more.",
        )
    per_request = (observed.uncached_tokens, observed.load, observed.output_tokens)
    per_gap = (observed.gap_tokens, observed.gap_load)
    if any(len(one) != requests for one in per_request) or any(len(one) != gaps for one in per_gap):
        raise DataError(
            "what was observed of requests, or of gaps, has different lengths.",
            mend="give one value for each request, and one for each gap.",
        )


def _one_or_two(observed: Observed) -> float | None:
    """Mean tokens of a chunk where they are estimated from characters and hardly more than one:
    what varies in such estimates is the length of words. None where they tell more."""
    import numpy as np

    if np.all(observed.gap_tokens == np.rint(observed.gap_tokens)):
        return None
    # Not by usage: what was thought in secret is in no chunk.
    mean = float(observed.gap_tokens.mean())
    return mean if mean < SINGLE else None


def _unloaded(load: Array) -> NDArray[np.bool_]:
    """The requests of the lower loads: at least a third of them, and `LEAST_REQUESTS`."""
    import numpy as np

    share = max(1 / 3, LEAST_REQUESTS / len(load))
    return np.asarray(load <= np.quantile(load, min(share, 1.0), method="higher"))


def _first(observed: Observed, calm: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Median of an empty prompt, seconds an input token, and deviation of the logarithm.

    Least squares of the logarithm: for each ratio of the two the best scale is a mean, so only
    the ratio is searched.
    """
    import numpy as np

    waited = np.log(np.maximum(observed.ttft_s[calm] - observed.network_s, 1e-6))
    tokens = observed.uncached_tokens[calm]

    def spread(ratio: float) -> float:
        return float(np.var(waited - np.log1p(ratio * tokens)))

    ratio = 0.0
    if np.ptp(tokens) > 0:
        grid = np.concatenate([[0.0], np.geomspace(1e-7, 1.0, 141)])
        at = int(np.argmin([spread(one) for one in grid]))
        low, high = grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]
        fine = np.linspace(low, high, 101)
        ratio = float(fine[np.argmin([spread(one) for one in fine])])
    scale = float(np.exp(np.mean(waited - np.log1p(ratio * tokens))))
    sigma = float(np.sqrt(spread(ratio) * len(waited) / max(len(waited) - 2, 1)))
    return scale, scale * ratio, sigma


def _tokens(
    observed: Observed, tokens: Array, slots: int
) -> tuple[float, float, float, NDArray[np.bool_]]:
    """Seconds a token, slowdown at full load, shape, and which gaps are stalls.

    A gap of m tokens has mean m·τ and variance m·τ²/shape, so a line through gap / m by load,
    weighted by m, gives τ, and what remains gives the shape. Stalls are put aside as they show.
    """
    import numpy as np

    share = np.minimum(observed.gap_load, slots) / slots
    late = np.zeros(len(tokens), dtype=bool)
    middle = float(np.median(observed.gaps_s / tokens))
    mean = np.full(len(tokens), middle)
    shape = 1.0
    for _ in range(8):
        limit = tokens * mean + STALL_SIGMAS * mean * np.sqrt(tokens / shape)
        limit += 3 * mean / shape  # a gamma's tail is longer than the normal's
        found = observed.gaps_s > limit
        kept = ~found
        base, slope = _line(share[kept], (observed.gaps_s / tokens)[kept], tokens[kept])
        mean = np.maximum(base + slope * share, 1e-9)
        rest = observed.gaps_s[kept] - tokens[kept] * mean[kept]
        shape = float(np.sum(tokens[kept] * mean[kept] ** 2) / max(np.sum(rest**2), 1e-18))
        shape = min(max(shape, 0.05), 1e6)
        if np.array_equal(found, late):
            break
        late = found
    return max(base, 1e-9), max(slope / max(base, 1e-9), 0.0), shape, late


def _line(x: Array, y: Array, weight: Array) -> tuple[float, float]:
    """Intercept and slope of the weighted least squares; the mean where x doesn't vary."""
    import numpy as np

    mean_x, mean_y = np.average(x, weights=weight), np.average(y, weights=weight)
    spread = np.average((x - mean_x) ** 2, weights=weight)
    if spread < 1e-12:
        return float(mean_y), 0.0
    slope = max(float(np.average((x - mean_x) * (y - mean_y), weights=weight) / spread), 0.0)
    return float(mean_y - slope * mean_x), slope


def _stalls(
    observed: Observed, tokens: Array, late: NDArray[np.bool_], token_s: float
) -> dict[str, float]:
    """Share, least and exponent of the Pareto that the stalls follow, by maximum likelihood."""
    import numpy as np

    beyond = np.sort(observed.gaps_s[late] - tokens[late] * token_s)
    share = len(beyond) / len(late)
    if len(beyond) < LEAST_STALLS:
        return {"stall_share": share, **({"stall_s": float(beyond[0])} if len(beyond) else {})}
    least = float(beyond[0])
    alpha = (len(beyond) - 2) / float(np.sum(np.log(beyond / least)))  # without its bias
    return {"stall_share": share, "stall_s": least, "stall_alpha": min(max(alpha, 1.05), 50.0)}


def _shares(tokens: Array) -> tuple[float, ...]:
    import numpy as np

    sizes = np.clip(np.rint(tokens), 1, LONGEST_CHUNK).astype(int)
    return tuple((np.bincount(sizes)[1:] / len(sizes)).tolist())


def _slots(observed: Observed, profile: Profile) -> int:
    """The number of slots under which the waiting that was seen is likeliest; one more than the
    highest load where there was none.

    For each number the first token's median under its load is predicted, and the logarithm of
    the error compared; none of them better than no queue at all by a tenth: there was none.
    """
    import numpy as np

    most = int(observed.load.max()) + 1
    seen = np.log(np.maximum(observed.ttft_s - profile.network_s, 1e-6))
    own = profile.first_s + profile.first_per_token_s * observed.uncached_tokens

    def error(slots: int) -> float:
        waits = _waits(observed, profile, slots)
        return float(np.mean(np.abs(seen - np.log(own + waits))))

    tried = np.unique(np.append(np.geomspace(1, most, 200).astype(int), most)).tolist()
    errors = {slots: error(slots) for slots in tried}
    best = min(errors, key=lambda slots: (errors[slots], -slots))
    return best if errors[best] < 0.9 * errors[most] else most


def _waits(observed: Observed, profile: Profile, slots: int) -> Array:
    """(requests,) the median of `latency.queue_s` with so many slots, of all requests at once."""
    import numpy as np

    tried = profile.model_copy(update={"slots": slots})
    idle = service_s(tried, uncached_tokens=0, tokens=0)
    per_input = service_s(tried, uncached_tokens=1, tokens=0) - idle
    per_output = service_s(tried, uncached_tokens=0, tokens=1) - idle
    slowed = 1 + tried.slowdown * np.minimum(observed.load, slots) / slots
    slower_by = observed.output_tokens * tried.token_s * (slowed - 1)
    service = (
        idle
        + per_input * observed.uncached_tokens
        + per_output * observed.output_tokens
        + slower_by
    )
    ahead = np.maximum(observed.load - slots + 1, 0)
    root = 1 - 1 / (9 * np.maximum(ahead, 1))
    return np.asarray(ahead * root**3 * service / slots)
