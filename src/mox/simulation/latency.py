"""When each piece of an answer is due: a first token's wait, a queue, and tokens with stalls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mox.simulation.draws import Draws
from mox.simulation.profiles import Profile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def first_s(profile: Profile, *, uncached_tokens: int, normal: float) -> float:
    """Time to the first token without network and queue: lognormal about its median.

    Args:
        normal: a draw of the standard normal; 0 gives the median.
    """
    median = profile.first_s + profile.first_per_token_s * uncached_tokens
    return median * math.exp(profile.first_sigma * normal)


def queue_s(profile: Profile, *, load: int, service_s: float, normal: float) -> float:
    """How long a request waits for a slot, with so many in flight before it.

    With every slot busy the q-th in the queue starts when q others have ended: the sum of q
    times of mean service / slots, a gamma of shape q. Its quantile is Wilson and Hilferty's, so
    that one draw serves every load and more load never means less wait at the median.

    Args:
        load: requests in flight when this one was admitted.
        service_s: how long one holds a slot, on average.
        normal: a draw of the standard normal.
    """
    ahead = load - profile.slots + 1
    if ahead <= 0:
        return 0.0
    root = 1 - 1 / (9 * ahead) + normal / (3 * math.sqrt(ahead))
    return ahead * max(root, 0.0) ** 3 * service_s / profile.slots


def slower(profile: Profile, load: int) -> float:
    """How many times as long a token takes under so many other requests; 1 on an idle provider."""
    return 1 + profile.slowdown * min(load, profile.slots) / profile.slots


def gaps_s(
    profile: Profile, sizes: Sequence[int], draws: Draws, *, slower: float = 1.0
) -> NDArray[np.float64]:
    """(chunks,) time from each chunk's predecessor to it: a gamma a token, and rare stalls.

    Args:
        sizes: (chunks,) tokens of each.
    """
    import numpy as np

    generator = draws.generator("gaps")
    shapes = profile.token_shape * np.asarray(sizes, dtype=np.float64)
    gaps = generator.standard_gamma(shapes) * (profile.token_s * slower / profile.token_shape)
    if profile.stall_share:
        late = generator.random(len(gaps)) < profile.stall_share
        drawn = 1.0 - generator.random(len(gaps))
        gaps += np.where(late, profile.stall_s * drawn ** (-1 / profile.stall_alpha), 0.0)
    return gaps


def service_s(profile: Profile, *, uncached_tokens: int, tokens: int, load: int = 0) -> float:
    """How long such an answer holds a slot, on average."""
    first = first_s(profile, uncached_tokens=uncached_tokens, normal=0.0)
    first *= math.exp(profile.first_sigma**2 / 2)
    stall = profile.stall_share * profile.stall_s * profile.stall_alpha / (profile.stall_alpha - 1)
    chunks = tokens / profile.chunk_tokens
    return first + tokens * profile.token_s * slower(profile, load) + chunks * stall
