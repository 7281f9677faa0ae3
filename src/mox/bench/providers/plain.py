"""What of a file of providers holds for all of it: how much is asked, how often, and by what."""

from __future__ import annotations

from pydantic import Field

from mox.bench.providers.sections import Caches
from mox.experiment.choosing import Section


class Plain(Section):
    """What is neither a provider nor a workload nor a load."""

    name: str | None = Field(None, min_length=1)
    """The file's own where not given."""
    cache: Caches = Field(("off",), min_length=1)
    """`off`: no two prompts begin alike, so nothing comes from a provider's cache. `on`: four
    fifths of each prompt are shared; of `rag` only the task is, and a question's whole prompt
    comes again with the question. Off by default: a cache makes the first comparison of two
    providers unfair to the one that has none."""
    requests: int = Field(70, ge=1, le=100_000)
    """Of each round: three rounds of 70 are over the 200 under which no p99 is given. An open load
    lasts `requests` / rate seconds: 70 at 64 a second are a burst of one second, which says little
    of what can be kept up; raise them for that. A search (`slo`) takes more by itself: as many as
    come in six times the longest bound, and four of each caller."""
    seconds: float | None = Field(None, gt=0)
    """A round ends after so long in the provider's time, or after its requests, whichever comes
    first. The rounds of a search (`slo`) last as long as their requests take: cut short, they could
    show of no load that it keeps the bounds."""
    rounds: int = Field(3, ge=3, le=100)
    """Of each condition, in turn with all others: what a provider's day does to one, it does to
    all. Under three, drift looks like a difference."""
    warm_up: int | None = Field(None, ge=0, le=64)
    """Requests before each round that aren't counted; by default one for each caller (of an open
    load: for each request of a second), 64 at most, so that these don't pay for opening a
    connection."""
    time_scale: float = Field(1.0, gt=0, le=10)
    """How long a simulated provider's second lasts, in seconds. Real ones take what they take."""
    instrument_s: float = Field(2.0, ge=0, le=60)
    """How long the client's own error is measured against the simulator before anybody is asked;
    0: it isn't."""
    unpriced: bool = False
    """Whether models without a known price are measured all the same, without a cost."""
    timeout_s: float = Field(120.0, gt=0)
    """An answer that takes longer, or is silent for so long, is an error. In real seconds."""
    seed: int = 0
    """Of prompts, orders and arrivals."""
