"""`mox bench growth`: how stores go on as a corpus grows, and which one a size needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mox.cli.out import FAILED, Json, Sets, parse_sets, refusals, say, say_next, show_json

if TYPE_CHECKING:
    from mox.bench.record import Growth


def growth(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An experiment's YAML.")],
    to: Annotated[int, typer.Option(help="Vectors of the largest size.", min=8_000)] = 100_000,
    sizes: Annotated[
        str | None,
        typer.Option(metavar="2000,5000,…", help="Sizes, instead of the usual ladder."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Begin nothing that takes longer; what is left out is listed.", min=0),
    ] = None,
    p95_ms: Annotated[
        float | None, typer.Option("--p95-ms", help="The latency that you can bear.", min=0)
    ] = None,
    recall: Annotated[
        float, typer.Option(help="Share of the exact neighbours that you need.", min=0, max=1)
    ] = 0.95,
    clients: Annotated[
        str | None,
        typer.Option(metavar="1,4,16", help="Clients at once; the bound is for the most of them."),
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Of each round.", min=0.1)] = None,
    rounds: Annotated[int | None, typer.Option(help="Interleaved repeats.", min=1)] = None,
    corpus: Annotated[
        list[str] | None,
        typer.Option(
            metavar="YAML",
            help="A further corpus, '{kind: folder, path: docs}', that only adds documents; paths"
            " start from FILE's folder.",
        ),
    ] = None,
    decide: Annotated[
        bool, typer.Option("--decide", help="Measure nothing: say what the stored curves say.")
    ] = False,
    rows: Annotated[
        int | None, typer.Option(help="With --decide: for so many vectors.", min=1)
    ] = None,
    set_: Sets = None,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Don't mirror to MLflow now; `mox sync` does it later."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    as_json: Json = False,
) -> None:
    """Measure an experiment's indexes at growing sizes; say where pgvector stops sufficing."""
    from mox.bench import ask
    from mox.source import parse_value

    with refusals(as_json=as_json):
        wanted = ask.Wanted(
            largest=to,
            sizes=numbers(sizes, name="--sizes"),
            minutes=minutes,
            p95_ms=p95_ms,
            recall=recall,
            clients=numbers(clients, name="--clients"),
            seconds=seconds,
            rounds=rounds,
            corpora=tuple(parse_value(one) for one in corpus or ()),
        )
        if decide:
            decision = ask.decide(file, wanted, rows=rows, set=parse_sets(set_))
            if as_json:
                show_json({"schema": 1, "decision": decision.document()})
            else:
                say(decision.text())
            return
        found = ask.growth(file, wanted, set=parse_sets(set_), offline=offline, quiet=quiet)
        if as_json:
            show_json(found.document())
        else:
            say(found.text())
            _next_steps(found)
    if not found.whole:
        raise typer.Exit(FAILED)


def _next_steps(found: Growth) -> None:
    """Where to look next."""
    from mox.pipeline.store import Store
    from mox.settings import settings
    from mox.tracking.growth import next_links

    say_next(next_links(Store(settings().root), found.content))


def numbers(text: str | None, *, name: str) -> tuple[int, ...]:
    """Whole numbers of an option, between commas; none where it wasn't given."""
    from mox.errors import SpecError

    try:
        return tuple(int(word) for word in text.split(",")) if text else ()
    except ValueError:
        raise SpecError(f"{name} {text!r} are no numbers.", mend="write 1,4,16.") from None
