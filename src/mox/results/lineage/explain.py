"""From a trial's numbers back to its questions, hits, artifacts, settings and versions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mox.errors import MoxError, SpecError, StoreError
from mox.results.leaderboard import marks
from mox.results.lineage.asked import Asked, asked
from mox.results.lineage.chain import Link, chain
from mox.results.lineage.checks import chain_problems, corpus_problems, mean_problems, worked_out
from mox.results.run import every
from mox.results.verdict import verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.results.reading import Interval
    from mox.results.results import Results
    from mox.results.run import TrialRun
    from mox.results.versus import Versus

    Values = NDArray[np.float64]

EXTREMES = 3
"""Worst and best questions that are named."""
SCORING = (
    "documents",
    "questions",
    "chunk",
    "tokens",
    "exact",
    "search",
    "lexical",
    "fuse",
    "score",
)
"""Stages whose bytes a score is worked out from anew."""


@dataclass(frozen=True)
class Averaged:
    """A measure's mean over the questions of a split, and over how many groups."""

    interval: Interval
    groups: int
    anew: float
    """The mean of the values worked out anew."""


@dataclass(frozen=True)
class Measured:
    """How a measure's means come about: by split, and the questions at either end."""

    measure: str
    splits: Mapping[str, Averaged]
    worst: tuple[tuple[str, float], ...]
    best: tuple[tuple[str, float], ...]
    short: float
    """Share of questions whose hits ended before the cut although more were to be had."""


@dataclass(frozen=True)
class Cost:
    """What a trial costs, and the stages that say so."""

    name: str
    value: Any
    how: str
    stages: tuple[str, ...]


@dataclass(frozen=True)
class Compared:
    """Where a trial stands in its run.

    `marks`: `chosen`, `baseline`. `versus`: against the baseline on `split`, by the measure that
    is chosen by. `verdict`: the choice in sentences, where it is the chosen one.
    """

    marks: str = ""
    versus: Versus | None = None
    split: str = ""
    verdict: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reported:
    """A run of the store that has a trial of this id; `same`: with the very same scores."""

    run: str
    name: str
    started: str
    status: str
    same: bool


@dataclass(frozen=True)
class Explained:
    """A trial, explained. Shows itself in a notebook and as text.

    `problems`: what doesn't hold, by name; empty where every value that was worked out anew is
    the stored one. `links`: pages and files elsewhere that stand on it, as far as asked.
    """

    results: Results
    trial: TrialRun
    chain: tuple[Link, ...]
    measures: tuple[Measured, ...]
    costs: tuple[Cost, ...]
    compared: Compared
    reported: tuple[Reported, ...]
    card: Path | None
    asked: Asked | None
    problems: tuple[str, ...]
    links: Mapping[str, Any]

    @property
    def holds(self) -> bool:
        return not self.problems

    @property
    def label(self) -> str:
        return self.results.label(self.trial)

    def with_links(self, **links: Any) -> Explained:
        """The same with pages and files that rooms above know of."""
        return replace(self, links={**self.links, **links})

    def document(self) -> dict[str, Any]:
        """The JSON of `mox explain --json`."""
        from mox.results.show.explain_json import document

        return document(self)

    def __repr__(self) -> str:
        from mox.results.show.explain_terminal import text

        return text(self)

    def _repr_html_(self) -> str:
        from mox.results.show.explain_html import drawn

        return drawn(self)


def explain(results: Results, trial: str, question: str | None = None) -> Explained:
    """Explain a trial of a run, and one question of it. Changes nothing in the store.

    Args:
        trial, question: ids, or the first letters of one.

    Raises:
        SpecError: no such trial or question, or several; a question of a trial without hits.
        StoreError: what the question stands on is damaged.
    """
    found = results.trial(trial)
    links = chain(results, found)
    finished = found.status == "FINISHED"
    problems = [*chain_problems(links)] if finished else []
    sound = not any(link.damage for link in links if link.ref.kind in SCORING)
    # By itself, since another trial's damage is no reason not to explain this one.
    alone = type(results)(replace(results.run, trials=(found,)), results.store)
    measures: tuple[Measured, ...] = ()
    costs: tuple[Cost, ...] = ()
    compared = Compared()
    if finished and sound:
        compared, said = _compared(results, found)
        summary = (alone if said else results).summary[found.id]
        anew, differs = worked_out(alone, found, links)
        measures = tuple(_measured(alone, found, name, summary, anew) for name in summary["all"])
        problems += [*said, *differs, *mean_problems(measures), *corpus_problems(alone)]
        costs = () if any(link.damage for link in links) else tuple(_costs(alone, found))
    one = None
    if question is not None:
        if not finished:
            raise SpecError(
                f"trial {found.id} has no hits: it is {found.status}.",
                mend="explain it without a question, or name a trial that finished.",
            )
        if not sound:
            raise StoreError(
                f"trial {found.id} cannot be explained by question: {'; '.join(problems)}.",
                mend="run its experiment again: what is damaged is redone.",
            )
        one = asked(alone, found, question, compared.marks)
        problems += one.problems
    return Explained(
        results=results,
        trial=found,
        chain=links,
        measures=measures,
        costs=costs,
        compared=compared,
        reported=tuple(_reported(results, found)),
        card=_card(results),
        asked=one,
        problems=tuple(problems),
        links={},
    )


def _measured(
    results: Results,
    trial: TrialRun,
    measure: str,
    summary: Mapping[str, Mapping[str, Interval]],
    anew: Mapping[str, Values],
) -> Measured:
    import numpy as np

    splits = {}
    for split, found in summary.items():
        rows = results.rows(None if split == "all" else split)
        groups = len(set(results.groups(rows)))
        splits[split] = Averaged(found[measure], groups, float(anew[measure][rows].mean()))
    rows = results.rows(None)
    values = results.scores(trial).arrays[measure][rows]
    order = np.argsort(values, kind="stable")
    named = [(results.questions_asked[rows[at]].id, float(values[at])) for at in order]
    short = results.scores(trial).facts.get("short", {}).get(measure, 0.0)
    return Measured(
        measure, splits, tuple(named[:EXTREMES]), tuple(named[::-1][:EXTREMES]), float(short)
    )


def _compared(results: Results, trial: TrialRun) -> tuple[Compared, list[str]]:
    """How the trial compares with the run's others; or that these can't be read."""
    try:
        return Compared(
            marks=marks(results, trial),
            versus=next((one for one in results.versus if one.trial == trial.id), None),
            split="dev" if len(results.rows("dev")) else "all",
            verdict=tuple(verdict(results)) if trial == results.chosen else (),
        ), []
    except StoreError as error:
        return Compared(), [f"what was chosen isn't known: {error.message}"]


HOW = {
    "chunks": ("rows of the chunk table", ("chunk",)),
    "index_mb": (
        "bytes of what answers, vectors included, texts not",
        ("build", "lexical", "exact"),
    ),
    "build_s": ("seconds of the build, as they were", ("build",)),
    "embed_usd": (
        "dollars to embed all chunks and questions, whichever trial paid",
        ("embed", "queries"),
    ),
    "unread": ("share of the chunks' text that the embedder doesn't read", ("embed",)),
    "short_answers": ("questions for which the index returned fewer than k hits", ("search",)),
}
"""A cost's meaning, and the roles that may say it."""


def _costs(results: Results, trial: TrialRun) -> Iterator[Cost]:
    found = dict(results.costs[trial.id])
    index_is = found.pop("index_mb_is", "")
    for name, value in found.items():
        if value is None:
            continue
        how, roles = HOW.get(name, ("mean overlap with exact search's hits", ("search",)))
        how = f"{how} ({index_is})" if name == "index_mb" else how
        refs = [trial.roles[role] for role in roles if role in trial.roles]
        yield Cost(name, value, how, tuple(f"{ref.kind}/{ref.key}" for ref in refs))


def _reported(results: Results, trial: TrialRun) -> Iterator[Reported]:
    """The store's runs that have a trial of this id, newest first."""
    runs = sorted(every(results.store), key=lambda run: run.started, reverse=True)
    for run in runs:
        for other in run.trials:
            if other.id == trial.id:
                same = other.roles.get("score") == trial.roles.get("score")
                yield Reported(run.id, run.name, run.started, other.status, same)


def _card(results: Results) -> Path | None:
    """The card that the run's corpus is named by, where it is still there."""
    from mox.corpus.card import cards

    spec = results.run.settings.get("corpus", {})
    if spec.get("kind") != "card":
        return None
    file = results.run.file
    base = Path(file).parent if file else Path.cwd()
    try:
        return next((card.path for card in cards(base) if card.name == spec["name"]), None)
    except (MoxError, OSError):
        return None  # the folder is gone; the corpus itself is in the store


def plain(interval: Interval) -> dict[str, Any]:
    """An interval as JSON, no bound where there is none."""
    return {
        name: value if not isinstance(value, float) or math.isfinite(value) else None
        for name, value in asdict(interval).items()
    }
