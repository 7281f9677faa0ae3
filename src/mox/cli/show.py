"""Results, passages and cards in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mox.cli.out import called

if TYPE_CHECKING:
    from mox.corpus.card import Listed
    from mox.results import Results
    from mox.results.questions import QuestionScores


def _console() -> Console:
    """A terminal's own width; room for a table where the output goes elsewhere."""
    console = Console()
    return console if console.is_terminal else Console(width=140)


def show_results(results: Results, *, everything: bool = False) -> None:
    """The leaderboard, the choice, and what failed."""
    from mox.results.show.terminal import SHOWN, show

    show(results, _console(), shown=len(results.finished) if everything else SHOWN)


def next_steps(results: Results, file: Path) -> None:
    """Where to look next."""
    from mox.tracking.links import next_links

    console = _console()
    run = results.run
    stages = run.stages
    console.print(
        f"\nRun {run.id}: {stages['run']} stages run, {stages['stored']} stored already, in"
        f" {run.seconds:.0f} s.",
        highlight=False,
    )
    if run.stopped:
        console.print(
            f"Stopped ({run.stopped}); what was finished is kept. Resume:  {called()} run {file}",
            style="bold",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
    lines = [
        *next_links(results),
        ("in a notebook", "jupyter lab notebooks/01_quickstart.ipynb   (with the extra `lab`)"),
        ("by question", f"{called()} results {run.id} --questions {results.ranked()[0].id}")
        if results.finished
        else ("why", f"{called()} results {run.id}"),
    ]
    if results.chosen is not None:
        lines.append(("its numbers", f"{called()} explain {results.chosen.id}"))
        lines.append(("to production", f"{called()} promote {run.id}"))
    console.print("Look next:")
    for name, line in lines:
        console.print(f"  {name:<14} {escape(line)}", soft_wrap=True, highlight=False)


def show_questions(table: QuestionScores) -> None:
    """A line per question: its scores and where its first hit lies."""
    console = _console()
    names = sorted({name for row in table.rows for name in row.scores})
    shown = Table(box=None, pad_edge=False)
    for name in ("question", "split", *names, "first hit", "text"):
        shown.add_column(name, overflow="fold" if name == "text" else "ellipsis")
    for row in table.rows:
        first = row.hits[0] if row.hits else None
        place = f"{first.document} {first.spans[0][0]}–{first.spans[-1][1]}" if first else "none"
        scores = [f"{row.scores[name]:.3f}" if name in row.scores else "–" for name in names]
        cells = [row.id, row.split or "", *scores, place, row.text]
        shown.add_row(*map(escape, cells))
    console.print(shown)


def show_passages(answer: Any) -> None:
    """Ranked passages with their sources."""
    console = Console()
    for warning in answer.warnings:
        console.print(f"warning: {escape(warning)}", style="yellow", soft_wrap=True)
    for passage in answer.passages:
        console.print(
            f"\n[bold]{passage.rank}. {escape(passage.document)}[/bold]"
            f" {passage.spans[0][0]}–{passage.spans[-1][1]}  score {passage.score:.3f}"
            f"  [dim]{escape(passage.uri)}[/dim]",
            highlight=False,
        )
        console.print(escape(passage.text.strip()), highlight=False)


def show_cards(cards: Sequence[Listed]) -> None:
    """A line per dataset card."""
    console = Console()
    if not cards:
        console.print("No dataset cards here. A card is datasets/NAME/card.yaml.")
    for card in cards:
        console.print(f"[bold]{escape(card.name)}[/bold]  {escape(card.title)}", highlight=False)
        said = card.problem or card.licence
        console.print(f"  {escape(said.strip())}", style="dim", highlight=False, soft_wrap=True)
