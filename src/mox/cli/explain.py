"""`mox explain`: from a number in a report back to what made it."""

from __future__ import annotations

from typing import Annotated

import typer

from mox.cli.out import FAILED, Json, refusals, show_json


def explain(
    trial: Annotated[
        str, typer.Argument(metavar="TRIAL", help="A trial's id, or the first letters of it.")
    ],
    question: Annotated[
        str | None,
        typer.Option("--question", "-q", metavar="Q", help="One question, by its id."),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--run", metavar="RUN|FILE", help="Look in this run; in all, the newest first, else."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Follow a trial's numbers back to its questions, hits, artifacts, settings and versions.

    Every value is worked out anew; the exit status is 1 where one isn't what is stored.
    """
    from mox import api

    with refusals(as_json=as_json):
        found = api.explain(trial, question, run=run)
        if as_json:
            show_json(found.document())
        else:
            from rich.console import Console

            from mox.results.show.explain_terminal import WIDTH, show

            console = Console()
            show(found, console if console.is_terminal else Console(width=WIDTH))
    if not found.holds:
        raise typer.Exit(FAILED)
