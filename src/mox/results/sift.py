"""Which trials keep the constraints of a choice, and why the others are out.

A trial is out unless its figure keeps the bound **surely**: with the unfavourable end of its
spread. So a latency whose interval straddles the bound is out, and is counted as such. A bound on
the agreement with exact search has to be kept under the trial's load too.

Why that leaves the statistics of choosing as sure as they are. The bounds of `within` hold for
all trials of a family at once. A family may be made smaller by a rule that is fixed before
quality is looked at: what a trial takes to build, holds in memory or answers within is measured
without a label and doesn't depend on which questions happened to be drawn, so given those figures
the trials that remain are a family like any other, and the bounds of it alone hold for it.

- The agreement with exact search sees no label either, but it sees the questions, and where an
  index misses neighbours it may miss evidence. A trial that keeps such a bound by luck of the
  questions may have kept its quality by the same luck. So trials that fall out by it stay in the
  family over which bounds are simultaneous, and are only never chosen.
- A bound on a measure sees the very labels. It is refused where a measure is maximised
  (`within` is how quality is bounded there). Where a cost is maximised nothing else is
  inferred from dev, and its lower bounds hold for all trials at once: whichever trial is taken
  for its cost, that its true mean is under the bound has a probability of 5 % at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox.evaluation.statistics import simultaneous
from mox.experiment.constraints import AGREEMENT, Constraint, number
from mox.results.worth import Worth, columns_of, family, figure, lacks, short, under_load

if TYPE_CHECKING:
    from mox.results.results import Results
    from mox.results.run import TrialRun


@dataclass(frozen=True)
class Held:
    """One trial held to one constraint. `sure`: the end of the spread that had to keep it."""

    keeps: bool
    figure: Worth | None
    sure: float | None
    why: str = ""
    """Why there is no figure."""

    def straddles(self, constraint: Constraint) -> bool:
        """Whether only the spread keeps it out."""
        return self.figure is not None and not self.keeps and constraint.keeps(self.figure.value)


@dataclass(frozen=True)
class Sifted:
    """Every finished trial held to every constraint.

    `held`: constraint → trial id → outcome. `kept`: ids of the trials that keep all, in the order
    of the file. `family`: ids of the trials over which bounds on dev are simultaneous.
    """

    constraints: tuple[Constraint, ...]
    held: Mapping[str, Mapping[str, Held]]
    kept: tuple[str, ...]
    family: tuple[str, ...]

    def out(self, trial: str) -> list[Constraint]:
        """The constraints that a trial doesn't surely keep; none for one that didn't finish."""
        return [
            one
            for one in self.constraints
            if (held := self.held[str(one)].get(trial)) is not None and not held.keeps
        ]

    def out_by(self, constraint: Constraint) -> list[str]:
        """Ids of the trials that a constraint keeps out."""
        held = self.held[str(constraint)]
        return [trial for trial, one in held.items() if not one.keeps]

    def straddling(self, constraint: Constraint) -> list[str]:
        """Those of them that only their spread keeps out."""
        held = self.held[str(constraint)]
        return [trial for trial, one in held.items() if one.straddles(constraint)]

    def nearest(self, constraint: Constraint) -> tuple[str, float] | None:
        """The trial that comes nearest to keeping it, and how far its sure end is beyond the
        bound; of those that keep all others, where there are such. None where no trial has the
        figure."""
        held = self.held[str(constraint)]
        rest = [one for one in self.constraints if one != constraint]
        known = [trial for trial, one in held.items() if one.sure is not None]
        able = [t for t in known if all(self.held[str(one)][t].keeps for one in rest)]
        distances = [(self._distance(constraint, trial), trial) for trial in able or known]
        return min(distances, key=lambda one: one[0])[::-1] if distances else None

    def _distance(self, constraint: Constraint, trial: str) -> float:
        sure = self.held[str(constraint)][trial].sure
        assert sure is not None  # noqa: S101  of those known alone
        return constraint.beyond(sure)

    def document(self) -> list[dict[str, Any]]:
        """The JSON form: by constraint, who is out, and who only by its spread."""
        found = []
        for constraint in self.constraints:
            near = self.nearest(constraint)
            found.append(
                {
                    "constraint": str(constraint),
                    "out": self.out_by(constraint),
                    "straddling": self.straddling(constraint),
                    "nearest": {"trial": near[0], "beyond": near[1]} if near else None,
                }
            )
        return found


def sift(results: Results, trials: Sequence[TrialRun]) -> Sifted:
    """Hold trials to the constraints of the run's choice."""
    rule = results.run.choose or {}
    constraints = tuple(Constraint.parse(text) for text in rule.get("subject_to", ()))
    held = {str(one): _held(results, one, trials) for one in constraints}

    def keeping(wanted: Sequence[Constraint]) -> tuple[str, ...]:
        return tuple(
            trial.id for trial in trials if all(held[str(one)][trial.id].keeps for one in wanted)
        )

    blind = [one for one in constraints if not _sees_questions(results, one)]
    return Sifted(constraints, held, keeping(constraints), keeping(blind))


def _sees_questions(results: Results, constraint: Constraint) -> bool:
    name = constraint.name
    return name in results.run.measures or name.partition("@")[0] == AGREEMENT


def _held(results: Results, constraint: Constraint, trials: Sequence[TrialRun]) -> dict[str, Held]:
    name = constraint.name
    lower = _surely(results, constraint, trials)
    found = {}
    for trial in trials:
        worth = figure(results, trial, name)
        if worth is None:
            found[trial.id] = Held(False, None, None, lacks(results, trial, name))
            continue
        sure = lower.get(trial.id, worth.low if constraint.upward else worth.high)
        if (
            name.partition("@")[0] == AGREEMENT
            and (there := under_load(results, trial)) is not None
        ):
            sure = min(sure, there)
        found[trial.id] = Held(constraint.keeps(sure), worth, sure)
    return found


def _surely(
    results: Results, constraint: Constraint, trials: Sequence[TrialRun]
) -> Mapping[str, float]:
    """One-sided lower bounds for all trials at once, of figures that are means over questions."""
    name = constraint.name
    if name.partition("@")[0] == AGREEMENT:
        return {
            trial.id: results.agreements[trial.id].lower
            for trial in trials
            if trial.id in results.agreements
        }
    if name in results.run.measures and trials:
        rows = results.rows("dev")
        values = results.values(name)[rows][:, columns_of(results, trials)]
        kin = [family(trial) for trial in trials]
        bounds = simultaneous(values - 1, results.groups(rows), families=kin, seed=results.run.seed)
        return {
            trial.id: float(bound + 1) for trial, bound in zip(trials, bounds.lower, strict=True)
        }
    return {}


def emptied(results: Results, sifted: Sifted) -> str:
    """That no trial keeps all constraints: for each, the nearest trial and how far it is."""
    said = [_near(results, sifted, constraint) for constraint in sifted.constraints]
    asked = " and ".join(f"`{constraint}`" for constraint in sifted.constraints)
    return f"no trial surely keeps {asked}. {' '.join(said)}"


def _near(results: Results, sifted: Sifted, constraint: Constraint) -> str:
    every = len(sifted.held[str(constraint)])
    keep = every - len(sifted.out_by(constraint))
    near = sifted.nearest(constraint)
    if near is None:
        whys = dict.fromkeys(one.why for one in sifted.held[str(constraint)].values())
        return f"`{constraint}`: no trial has the figure ({'; '.join(whys)})."
    trial, beyond = near
    held = sifted.held[str(constraint)][trial]
    rest = " of those that keep the rest" if keep else ""
    alone = f"{keep} of {every} keep it alone; the" if keep else "the"
    label = results.label(results.trial(trial))
    if beyond == 0 and held.keeps:
        return f"`{constraint}`: {keep} of {every} keep it, {label} among them."
    way = "under" if constraint.upward else "over"
    return (
        f"`{constraint}`: {alone} nearest{rest} is {label} ({trial}) with {held.figure},"
        f" {_far(beyond)} {way} it{_by(held, constraint)}."
    )


def _far(beyond: float) -> str:
    return short(beyond) if beyond else "just"


def _by(held: Held, constraint: Constraint) -> str:
    """Which end of a spread it is that is beyond the bound."""
    if held.figure is None or held.sure is None or not held.straddles(constraint):
        return ""
    end = "least" if constraint.upward else "most"
    return f" by what it surely is at {end}, {short(held.sure)}"


def sifting(sifted: Sifted) -> str:
    """How many trials are out, by which constraint; empty where there are no constraints."""
    if not sifted.constraints:
        return ""
    every = len(next(iter(sifted.held.values())))
    said = []
    for constraint in sifted.constraints:
        out, straddling = sifted.out_by(constraint), sifted.straddling(constraint)
        spread = f" ({len(straddling)} only by their spread)" if straddling else ""
        said.append(f"{len(out) or 'none'} out by {constraint.name} {constraint.comparison}"
                    f" {number(constraint.bound)}{spread}")  # fmt: skip
    return f"{len(sifted.kept)} of {every} trials keep the constraints: {', '.join(said)}."
