"""What a run found: read from the store when asked for, averaged only in reports."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from mox.errors import SpecError
from mox.evaluation.statistics import mean_intervals
from mox.experiment.trials import AXES, flatten
from mox.pipeline import codec
from mox.pipeline.stages import Ref
from mox.pipeline.store import Artifact, Store
from mox.registry import nearest
from mox.results.load.costs import load_costs
from mox.results.run import Run, TrialRun, approximates
from mox.types import ChunkTable, Document, Hits, Question

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

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

    Values = NDArray[np.float64]

SPLITS = ("dev", "test")
MB = 1e6
KEPT = 64
"""Artifacts kept in memory besides scores: hits of some trials that are looked at together."""


@dataclass(frozen=True)
class Interval:
    """A mean over questions and its 95 % interval by groups. `n` counts questions."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


class Results:
    """Trials of one run, compared. Everything is read from the store, nothing from MLflow.

    Args:
        run: the run's record.
        store: where its artifacts lie.
    """

    def __init__(self, run: Run, store: Store) -> None:
        self.run = run
        self.store = store

    @cached_property
    def questions_asked(self) -> tuple[Question, ...]:
        return codec.unpack_questions(self.store.read(*self.run.questions).arrays)

    @cached_property
    def documents(self) -> Mapping[str, Document]:
        """Documents by id."""
        found = codec.unpack_documents(self.store.read(*self.run.documents).arrays)
        return {document.id: document for document in found}

    @cached_property
    def finished(self) -> list[TrialRun]:
        """Trials with scores, in the order of the file."""
        return [trial for trial in self.run.trials if trial.status == "FINISHED"]

    def trial(self, name: str) -> TrialRun:
        """A trial by its id or the first letters of it.

        Raises:
            SpecError: no such trial, or several.
        """
        if name in self._by_id:
            return self._by_id[name]
        found = [trial for trial in self.run.trials if trial.id.startswith(name)]
        if len(found) == 1:
            return found[0]
        known = [trial.id for trial in self.run.trials]
        raise SpecError(
            f"{len(found) or 'no'} trials of run {self.run.id} begin with {name!r}"
            f"{nearest(name, known)}.",
            mend="name one by its id; `mox results` lists them.",
        )

    @cached_property
    def _by_id(self) -> Mapping[str, TrialRun]:
        return {trial.id: trial for trial in self.run.trials}

    def params(self, trial: TrialRun) -> dict[str, Any]:
        """A trial's configuration, flat."""
        return dict(flatten(trial.config))

    def label(self, trial: TrialRun) -> str:
        """What a trial is called where space is short: its kinds, and what tells it apart."""
        words = []
        for axis in AXES:
            if axis not in trial.config:
                continue
            params = dict(flatten(trial.config[axis]))
            extra = [
                f"{name}={value}"
                for name, value in params.items()
                if f"{axis}.{name}" in self.run.varying and name != "kind"
            ]
            if extra or "kind" in params:
                words.append(" ".join([str(params.get("kind", axis)), *extra]))
        return " · ".join(words)

    def scores(self, trial: TrialRun) -> Artifact:
        """(questions,) values by measure, NaN for unanswerable questions; `facts["short"]`."""
        ref = trial.roles["score"]
        if ref in self._scored[0]:
            return self._scored[0][ref]
        return self._artifacts(ref)

    def hits(self, trial: TrialRun) -> Hits:
        return codec.unpack_hits(self._artifacts(trial.roles["hits"]).arrays)

    def chunks(self, trial: TrialRun) -> ChunkTable:
        ref = trial.roles["chunk"]
        if ref not in self._tables:
            self._tables[ref] = codec.unpack_chunks(self.store.read(*ref).arrays)
        return self._tables[ref]

    @cached_property
    def _tables(self) -> dict[Ref, ChunkTable]:
        return {}

    @cached_property
    def _read(self) -> OrderedDict[Ref, Artifact]:
        return OrderedDict()

    def _artifacts(self, ref: Ref) -> Artifact:
        """An artifact, from memory where it was among the last that were read."""
        if ref not in self._read:
            self._read[ref] = self.store.read(*ref)
            while len(self._read) > KEPT:
                self._read.popitem(last=False)
        self._read.move_to_end(ref)
        return self._read[ref]

    @cached_property
    def _scored(self) -> tuple[Mapping[Ref, Artifact], Mapping[str, Values]]:
        """All finished trials' scores, read once: each one's, and a matrix of each measure.

        The ones' values are rows of the matrices, so that nothing is held twice.
        """
        import numpy as np

        trials = self.finished
        found: dict[Ref, Artifact] = {}
        matrices: dict[str, Values] = {}
        for at, trial in enumerate(trials):
            artifact = self.store.read(*trial.roles["score"])
            rows: dict[str, NDArray[Any]] = {}
            for measure in self.run.measures:
                values = artifact.arrays[measure]
                if measure not in matrices:
                    matrices[measure] = np.empty((len(trials), len(values)))
                matrices[measure][at] = values
                rows[measure] = matrices[measure][at]
            found[trial.roles["score"]] = Artifact(rows, artifact.facts)
        return found, {measure: matrix.T for measure, matrix in matrices.items()}

    def values(self, measure: str) -> Values:
        """(questions, finished trials) values of a measure; NaN for unanswerable questions."""
        import numpy as np

        if not self.finished:
            return np.empty((len(self.questions_asked), 0))
        return np.ascontiguousarray(self._scored[1][measure])

    def rows(self, split: str | None) -> NDArray[np.intp]:
        """Questions of a split (None: all) that retrieval measures are about."""
        import numpy as np

        return np.array(
            [
                at
                for at, question in enumerate(self.questions_asked)
                if question.answerable and split in (None, question.split)
            ],
            dtype=np.intp,
        )

    def groups(self, rows: NDArray[np.intp]) -> Sequence[str]:
        return [self.questions_asked[row].group for row in rows]

    @cached_property
    def summary(self) -> Mapping[str, Mapping[str, Mapping[str, Interval]]]:
        """trial id → split (`all`, `dev`, `test`) → measure → mean with interval."""
        found: dict[str, dict[str, dict[str, Interval]]] = {t.id: {} for t in self.finished}
        if not self.finished:
            return found
        for split in ("all", *SPLITS):
            rows = self.rows(None if split == "all" else split)
            if not len(rows):
                continue
            groups = self.groups(rows)
            for measure in self.run.measures:
                values = self.values(measure)[rows]
                low, high = mean_intervals(values, groups, seed=self.run.seed)
                means = values.mean(axis=0)
                for at, trial in enumerate(self.finished):
                    found[trial.id].setdefault(split, {})[measure] = Interval(
                        float(means[at]), float(low[at]), float(high[at]), len(rows)
                    )
        return found

    @cached_property
    def costs(self) -> Mapping[str, Mapping[str, Any]]:
        """trial id → what it costs: chunks, index_mb, build_s, unread, recall_of_exact@k; under a
        load also qps, p50_ms, p95_ms, p99_ms, memory_mb, disk_mb."""
        return {trial.id: self._costs(trial) for trial in self.finished}

    def _costs(self, trial: TrialRun) -> dict[str, Any]:
        roles = trial.roles
        facts = {role: self._facts(roles[role]) for role in roles if role not in ("score", "hits")}
        answering: list[str] = [role for role in ("build", "lexical") if role in facts]
        if "exact" in facts and "build" not in facts:
            answering = [*answering, "exact"]
        sizes: list[float | None] = [facts[role].get("index_bytes") for role in answering]
        known = [size for size in sizes if size is not None]
        build = facts.get("build", {})
        costs: dict[str, Any] = {
            "chunks": facts["chunk"]["chunks"],
            "index_mb": sum(known) / MB if len(known) == len(sizes) else None,
            "index_mb_is": build.get("bytes_are", "formula"),
            "build_s": build.get("build_s"),
            "unread": facts.get("embed", {}).get("unread", 0.0),
        }
        if "search" in roles:
            costs["short_answers"] = facts["search"]["short_answers"]
        if approximates(trial):
            agreement = self.agreement(trial)
            search = trial.config["search"]
            depth = search.get("depth", search["k"])
            costs[f"recall_of_exact@{depth}"] = float(agreement.mean())
        if "load" in facts:
            costs |= load_costs(facts["load"])
        return costs

    def load_facts(self, trial: TrialRun) -> Mapping[str, Any] | None:
        """What was measured of a finished trial under its load; None where it has none."""
        return self._facts(trial.roles["load"]) if "load" in trial.roles else None

    def agreement(self, trial: TrialRun) -> NDArray[np.float64]:
        """(questions,) share of exact search's hits that a trial's index found."""
        return self._artifacts(trial.roles["search"]).arrays["recall_of_exact"]

    @cached_property
    def agreements(self) -> Mapping[str, Agreement]:
        """trial id → how much of exact search its index finds, with bounds for all at once."""
        from mox.results.agreement import agreements

        return agreements(self)

    @cached_property
    def _facts_read(self) -> dict[Ref, Mapping[str, Any]]:
        return {}

    def _facts(self, ref: Ref) -> Mapping[str, Any]:
        if ref not in self._facts_read:
            facts = self.store.sidecar(*ref)["facts"]
            self._facts_read[ref] = cast("Mapping[str, Any]", facts)
        return self._facts_read[ref]

    def engine(self, trial: TrialRun) -> Mapping[str, str] | None:
        """Name and versions of the engine that answered a finished trial; None where none did."""
        if "build" not in trial.roles:
            return None
        prints = self.store.sidecar(*trial.roles["build"]).get("fingerprint", {})
        names = ("engine", "version", "pgvector", "wheel", "faiss")
        return {name: prints[name] for name in names if name in prints} or None

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
