"""Choosing one trial on dev, confirming it on test, and saying how sure that is.

Of the trials whose paired difference to the best has a simultaneous lower bound above −within,
the preferred one is taken; without `within`, the best. The group is the unit of resampling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox.evaluation.statistics import (
    optimism,
    questions_to_separate,
    scope,
    simultaneous,
    smallest_difference,
)
from mox.results.reason import reason
from mox.results.run import every, forgotten
from mox.results.versus import versus
from mox.results.worth import family, worth

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.results.results import Interval, Results

SHORT = 0.05
"""Above this share of questions whose hits end before the context budget, choosing by it is
refused: the trial would be judged by less text than the others."""


@dataclass(frozen=True)
class Choice:
    """What was chosen, of what, and by how much it may be worse than the best on dev.

    `refused` says why nothing was chosen; then `trial` is None.
    """

    trial: str | None
    reason: str
    measure: str
    within: float | None = None
    best: str | None = None
    candidates: tuple[str, ...] = ()
    indistinguishable: tuple[str, ...] = ()
    same_hits: tuple[str, ...] = ()
    may_lose: float | None = None
    """Simultaneous upper bound (95 %) of how much worse than the best it may be, on dev."""
    dev: Mapping[str, Interval] | None = None
    test: Mapping[str, Interval] | None = None
    best_dev: Interval | None = None
    """The best-on-dev's mean on dev: the best of many looks better than it is."""
    best_test: Interval | None = None
    """The same trial's on test."""
    optimism: float | None = None
    """About how much `best_dev` exceeds that trial's true mean, by the bootstrap."""
    vs_baseline: Mapping[str, Any] | None = None
    """The chosen trial's paired difference, on test where there is one: the one test made there,
    so its p needs no correction. All trials' on dev are in `results.versus`."""
    test_looks: int = 0
    scope: str = ""
    """What under 20 groups a side allow to say; empty where there are more."""
    smallest_difference: float | None = None
    """What these dev questions find between two trials in 80 % of cases."""
    separating: int | None = None
    """About how many questions would tell the best on dev from the next that scores otherwise."""
    refused: str | None = None


def choose(results: Results) -> Choice | None:
    """The choice that the experiment asked for; None where it asked for none."""
    rule = results.run.choose
    if rule is None:
        return None
    measure = rule["maximise"]
    trials = results.finished
    refused = _refusal(results, measure)
    if refused:
        return Choice(None, refused, measure, rule["within"], refused=refused)
    dev = _Dev(results, measure)
    best, same = dev.best, dev.same
    alike = [
        at
        for at in range(len(trials))
        if at == best or at in same or dev.low[at] <= 0 <= dev.high[at]
    ]
    within = rule["within"]
    qualify = [best]
    if within is not None:
        qualify = [
            at for at in range(len(trials)) if at == best or at in same or dev.lower[at] > -within
        ]
    taken = _preferred(results, qualify, rule["prefer"], dev.values, best)
    may_lose = 0.0 if taken == best or taken in same else float(max(0.0, -dev.lower[taken]))
    chosen = trials[taken]
    summary = results.summary[chosen.id]
    return Choice(
        trial=chosen.id,
        reason=reason(results, rule, taken, best, qualify, may_lose, taken in same),
        measure=measure,
        within=within,
        best=trials[best].id,
        candidates=tuple(trials[at].id for at in qualify),
        indistinguishable=tuple(trials[at].id for at in alike),
        same_hits=tuple(trials[at].id for at in same),
        may_lose=may_lose,
        dev=summary.get("dev"),
        test=summary.get("test"),
        best_dev=results.summary[trials[best].id]["dev"][measure],
        best_test=results.summary[trials[best].id].get("test", {}).get(measure),
        optimism=optimism(dev.values, dev.groups, seed=results.run.seed),
        vs_baseline=_against_baseline(results, taken),
        test_looks=_looks(results),
        scope=_scope(results),
        smallest_difference=dev.smallest_difference(),
        separating=dev.separating(),
    )


class _Dev:
    """The trials compared on dev: the best, and bounds of the others' differences to it."""

    def __init__(self, results: Results, measure: str) -> None:
        import numpy as np

        rows = results.rows("dev")
        self.groups = results.groups(rows)
        self.values = results.values(measure)[rows]
        self.best = int(self.values.mean(axis=0).argmax())  # the first of equals: as written
        self.differences = self.values - self.values[:, [self.best]]
        trials = results.finished
        self.others = [at for at in range(len(trials)) if at != self.best]
        self.lower, self.low, self.high = np.zeros((3, len(trials)))
        if self.others:
            rest = self.differences[:, self.others]
            kin = [family(trials[at]) for at in self.others]
            found = simultaneous(rest, self.groups, families=kin, seed=results.run.seed)
            self.lower[self.others] = found.lower
            self.low[self.others], self.high[self.others] = found.low, found.high
        self.same = [
            at for at in self.others if _same_hits(results, at, self.best, self.differences)
        ]

    def smallest_difference(self) -> float | None:
        if not self.others:
            return None
        return smallest_difference(self.differences[:, self.others], self.groups)

    def separating(self) -> int | None:
        """Questions that would separate the best on dev from the next that scores otherwise."""
        others = [at for at in self.others if self.differences[:, at].any()]
        if not others:
            return None
        means = self.values.mean(axis=0)
        second = max(others, key=lambda at: (means[at], -at))
        return questions_to_separate(self.differences[:, second], self.groups)


def _scope(results: Results) -> str:
    """By the side with the fewest groups that the choice stands on."""
    sides = [results.rows(split) for split in ("dev", "test")]
    return scope(min(len(set(results.groups(rows))) for rows in sides if len(rows)))


def _refusal(results: Results, measure: str) -> str | None:
    """Why nothing can be chosen, or None."""
    if not results.finished:
        return "no trial finished, so nothing is chosen."
    if not len(results.rows("dev")):
        return "there are no dev questions to choose on: use a corpus with a split, or `split:`."
    short = {
        trial.id: share
        for trial in results.finished
        if (share := results.scores(trial).facts["short"].get(measure, 0.0)) > SHORT
    }
    if short:
        worst = max(short, key=lambda name: short[name])
        return (
            f"{len(short)} trials spend their hits before the budget of {measure} on more than"
            f" {100 * SHORT:.0f} % of the questions ({worst}: {100 * short[worst]:.0f} %): raise k."
        )
    return None


def _same_hits(results: Results, at: int, best: int, differences: NDArray[np.float64]) -> bool:
    """Whether a trial returns the best's very hits on every question: the same answer."""
    a, b = results.finished[at], results.finished[best]
    if a.roles["chunk"] != b.roles["chunk"] or differences[:, at].any():
        return False
    ours, theirs = results.hits(a).ids, results.hits(b).ids
    return ours.shape == theirs.shape and bool((ours == theirs).all())


def _preferred(
    results: Results,
    qualify: Sequence[int],
    prefer: Mapping[str, Any] | None,
    values: NDArray[np.float64],
    best: int,
) -> int:
    """The one to take: least cost, then best mean, then the order written."""
    if prefer is None:
        return best
    name = prefer["minimise"] or prefer["maximise"]
    sign = 1 if prefer["minimise"] else -1
    means = values.mean(axis=0)

    def order(at: int) -> tuple[float, float, int]:
        cost = worth(results, results.finished[at], name)
        return (float("inf") if cost is None else sign * cost, -float(means[at]), at)

    return min(qualify, key=order)


def _against_baseline(results: Results, taken: int) -> dict[str, Any] | None:
    """Paired difference to the baseline on test, or on dev where there is no test."""
    split = "test" if len(results.rows("test")) else "dev"
    found = versus(results, split, [results.finished[taken].id])
    return {**found[0].document(), "on": split} if found else None


def _looks(results: Results) -> int:
    """How many runs of this store have looked at these questions' test side, this one included."""
    print_ = results.run.corpus["questions_fingerprint"]
    others = {
        run.id
        for run in (*every(results.store), *forgotten(results.store))
        if run.choose and run.corpus["questions_fingerprint"] == print_
    }
    return len({*others, results.run.id})
