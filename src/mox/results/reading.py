"""What a run found, read from the store when asked for, and averaged."""

from __future__ import annotations

import math
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
from mox.results.run import Run, TrialRun, approximates, simulated
from mox.types import ChunkTable, Document, Hits, Question

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
        if math.isnan(self.low):
            return f"{self.mean:.3f} (of one question, without an interval)"
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


class Reading:
    """What the artifacts of one run's trials say: hits, scores, means, costs.

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
        return dict(self._flattened(trial))

    def _flattened(self, trial: TrialRun) -> Mapping[str, Any]:
        if trial.id not in self._flat:
            self._flat[trial.id] = dict(flatten(trial.config))
        return self._flat[trial.id]

    @cached_property
    def _flat(self) -> dict[str, dict[str, Any]]:
        return {}

    def label(self, trial: TrialRun) -> str:
        """What a trial is called where space is short: its kinds, and what tells it apart."""
        words = []
        params = self._flattened(trial)
        for axis in AXES:
            if axis not in trial.config:
                continue
            kind = f"{axis}.kind"
            extra = [
                f"{name[len(axis) + 1 :]}={value}"
                for name, value in params.items()
                if name in self._varying and name != kind and name.startswith(f"{axis}.")
            ]
            if extra or kind in params:
                words.append(" ".join([str(params.get(kind, axis)), *extra]))
        return " · ".join(words)

    @cached_property
    def _varying(self) -> frozenset[str]:
        return frozenset(self.run.varying)

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
        load also qps, p50_ms, p95_ms, p99_ms, memory_mb, disk_mb; in a run of which some embedder
        is paid also embed_usd: what all of its chunks and questions cost to embed, whichever
        trial of whichever run paid for them."""
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
        if self.paid:
            costs["embed_usd"] = self._embed_usd(trial)
        return costs

    @cached_property
    def simulated(self) -> bool:
        """Whether some trial's vectors, and what they cost, are a simulator's."""
        return any(map(simulated, self.run.trials))

    @cached_property
    def under_load(self) -> bool:
        """Whether some finished trial was put under load."""
        return any("load" in trial.roles for trial in self.finished)

    @cached_property
    def paid(self) -> bool:
        """Whether some trial's embedder costs money."""
        return any(
            "usd" in self._facts(trial.roles["embed"])
            for trial in self.finished
            if "embed" in trial.roles
        )

    def _embed_usd(self, trial: TrialRun) -> float:
        """Dollars of a trial's chunks and questions; 0 where its embedder is free."""
        refs = [trial.roles[role] for role in ("embed", "queries") if role in trial.roles]
        return float(sum(self._facts(ref).get("usd", 0.0) for ref in refs))

    def load_facts(self, trial: TrialRun) -> Mapping[str, Any] | None:
        """What was measured of a finished trial under its load; None where it has none."""
        return self._facts(trial.roles["load"]) if "load" in trial.roles else None

    def agreement(self, trial: TrialRun) -> NDArray[np.float64]:
        """(questions,) share of exact search's hits that a trial's index found."""
        return self._artifacts(trial.roles["search"]).arrays["recall_of_exact"]

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
