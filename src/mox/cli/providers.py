"""`mox bench providers`: latency, throughput, errors and cost of language models' providers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mox.cli.out import FAILED, Json, Sets, parse_sets, refusals, say, say_next, show_json

if TYPE_CHECKING:
    from mox.bench.providers.found import ProviderBench


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
            help="Fit a latency profile to what was measured, INVALID rounds left out, for"
            " `mox simulate`; of several providers one each, PROFILE-NAME.yaml.",
        ),
    ] = None,
    set_: Sets = None,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Don't mirror to MLflow now; `mox sync` does it later."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    as_json: Json = False,
) -> None:
    """Measure providers: time to first token, between tokens, end to end; errors; dollars.

    Start with `mox bench providers experiments/providers.yaml --dry-run`,
    then without --dry-run: two simulated providers, no key, no network.
    Set OPENAI_API_KEY or ANTHROPIC_API_KEY, and the same file measures
    the real ones beside them.

    \b
    providers: \\[{kind: simulated, model: sim-swift},
                {kind: openai, model: NAME, optional: true}]
    workloads: \\[short, standard, long,
                {kind: rag, corpus: {kind: card, name: NAME}}]
    cache:     \\[off, on]      off: no two prompts begin alike
    loads:
      - {kind: closed, concurrency: \\[1, 4]}  callers that wait for answers
      - {kind: poisson, rate: \\[2]}           a second, come what may
      - {kind: slo, start: 1}                the highest that keeps `slo`
    slo:       {ttft_ms: 1500, e2e_ms: 20000} for 95 % of all requests
    budget:    {usd: 1, minutes: 10}

    TTFT is from the request's last byte to the first event with text or
    reasoning, ITL by tokens and not by chunks. End to end is from the send,
    and from the intended start: that alone contains what a user waits when
    requests come faster than they are answered. \\[low, high] is a 95 %
    interval that assumes no distribution. INVALID: the client could not
    keep up and measured itself, or nothing was answered.

    What is measured is kept as it comes: after Ctrl-C, or where the budget
    stopped it, the same call goes on. What is kept whole is shown, not
    measured again, unless you say --again.
    """
    from mox.bench.providers import ask
    from mox.errors import SpecError

    with refusals(as_json=as_json):
        changes = parse_sets(set_)
        if dry_run:
            plan = ask.plan_providers(file, set=changes)
            show_json(plan.document()) if as_json else say(plan.text())
            return
        if record is not None and not record.parent.is_dir():  # before anything is paid
            raise SpecError(
                f"--record {record}: {record.parent} is no folder.",
                mend="make it, or name another file.",
            )
        found = ask.bench_providers(
            file, set=changes, again=again, offline=offline, quiet=quiet or as_json
        )
        if not as_json:  # before a profile that may not be fitted: it was paid for
            say(found.text())
            _next_steps(found)
        fitted = record is None or _recorded(found, record)
        if as_json:
            show_json(found.document())
    if not (found.whole and fitted):
        raise typer.Exit(FAILED)


def _recorded(found: ProviderBench, path: Path) -> bool:
    """Whether every provider got a profile; says where they are, or why not."""
    written = found.record(path)
    for at in written.paths:
        sys.stderr.write(f"profile: {at}\n")
    for name, why in written.left_out.items():
        sys.stderr.write(f"no profile of {name}: {why}\n")
    return not written.left_out


def _next_steps(found: ProviderBench) -> None:
    """Where to look next."""
    from mox.pipeline.store import Store
    from mox.settings import settings
    from mox.tracking.providers import next_links

    say_next(next_links(Store(settings().root), found.content))
