"""Results as text: the leaderboard, the choice in one sentence, what failed."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from mox.results.compare.kinds import shown_kinds
from mox.results.leaderboard import marks, speed, speeds
from mox.results.others import also
from mox.results.paired import bounds, by_importance, ranked_on
from mox.results.show import grid
from mox.results.show.grid import Column, Row
from mox.results.verdict import failures, unfinished, verdict

if TYPE_CHECKING:
    from rich.console import Console

    from mox.results.results import Results
    from mox.results.run import TrialRun

SHOWN = 15
"""Trials shown before the rest is only counted."""


def text(results: Results, width: int = 140) -> str:
    """The results as plain text."""
    from rich.console import Console

    buffer = io.StringIO()
    # In a notebook rich would display instead of writing to the file that it is given.
    console = Console(file=buffer, width=width, color_system=None, force_jupyter=False)
    show(results, console)
    return buffer.getvalue().rstrip()


def show(results: Results, console: Console, *, shown: int = SHOWN) -> None:
    """Print the leaderboard, the choice, and what failed."""
    run = results.run
    split = ranked_on(results)
    over = f"{len(results.rows(None if split == 'all' else split))} questions"
    of = f"{len(results.finished)} of {len(run.trials)} trials"
    # Not the table's title, which is folded to the table's own width.
    _say(console, f"{run.name}: {of} · {split}, {over}", "bold")
    best = results.ranked()[:shown]
    rows = [Row(_cells(results, trial, split), _style(results, trial)) for trial in best]
    grid.show(console, _columns(results), rows)
    rest = len(results.finished) - shown
    if rest > 0:
        console.print(f"… and {rest} more; `mox results {run.id} --all` shows them.", style="dim")
    _show_failures(results, console)
    for note in run.notes:
        _say(console, f"note: {note}", "dim")
    said = [*verdict(results), *filter(None, [also(results)])]
    if said:
        console.print()
    for at, line in enumerate(said):
        _say(console, line, "bold" if at == 0 else "")
    if results.finished:
        _say(console, f"\n{results.frontier().said()}")
    if kinds := shown_kinds(results):
        _say(console, f"\n{kinds!r}")


def _say(console: Console, line: str, style: str = "") -> None:
    """Print a line to the letter: an error, a note or a name may hold what rich calls markup."""
    from rich.text import Text

    console.print(Text(line, style), soft_wrap=not console.is_terminal, highlight=False)


def _columns(results: Results) -> list[Column]:
    """What is left out first in a narrow terminal: the minor measures, then what costs less."""
    first, *others = by_importance(results)
    return [
        Column("trial", style="dim", words=True),
        Column("configuration", words=True, folds=True),
        Column(f"{first} ▾"),
        *(Column(measure, style="dim", minor=5) for measure in others),
        Column("chunks", minor=3),
        Column("MB", minor=2),
        Column("of exact", minor=4),
        *(Column(name, minor=1) for name in speeds(results).values()),
        Column("", words=True, folds=True),
    ]


def _cells(results: Results, trial: TrialRun, split: str) -> list[str]:
    costs = results.costs[trial.id]
    agreement = next((v for name, v in costs.items() if name.startswith("recall_of_exact")), None)
    size = costs["index_mb"]
    first, *rest = (results.summary[trial.id][split][name] for name in by_importance(results))
    return [
        trial.id,
        results.label(trial),
        f"{first.mean:.3f}{bounds(first.low, first.high, form='.2f')}",
        *(f"{interval.mean:.3f}" for interval in rest),
        f"{costs['chunks']:,}",
        "?" if size is None else f"{size:.2f}",
        "" if agreement is None else f"{agreement:.3f}",
        *(speed(results, trial, name) for name in speeds(results)),
        marks(results, trial),
    ]


def _style(results: Results, trial: TrialRun) -> str:
    chosen = results.choice and results.choice.trial == trial.id
    return "bold green" if chosen else ""


def _show_failures(results: Results, console: Console) -> None:
    for message, names in failures(results).items():
        some = f"{', '.join(names[:3])}{', …' if len(names) > 3 else ''}"
        _say(console, f"FAILED {len(names)} ({some}): {message}", "red")
    if rest := unfinished(results):
        _say(console, f"SKIPPED: {rest}")
