"""Loads side by side: what each index took, with the spread that it stands in. No ranks: their
recalls differ, and `equal` compares them where they don't."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox.errors import SpecError
from mox.experiment.trials import flatten
from mox.loadgen import Spread

if TYPE_CHECKING:
    import pandas as pd

    from mox.results.load.equal import EqualRecall
    from mox.results.results import Results
    from mox.results.run import TrialRun

INVALID, LITE, IN_CLIENT, REPEATS, DISTURBED, APART = (
    "INVALID", "Lite", "in client", "vectors repeat", "disturbed", "measured apart"
)  # fmt: skip
LEGEND = {
    INVALID: "the clients took more than a quarter of the machine, so that these rows measure"
    " them, and no comparison has them: use more cores, or fewer clients.",
    LITE: "Milvus Lite loops over all rows in Python at each call; its latency and throughput are"
    " its own, and no index's. `mox up milvus` starts a server.",
    IN_CLIENT: "each client is its own engine; the two can't be told apart.",
    REPEATS: "recall by id is lower than tie-aware, since equal vectors stand in for each other.",
    DISTURBED: "so much of the machine went to neither engine nor clients.",
    APART: "in another job than most of these rows, so that rounds didn't take turns with theirs:"
    " what befell the machine meanwhile is in the difference, and no rank tells them apart.",
}
ROUNDS = 5
"""Their range holds the median in 94 % of cases; that of fewer, less often."""
OTHERS = 0.1
"""Share of the machine from which on what else ran on it disturbs."""
CONDITIONS = ("clients", "selectivity", "inserts", "cold")
"""Facts of a load that have to be equal where two are ranked against each other."""


@dataclass(frozen=True)
class LoadRow:
    """One trial under its load."""

    trial: str
    label: str
    type: str
    """Kind of index, and of what its vectors are stored as where it says so."""
    build: str
    """The settings that it was built with."""
    vectors: str
    """Which chunks and vectors it holds: what is compared has the same."""
    vectors_are: str
    """These in words; empty where the sweep has no others."""
    k: int
    """Hits that are asked for, and recall is of."""
    facts: Mapping[str, Any]
    costs: Mapping[str, Any]
    apart: bool
    """Whether it was measured in another job than most rows of its table, or in no known one."""

    @property
    def recall(self) -> float | None:
        """Tie-aware, of all that was answered; None where nothing was."""
        found: float | None = self.facts["recall"]["tie_aware"]
        return found

    @property
    def condition(self) -> str:
        """The load in words, and the hits that were asked for."""
        facts = self.facts
        words = [f"{facts['clients']} client{'s' if facts['clients'] > 1 else ''}"]
        if facts["selectivity"] < 1:
            words.append(f"{100 * facts['selectivity']:g} % pass")
        if facts["inserts"]:
            words.append(f"{facts['inserts']:g} inserts/s")
        if facts["cold"]:
            words.append("cold")
        return ", ".join([*words, f"k={self.k}"])

    @property
    def compared(self) -> str:
        """What has to be equal besides the recall, in words."""
        return ", ".join(filter(None, [self.condition, self.vectors_are]))

    @property
    def marks(self) -> list[str]:
        """What its reader has to know before believing it."""
        facts = self.facts
        found = [INVALID] if facts["invalid"] else []
        if facts["lite"]:
            found.append(LITE)
        if facts["in_client"]:
            found.append(IN_CLIENT)
        if facts["errors"]:
            found.append(f"{sum(facts['errors'].values())} errors")
        if facts["short_answers"]:
            found.append(f"{facts['short_answers']} short answers")
        if facts["recall"]["differ"]:
            found.append(REPEATS)
        if (facts["others"] or 0) > OTHERS:
            found.append(f"{DISTURBED} {100 * facts['others']:.0f} %")
        wanted = 0.9 * facts["inserts"]
        if wanted and facts["inserted_per_s"] < wanted:
            found.append(f"took {facts['inserted_per_s']:.0f} inserts/s only")
        return [*found, APART] if self.apart else found

    def cells(self) -> dict[str, Any]:
        """Plain values, one a column."""
        facts, recall = self.facts, self.facts["recall"]
        found: dict[str, Any] = {"trial": self.trial, "index": self.label}
        found |= {name: facts[name] for name in CONDITIONS} | {"k": self.k}
        found |= {"recall by id": recall["by_id"], "recall tie-aware": recall["tie_aware"]}
        for name in ("qps", "p50_ms", "p95_ms", "p99_ms", "first_ms"):
            spread = facts.get(name) or {}  # only cold rows have first answers of their own
            found[name] = spread.get("median")
            found[f"{name} low"], found[f"{name} high"] = spread.get("low"), spread.get("high")
        for name in ("engine_cpu_ms", "client_cpu_ms", "memory_mb", "disk_mb"):
            found[name] = facts[name]
        found |= {"index_mb": self.costs["index_mb"], "build_s": self.costs["build_s"]}
        found |= {"engine": facts["engine"], "consistency": facts["consistency"]}
        found |= {"rounds": facts["rounds"], "answers": facts["answers"]}
        return found | {"invalid": facts["invalid"], "notes": "; ".join(self.marks)}


@dataclass(frozen=True)
class LoadTable:
    """Trials under load, by what is compared and within that by throughput."""

    rows: tuple[LoadRow, ...]
    host: Mapping[str, str]

    @property
    def notes(self) -> list[str]:
        """What holds of all of it."""
        cpu, cores = self.host["cpu"], self.host["cores"]
        found = [
            f"{cores} cores of {cpu}; medians of interleaved rounds; [low, high] is the rounds'"
            " range for QPS and a 95 % interval for latencies. Closed loop: throughput is that of"
            " so many clients, no capacity.",
            "Ranks are of those that find as much. One such as 1-3 is a tie: the difference lies"
            " inside the spread.",
        ]
        every = [mark for row in self.rows for mark in row.marks]
        for word, meaning in LEGEND.items():
            if times := sum(mark.startswith(word) for mark in every):
                found.append(f"{word} ({times} of {len(self.rows)} rows): {meaning}")
        if any(row.facts["p99_ms"] is None for row in self.rows):
            found.append("No p99 under 1,000 answers.")
        # Loads that were measured before they had a reason to give have none.
        whys = dict.fromkeys(
            (row.facts["engine"], why) for row in self.rows if (why := row.facts.get("no_disk"))
        )
        found += [f"No disk of {engine}: {why}." for engine, why in whys]
        meanings = dict.fromkeys(row.facts["cold_is"] for row in self.rows)
        found += [
            f"Cold: {one} before each round, and no query before. `first ms` is each client's first"
            " answer then; all else is of a round that warms itself."
            for one in meanings
            if one
        ]
        if (few := min(row.facts["rounds"] for row in self.rows)) < ROUNDS:
            found.append(f"{few} rounds show little of a spread: {ROUNDS} or more are usual.")
        levels = dict.fromkeys(
            f"{row.facts['engine']}: {row.facts['consistency']}" for row in self.rows
        )
        return [*found, f"Consistency: {'; '.join(levels)}."]

    def df(self) -> pd.DataFrame:
        """One row a trial, indexed by it."""
        import pandas as pd

        return pd.DataFrame([row.cells() for row in self.rows]).set_index("trial")

    def document(self) -> dict[str, Any]:
        """The JSON of `mox bench stores --json`: rows, and what holds of all of them."""
        return {
            "host": dict(self.host),
            "notes": self.notes,
            "rows": [{**row.cells(), "marks": row.marks} for row in self.rows],
            "equal_recall": self.equal_recall().document(),
        }

    def equal_recall(self, targets: Sequence[float] = (0.90, 0.95, 0.99)) -> EqualRecall:
        """Types of index compared where they find as much, never at equal settings."""
        from mox.results.load.equal import equal_recall

        return equal_recall(self, targets)

    def _repr_html_(self) -> str:
        from mox.results.load.show import drawn

        return drawn(self)

    def __repr__(self) -> str:
        from mox.results.load.show import text

        return text(self)


def load_table(results: Results) -> LoadTable:
    """See `Results.load`."""
    trials = [(trial, facts) for trial in results.finished if (facts := results.load_facts(trial))]
    if not trials:
        raise SpecError(
            "no finished trial of this run was put under load.",
            mend="add an axis `load: [{clients: [1, 4]}]`, or see `mox bench stores`.",
        )
    jobs = Counter(job for _, facts in trials if (job := facts.get("job")))
    most = max(jobs, key=lambda job: jobs[job], default="")
    rows = [
        _row(results, trial, facts, apart=len(trials) > 1 and facts.get("job") != most)
        for trial, facts in trials
    ]
    rows.sort(key=_place)
    return LoadTable(tuple(rows), trials[0][1]["host"])


def _place(row: LoadRow) -> tuple[Any, ...]:
    """Beside what it may be compared with, the fastest first."""
    alike = (*(row.facts[name] for name in CONDITIONS), row.k, row.vectors_are)
    return *alike, -row.facts["qps"]["median"]


def _row(results: Results, trial: TrialRun, facts: Mapping[str, Any], *, apart: bool) -> LoadRow:
    index = trial.config["index"]
    column = index.get("column", "")
    return LoadRow(
        trial=trial.id,
        label=_words(results, trial, ("chunk", "embed", "index", "search")),
        type=" ".join(filter(None, [index["kind"], column])),
        build=" ".join(f"{n}={v}" for n, v in index.items() if n not in ("kind", "column")),
        vectors=trial.roles["embed"].key,
        vectors_are=_words(results, trial, ("chunk", "embed")),
        k=trial.config["search"]["k"],
        facts=facts,
        costs=results.costs[trial.id],
        apart=apart,
    )


def _words(results: Results, trial: TrialRun, axes: Sequence[str]) -> str:
    """What tells a trial's choices on some axes from those of the others; an index always has its
    kind."""
    words = []
    for axis in axes:
        params = dict(flatten(trial.config.get(axis, {})))
        telling = [n for n in params if f"{axis}.{n}" in results.run.varying and n != "kind"]
        named = axis == "index" or f"{axis}.kind" in results.run.varying
        words += [str(params["kind"])] * named + [f"{name}={params[name]}" for name in telling]
    return " ".join(words)


def spread(facts: Mapping[str, Any], name: str) -> Spread:
    """A measured value with its interval; endless where there is none, or a single round, which
    shows no spread."""
    one = facts[name]
    if one and facts["rounds"] > 1:
        return Spread(**one)
    return Spread(one["median"] if one else float("inf"), 0.0, float("inf"))


def said(rank: Sequence[int]) -> str:
    """`1`, or `1-3` where the spread allows no more."""
    first, last = rank
    return str(first) if first == last else f"{first}-{last}"
