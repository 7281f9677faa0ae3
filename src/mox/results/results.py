"""The results of a run as a user has them: ranked, chosen, compared and drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from mox.errors import SpecError
from mox.results.reading import Reading
from mox.results.run import TrialRun

if TYPE_CHECKING:
    import pandas as pd

    from mox.results.agreement import Agreement
    from mox.results.choose import Choice
    from mox.results.compare.diff import Diff
    from mox.results.compare.kinds import ByKind
    from mox.results.compare.why import Why
    from mox.results.frontier import Frontier
    from mox.results.lineage.explain import Explained
    from mox.results.lineage.inspection import Inspection
    from mox.results.load.table import LoadTable
    from mox.results.questions import QuestionScores
    from mox.results.report.content import Report
    from mox.results.show.figures import Figure
    from mox.results.sift import Sifted
    from mox.results.versus import Versus


class Results(Reading):
    """Trials of one run, compared. Everything is read from the store, nothing from MLflow.

    Args:
        run: the run's record.
        store: where its artifacts lie.
    """

    @cached_property
    def agreements(self) -> Mapping[str, Agreement]:
        """trial id → how much of exact search its index finds, with bounds for all at once."""
        from mox.results.agreement import agreements

        return agreements(self)

    @cached_property
    def choice(self) -> Choice | None:
        """The chosen trial and why; None without `choose`. Nothing is chosen of a run that is
        still going on: the next score might change it."""
        from mox.results.choose import Choice, choose
        from mox.results.going import GOING

        rule, run = self.run.choose, self.run
        if rule and run.stopped == GOING:
            said = (
                f"run {run.id} is still going on, {len(self.finished)} of {len(run.trials)} trials"
            )
            refused = f"{said} are scored."
            return Choice(None, refused, run.decisive, rule["within"], refused=refused)
        return choose(self)

    @cached_property
    def sifted(self) -> Sifted:
        """Every finished trial held to the constraints of the choice; all kept without any."""
        from mox.results.sift import sift

        return sift(self, self.finished)

    @cached_property
    def versus(self) -> list[Versus]:
        """Finished trials against the baseline on dev (all questions where there is none), p
        corrected for being so many; the baseline left out."""
        from mox.results.versus import versus

        return versus(self, "dev" if len(self.rows("dev")) else None)

    @property
    def chosen(self) -> TrialRun | None:
        """The chosen trial."""
        return self.trial(self.choice.trial) if self.choice and self.choice.trial else None

    def ranked(self) -> list[TrialRun]:
        """Finished trials, best first by the measure that is chosen by, else by the first."""
        choose = self.run.choose
        measure = self.run.decisive
        split = "dev" if choose and len(self.rows("dev")) else "all"
        return sorted(self.finished, key=lambda trial: -self.summary[trial.id][split][measure].mean)

    @property
    def best(self) -> TrialRun:
        """The first of the ranking.

        Raises:
            SpecError: no trial finished.
        """
        if not self.finished:
            raise SpecError("no trial finished.", mend="mend what failed, and run again.")
        return self.ranked()[0]

    def leaderboard(self, split: str | None = None) -> pd.DataFrame:
        """Finished trials, best first: what varies, means with intervals, costs, and the choice.

        Args:
            split: `dev` or `test`; all questions where None.
        """
        from mox.results.leaderboard import frame

        return frame(self, split)

    def questions(self, trial: str) -> QuestionScores:
        """A trial's score and hits for every question."""
        from mox.results.questions import question_scores

        return question_scores(self, self.trial(trial))

    def inspect(self, question: str, *trials: str) -> Inspection:
        """One question: its evidence and the trials' hits, marked in the source documents.

        Args:
            trials: ids; the chosen one and the baseline where none is given.
        """
        from mox.results.lineage.inspection import inspection

        return inspection(self, question, trials)

    def explain(self, trial: str, question: str | None = None) -> Explained:
        """A trial's numbers followed back to its artifacts, settings and versions; with a
        question, to its hits and the arithmetic of its scores."""
        from mox.results.lineage.explain import explain

        return explain(self, trial, question)

    def diff(self, a: str, b: str, measure: str | None = None) -> Diff:
        """Two trials on the same questions: settings that differ, questions won and lost."""
        from mox.results.compare.diff import diff

        return diff(self, self.trial(a), self.trial(b), measure)

    def by_kind(self, measure: str | None = None, trial: str | None = None) -> ByKind:
        """A trial by kind of question, beside the baseline; the chosen or best one where None.

        On test where a choice was made on dev, so that the choice isn't flattered.
        """
        from mox.results.compare.kinds import by_kind

        taken = self.trial(trial) if trial else self.chosen or self.best
        return by_kind(self, taken, measure)

    def why(self, axis: str | None = None, measure: str | None = None) -> Why:
        """What a setting (`chunk.size`) or an axis (`chunk`) does to a measure: marginal means,
        matched differences and the variance it explains; all that vary, ranked, where None."""
        from mox.results.compare.why import why

        return why(self, axis, measure)

    def load(self) -> LoadTable:
        """Trials under load: latency, throughput, recall, with the ranks that the spread allows.

        Raises:
            SpecError: no finished trial was put under load.
        """
        from mox.results.load.table import load_table

        return load_table(self)

    @cached_property
    def _frontier(self) -> Frontier:
        from mox.results.frontier import frontier

        return frontier(self)

    def frontier(self, by: Sequence[str] | None = None) -> Frontier:
        """Trials that no other is as good as in all and better than in one, spread considered.

        Args:
            by: figures such as `recall@5`, `p95_ms`, `index_mb`; or `quality`, `latency`,
                `memory`, `build`, `cost`. Those that trials have where None.

        Raises:
            SpecError: no trial finished, or none has such a figure.
        """
        from mox.results.frontier import frontier

        return self._frontier if by is None else frontier(self, by)

    def pareto(self, quality: str | None = None, cost: str = "index_mb") -> Figure:
        """Quality against a cost, the undominated trials marked: a figure that shows anywhere."""
        from mox.results.show.charts import pareto

        return pareto(self, quality, cost)

    def recall_vs_throughput(self) -> Figure:
        """Throughput against recall, a line per index type along its frontier, as everybody
        reads it from ann-benchmarks; settings show on hover.

        Raises:
            SpecError: no finished trial was put under load.
        """
        from mox.results.show.curves import against_recall

        return against_recall(self, "qps")

    def latency_vs_recall(self, cost: str = "p95_ms") -> Figure:
        """A latency with its spread against recall, a line per index type.

        Raises:
            SpecError: no finished trial was put under load.
        """
        from mox.results.show.curves import against_recall

        return against_recall(self, cost)

    def memory_vs_recall(self, cost: str | None = None) -> Figure:
        """Memory against recall, a line per index type.

        Args:
            cost: what a load test measured where there was one, else `index_mb`, where None.

        Raises:
            SpecError: no finished trial has it.
        """
        from mox.results.show.curves import against_recall, memory

        return against_recall(self, cost or memory(self))

    def report(self) -> Report:
        """What a lead reads, the recommendation first; `.save("report.html")` makes it one file."""
        from mox.results.report.content import report

        return report(self)

    def __repr__(self) -> str:
        from mox.results.show.terminal import text

        return text(self)

    def _repr_html_(self) -> str:
        from mox.results.show.card import card

        return card(self)
