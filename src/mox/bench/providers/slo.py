"""The highest load that keeps the bounds for a share of its requests: doubled, then bisected.

A load is said to keep them only where Wilson's lower bound (one-sided, 95 %) of the share reaches
what is asked for; one whose upper bound stays below it surely doesn't. What lies between is asked
again, round by round, and where the rounds run out it isn't shown, so it isn't kept. The bound is
looked at after each round: of loads that lie exactly at the limit, somewhat more than one in
twenty gets through.

A round lasts long enough for a queue to grow: of too short a burst even a rate that no provider
could go on answering is answered in time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mox.bench.providers.quantiles import Share

if TYPE_CHECKING:
    from mox.bench.providers.sections import Slo

SUSTAINED = 6
"""So many times its longest bound lasts a round by which an open load is judged. Of a queue that
serves 10 a second within 5 s, 1.9, 1.2, 1.1 and 1.0 times its rate was found in rounds of 1, 3, 6
and 10 bounds (medians of 20 searches)."""
EACH = 4
"""Requests of each caller in a round by which so many callers are judged."""
HALVINGS = 4
"""How often a first load that is too much is halved."""
GAIN = 1.05
"""A doubled load that brings no more answers a second than this times as many is saturated."""

Verdict = Literal["kept", "broken", "open"]


def longest_s(slo: Slo, output_tokens: int) -> float:
    """How long an answer may take, or its beginning where only that has a bound; where only the
    time between tokens has one, how long an answer of so many then lasts. In the provider's
    seconds."""
    longest_ms = max(slo.ttft_ms or 0.0, slo.e2e_ms or 0.0)
    return (longest_ms or (slo.itl_ms or 0.0) * output_tokens) / 1000


def verdict(share: Share, attain: float) -> Verdict:
    """Whether a load keeps its bounds, doesn't, or can't be told by so many requests."""
    if share.low >= attain:
        return "kept"
    return "broken" if share.high < attain else "open"


@dataclass(frozen=True, slots=True)
class Probe:
    """A load that was tried."""

    value: float
    share: Share
    kept: bool
    answers_per_s: float | None = None

    def document(self) -> dict[str, Any]:
        return {"value": self.value, "kept": self.kept, **{
            name: part for name, part in self.share.document().items() if name != "value"
        }, "share": self.share.document()["value"]}  # fmt: skip


@dataclass
class Search:
    """One search: `ask` for a load, `tell` what came of it, until `ask` has none.

    Args:
        start: the first load.
        most: none beyond it is tried.
        within: ends where the lowest broken load is less than so much above the highest kept one.
        whole: loads are numbers of callers.
    """

    start: float
    most: float
    within: float = 0.1
    whole: bool = False
    probes: list[Probe] = field(default_factory=list)
    ended: str | None = None
    """Why it ended; None while it goes on."""
    lost: float | None = None
    """The load at which it was given up; None where it wasn't."""

    @property
    def first(self) -> float:
        """The first load."""
        return self._rounded(self.start)

    @property
    def best(self) -> Probe | None:
        """The highest load that is kept; None where none is."""
        return max((one for one in self.probes if one.kept), key=_value, default=None)

    @property
    def broken(self) -> Probe | None:
        """The lowest load that isn't kept."""
        return min((one for one in self.probes if not one.kept), key=_value, default=None)

    def ask(self) -> float | None:
        """The next load; None where the search has ended."""
        if self.ended is not None:
            return None
        kept, broken = self.best, self.broken
        if kept is None:
            return self.first if broken is None else self._lower(broken)
        if broken is None:
            return self._higher(kept)
        return self._between(kept.value, broken.value)

    def tell(self, value: float, share: Share, *, kept: bool, answers_per_s: float | None) -> None:
        """What came of a load."""
        self.probes.append(Probe(value, share, kept, answers_per_s))

    def give_up(self, value: float, why: str) -> None:
        """End it: what came of a load isn't the provider's doing, so nothing is told by it."""
        self.ended, self.lost = f"given up at {value:g}: {why}", value

    def _lower(self, broken: Probe) -> float | None:
        value = self._rounded(broken.value / 2)
        if value < self.start / 2**HALVINGS * 0.999 or value >= broken.value:
            return self._end(f"not even {broken.value:g} keeps the bounds.")
        return value

    def _higher(self, kept: Probe) -> float | None:
        if kept.value >= self._rounded(self.most):
            return self._end(f"{self.most:g} keeps them, and more wasn't to be tried.")
        if self._saturated():
            return self._end(f"twice the load brought no more answers a second: {kept.value:g}.")
        return self._rounded(min(2 * kept.value, self.most))

    def _between(self, kept: float, broken: float) -> float | None:
        if broken < kept:
            return self._end(
                f"{kept:g} kept the bounds and {broken:g} did not: the provider isn't steady."
            )
        value = self._rounded((kept + broken) / 2)
        if broken <= kept * (1 + self.within) or value in (kept, broken):
            return self._end(f"{broken:g} doesn't keep them.")
        return value

    def _saturated(self) -> bool:
        """Whether the last doubling brought nothing: callers then only wait for each other. A
        rate that no answers keep up with doesn't keep its bounds."""
        if not self.whole:
            return False
        rising = sorted(self.probes, key=_value)
        if len(rising) < 2:
            return False
        last, before = rising[-1].answers_per_s, rising[-2].answers_per_s
        return last is not None and before is not None and last < GAIN * before

    def _rounded(self, value: float) -> float:
        return float(max(1, round(value))) if self.whole else float(f"{value:.4g}")

    def _end(self, why: str) -> float | None:
        self.ended = why
        return None

    def document(self) -> list[Mapping[str, Any]]:
        """All that was tried, in order."""
        return [one.document() for one in self.probes]


def _value(probe: Probe) -> float:
    return probe.value
