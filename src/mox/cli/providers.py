"""`mox bench providers`: latency, throughput, errors and cost of language models' providers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mox.cli.out import FAILED, Json, Sets, parse_sets, refusals, say, show_json


def providers(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of providers, as YAML.")],
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say how many requests, how long, how many dollars."),
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="Measure anew; what is kept is moved aside, not lost."),
    ] = False,
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="PROFILE.yaml",
            help="Fit a latency profile to what was measured, for `mox simulate`; of several"
            " providers one each, PROFILE-NAME.yaml.",
        ),
    ] = None,
    set_: Sets = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    as_json: Json = False,
) -> None:
    """Measure providers: time to first token, between tokens, end to end; errors; dollars.

    Start with `mox bench providers experiments/providers.yaml`: two simulated providers, no key,
    no network; set OPENAI_API_KEY or ANTHROPIC_API_KEY and the same file measures real ones.
    Look first: add --dry-run.

    \b
    What stands in a file:
      providers: [{kind: simulated, model: sim-swift}, {kind: openai, model: …, optional: true}]
      workloads: [short, standard, long, {kind: rag, corpus: {kind: card, name: …}}]
      cache:     [off, on]         no two prompts begin alike, or four fifths of each are shared
      loads:
        - {kind: closed, concurrency: [1, 4, 16]}   each caller asks again when it is answered
        - {kind: poisson, rate: [2]}                requests a second, whatever the answers do
        - {kind: slo, start: 1}                     the highest rate that keeps `slo`
      slo:       {ttft_ms: 1500, e2e_ms: 20000}     for 95 % of all requests
      budget:    {usd: 1, minutes: 10}

    TTFT is from the request's bytes to the first event with text or reasoning; `answer` to the
    first text; ITL is by tokens, not by chunks. End to end is from the actual send, and from the
    intended start, which alone contains what a user waits when requests come faster than they are
    answered. [low, high] is a 95 % interval that assumes no distribution. INVALID: the client
    could not keep up, and measured itself.

    What is measured is kept as it comes: after Ctrl-C, or where the budget stopped it, the same
    call goes on. A benchmark that is kept whole is shown, not measured again; --again does.
    """
    from mox.bench.providers import ask

    with refusals(as_json=as_json):
        changes = parse_sets(set_)
        if dry_run:
            plan = ask.plan(file, set=changes)
            show_json(plan.document()) if as_json else say(plan.text())
            return
        found = ask.bench_providers(file, set=changes, again=again, quiet=quiet or as_json)
        written = found.record(record) if record is not None else []
        show_json(found.document()) if as_json else say(found.text())
        for path in written:
            sys.stderr.write(f"profile: {path}\n")
    if not found.whole:
        raise typer.Exit(FAILED)
