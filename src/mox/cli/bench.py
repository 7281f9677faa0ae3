"""`mox bench`: what is measured rather than scored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mox.cli.growth import growth
from mox.cli.out import FAILED, Json, Sets, parse_sets, refusals, say, show_json
from mox.cli.providers import providers

app = typer.Typer(
    name="bench",
    help="Measure stores and providers under load.",
    no_args_is_help=True,
    add_completion=False,
)

app.command()(growth)
app.command()(providers)


@app.command()
def stores(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An experiment's YAML.")],
    clients: Annotated[
        str | None,
        typer.Option(metavar="1,4,16", help="The ladder of client processes."),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Of each round; 5 where neither says.")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(help="Interleaved repeats; 5 where neither says.")
    ] = None,
    set_: Sets = None,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Don't mirror to MLflow now; `mox sync` does it later."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    as_json: Json = False,
) -> None:
    """Put an experiment's indexes under load, and compare them at equal recall.

    The loads are those of the file's axis `load`; without one, the ladder 1, 4, 16 clients. What
    is given here takes their place.
    """
    from mox import api

    with refusals(as_json=as_json):
        found = api.bench_stores(
            file,
            clients=_numbers(clients),
            seconds=seconds,
            rounds=rounds,
            set=parse_sets(set_),
            offline=offline,
            quiet=quiet or as_json,
        )
        if as_json:
            show_json(found.document())
        else:
            say(repr(found))
    if found.failed:
        raise typer.Exit(FAILED)


def _numbers(text: str | None) -> list[int] | None:
    from mox.errors import SpecError

    if text is None:
        return None
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise SpecError(f"--clients {text!r} are no numbers.", mend="write 1,4,16.") from None
