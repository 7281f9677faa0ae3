"""Choosing one trial on dev, confirming it on test, and saying how sure that is.

Of the trials that surely keep the constraints (`sift`), those whose paired difference to the
best has a simultaneous lower bound above −within qualify, and of these the preferred one is
taken; without `within`, the best. The group is the unit of resampling. Where a cost is the goal,
see `cheapest`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mox.evaluation.statistics import (
    may_be_best,
    optimism,
    questions_to_separate,
    scope,
    simultaneous,
    smallest_difference,
)
from mox.experiment import Constraint
from mox.results.cheapest import cheapest
from mox.results.load.apart import apart
from mox.results.paired import reach
from mox.results.preferred import preferred
from mox.results.reason import reason
from mox.results.run import every, forgotten
from mox.results.sift import Sifted, emptied
from mox.results.versus import versus
from mox.results.worth import family

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.results.reading import Interval
    from mox.results.results import Results

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
    """The best on dev and those that can't be told apart from it: see `may_be_best`."""
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
    goal: str = ""
    """The figure that is maximised or minimised, where it is not `measure`."""
    goal_is: str = ""
    """That figure of the chosen trial, with its spread."""


def choose(results: Results) -> Choice | None:
    """The choice that the experiment asked for; None where it asked for none."""
    rule = results.run.choose
    if rule is None:
        return None
    run = results.run
    measure, within = run.decisive, rule["within"]
    if refused := _refusal(results, rule):
        return Choice(None, refused, measure, within, refused=refused)
    sifted = results.sifted
    if not sifted.kept:
        refused = emptied(results, sifted)
        return Choice(None, refused, measure, within, refused=refused)
    by = _by_measure if run.goal in run.measures else _by_cost
    found = by(results, rule, sifted)
    if found.refused or not (remark := apart(results, rule)):
        return found
    return replace(found, reason=f"{found.reason} {remark}")


def _by_measure(results: Results, rule: Mapping[str, Any], sifted: Sifted) -> Choice:
    """The best by a measure on dev, or what is surely within the margin of it."""
    trials = results.finished
    measure, within = results.run.decisive, rule["within"]
    dev = _Dev(results, measure, sifted)
    best, same = dev.best, dev.same
    alike = [at for at in dev.kept if at == best or at in same or dev.alike[at]]
    qualify = [best]
    if within is not None:
        qualify = [at for at in dev.kept if at == best or at in same or dev.lower[at] > -within]
    taken = preferred(results, qualify, rule["prefer"], dev.values.mean(axis=0), best)
    may_lose = 0.0 if taken == best or taken in same else float(max(0.0, -dev.lower[taken]))
    chosen = trials[taken]
    return Choice(
        trial=chosen.id,
        reason=reason(results, rule, taken, best, qualify, may_lose, taken in same, dev.kept),
        measure=measure,
        within=within,
        best=trials[best].id,
        candidates=tuple(trials[at].id for at in qualify),
        indistinguishable=tuple(trials[at].id for at in alike),
        same_hits=tuple(trials[at].id for at in same),
        may_lose=may_lose,
        best_dev=results.summary[trials[best].id]["dev"][measure],
        best_test=results.summary[trials[best].id].get("test", {}).get(measure),
        optimism=optimism(dev.values[:, dev.kept], dev.groups, seed=results.run.seed),
        smallest_difference=dev.smallest_difference(),
        separating=dev.separating(),
        **_confirmed(results, taken),
    )


def _by_cost(results: Results, rule: Mapping[str, Any], sifted: Sifted) -> Choice:
    """The best by a cost, as a point estimate with its spread."""
    measure = results.run.decisive
    kept = [at for at, trial in enumerate(results.finished) if trial.id in sifted.kept]
    found = cheapest(results, rule, kept)
    if found.taken is None:
        return Choice(None, found.reason, measure, refused=found.reason)
    ties = tuple(results.finished[at].id for at in found.ties)
    return Choice(
        trial=results.finished[found.taken].id,
        reason=found.reason,
        measure=measure,
        best=results.finished[found.best].id,
        candidates=ties,
        indistinguishable=ties,
        goal=results.run.goal,
        goal_is=str(found.figure),
        **_confirmed(results, found.taken),
    )


def _confirmed(results: Results, taken: int) -> dict[str, Any]:
    """What is said of a chosen trial, whatever it was chosen by."""
    summary = results.summary[results.finished[taken].id]
    return {
        "dev": summary.get("dev"),
        "test": summary.get("test"),
        "vs_baseline": _against_baseline(results, taken),
        "test_looks": _looks(results),
        "scope": _scope(results),
    }


class _Dev:
    """The trials compared on dev: the best that is kept, which may be best, and bounds to it.

    Bounds hold for the whole family at once, and are 0 for trials outside it (see `sift`).
    """

    def __init__(self, results: Results, measure: str, sifted: Sifted) -> None:
        import numpy as np

        rows = results.rows("dev")
        trials = results.finished
        kept, family_ = frozenset(sifted.kept), frozenset(sifted.family)
        self.kept = [at for at, trial in enumerate(trials) if trial.id in kept]
        self.groups = results.groups(rows)
        self.values = results.values(measure)[rows]
        means = self.values[:, self.kept].mean(axis=0)
        self.best = self.kept[int(means.argmax())]  # the first of equals: as written
        self.differences = self.values - self.values[:, [self.best]]
        self.others = [at for at in self.kept if at != self.best]
        held = [at for at, t in enumerate(trials) if t.id in family_ and at != self.best]
        self.lower = np.zeros(len(trials))
        self.alike = np.zeros(len(trials), dtype=bool)
        if self.others:
            self.alike[self.others] = may_be_best(
                self.differences[:, self.others],
                self.groups,
                seed=results.run.seed,
                bounds=reach(results, measure),
            )
        if held:
            kin = [family(trials[at]) for at in held]
            found = simultaneous(
                self.differences[:, held], self.groups, families=kin, seed=results.run.seed
            )
            self.lower[held] = found.lower
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
    sides = [rows for split in ("dev", "test") if len(rows := results.rows(split))]
    return scope(min(len(set(results.groups(rows))) for rows in sides)) if sides else ""


def _refusal(results: Results, rule: Mapping[str, Any]) -> str | None:
    """Why nothing can be chosen, or None."""
    if not results.finished:
        return "no trial finished, so nothing is chosen."
    bounded = [Constraint.parse(text).name for text in rule.get("subject_to", ())]
    named = [name for name in results.run.measures if name in (results.run.goal, *bounded)]
    if named and not len(results.rows("dev")):
        return "there are no dev questions to choose on: use a corpus with a split, or `split:`."
    for measure in named:
        short = {
            trial.id: share
            for trial in results.finished
            if (share := results.scores(trial).facts["short"].get(measure, 0.0)) > SHORT
        }
        if short:
            worst = max(short, key=lambda name: short[name])
            return (
                f"{len(short)} trials spend their hits before the budget of {measure} on more"
                f" than {100 * SHORT:.0f} % of the questions ({worst}:"
                f" {100 * short[worst]:.0f} %): raise k."
            )
    return None


def _same_hits(results: Results, at: int, best: int, differences: NDArray[np.float64]) -> bool:
    """Whether a trial returns the best's very hits on every question: the same answer."""
    a, b = results.finished[at], results.finished[best]
    if a.roles["chunk"] != b.roles["chunk"] or differences[:, at].any():
        return False
    ours, theirs = results.hits(a).ids, results.hits(b).ids
    return ours.shape == theirs.shape and bool((ours == theirs).all())


def _against_baseline(results: Results, taken: int) -> dict[str, Any] | None:
    """Paired difference to the baseline on test, or on dev where there is no test."""
    split = "test" if len(results.rows("test")) else "dev"
    found = versus(results, split, [results.finished[taken].id])
    return {**found[0].document(), "on": split} if found else None


def _looks(results: Results) -> int:
    """How many runs of this store have looked at these questions' test side, this one included.

    Those of these very questions: a run of some of them is another.
    """
    print_ = results.run.corpus["questions_fingerprint"]
    others = {
        run.id
        for run in (*every(results.store), *forgotten(results.store))
        if run.choose and run.corpus["questions_fingerprint"] == print_
    }
    return len({*others, results.run.id})
