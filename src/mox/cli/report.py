"""`mox report`: a run as one file that a lead reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mox.cli.out import Json, refusals, say, show_json

FileOrRun = Annotated[
    str, typer.Argument(metavar="FILE|RUN", help="An experiment's YAML, or a run's id.")
]


def report(
    run_: FileOrRun,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The .html file to write; report-RUN.html else."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a run's report as one HTML file: what to take, how sure that is, what it costs.

    A run that is still going on, or was stopped, is reported as far as it is stored, and says so.
    """
    from mox import api
    from mox.secrets import scrub

    with refusals(as_json=as_json):
        results = api.load(run_)
        made = results.report()
        file = made.save(out or Path(f"report-{results.run.id}.html"))
        if as_json:
            content = made.mapped(scrub).document()
            show_json({"schema": 1, "file": str(file), "run_id": results.run.id, **content})
        else:
            say(repr(made.mapped(scrub)))
            say(f"\n{file} ({file.stat().st_size / 1e6:.1f} MB)")
