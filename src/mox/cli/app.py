"""`mox`: plan, run, compare, promote and ask, from a terminal."""

from __future__ import annotations

import os
import warnings
from gc import set_threshold
from pathlib import Path
from typing import Annotated, Literal

import typer

from mox.cli.bench import app as bench
from mox.cli.call import call
from mox.cli.costs import costs
from mox.cli.explain import explain
from mox.cli.out import (
    FAILED,
    Json,
    Sets,
    parse_sets,
    refusals,
    say,
    show_json,
    show_warning,
)
from mox.cli.report import report
from mox.cli.services import down, up
from mox.cli.simulate import simulate

app = typer.Typer(
    name="mox",
    help="A research workbench for retrieval-augmented generation.\n\n"
    "Start with `mox run experiments/quickstart.yaml`; `mox plan` shows first what that would do.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="An experiment's YAML.")]
FileOrRun = Annotated[
    str, typer.Argument(metavar="FILE|RUN", help="An experiment's YAML, or a run's id.")
]


def main() -> None:
    """Entry point of the command."""
    # Before numpy is imported: its threads else wait 20 ms for more work after each product, and
    # burn a core meanwhile (a fifth of all that a repeated run takes).
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "10")
    # Hardly anything that a command imports or plans becomes garbage: looked for after each 700
    # new objects, it takes a twentieth of a short run.
    set_threshold(10_000, 20, 20)
    warnings.showwarning = show_warning
    app()


@app.command()
def plan(file: File, set_: Sets = None, as_json: Json = False) -> None:
    """Show what a run would do: unique stages, what is stored, seconds, dollars. Runs nothing."""
    from mox import api
    from mox.pipeline.describe import describe, text
    from mox.settings import settings

    with refusals(as_json=as_json):
        made = api.plan(file, set=parse_sets(set_))
        workers = settings().workers
        if as_json:
            show_json(describe(made, workers))
        else:
            say(text(made, workers))


@app.command()
def run(
    file: File,
    set_: Sets = None,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Don't mirror to MLflow now; `mox sync` does it later."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    as_json: Json = False,
) -> None:
    """Run an experiment, or what an earlier run of it left undone, and show the choice."""
    from mox import api
    from mox.results.document import document

    with refusals(as_json=as_json):
        made = api.plan(file, set=parse_sets(set_))
        results = api.run(made, offline=offline, quiet=quiet)
        if as_json:
            show_json(document(results))
        else:
            from mox.cli.show import next_steps, show_results

            show_results(results)
            next_steps(results, file)
    failed = any(trial.status != "FINISHED" for trial in results.run.trials)
    refused = results.choice is not None and results.choice.refused
    if failed or refused or results.run.stopped:
        raise typer.Exit(FAILED)


@app.command()
def results(
    run_: FileOrRun,
    questions: Annotated[
        str | None, typer.Option("--questions", metavar="TRIAL", help="One trial, by question.")
    ] = None,
    diff: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Two trials: settings, questions won and lost."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show all trials.")] = False,
    as_json: Json = False,
) -> None:
    """Show an earlier run's results; nothing is run."""
    from mox import api
    from mox.cli.show import show_questions, show_results
    from mox.results.document import document

    with refusals(as_json=as_json):
        found = api.load(run_)
        if questions is not None:
            table = found.questions(questions)
            if as_json:
                show_json(table.document())
            else:
                show_questions(table)
        elif diff is not None:
            pair = found.diff(*diff)
            if as_json:
                show_json(pair.document())
            else:
                say(repr(pair))
        elif as_json:
            show_json(document(found))
        else:
            show_results(found, everything=everything)


app.add_typer(bench)
app.command()(call)
app.command()(costs)
app.command()(explain)
app.command()(report)
app.command()(up)
app.command()(down)
app.command()(simulate)


@app.command()
def promote(
    run_: FileOrRun,
    trial: Annotated[
        str | None, typer.Option(help="Promote this trial instead of the chosen one.")
    ] = None,
    alias: Annotated[str, typer.Option(help="The MLflow model alias to set.")] = "candidate",
    out: Annotated[
        Path | None, typer.Option(help="Where to write the release; the state folder else.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Write the release only; register nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the chosen trial as a release and register it in MLflow."""
    from mox import api

    with refusals(as_json=as_json):
        release = api.promote(run_, trial=trial, alias=alias, out=out, offline=offline)
        if as_json:
            show_json(release.document())
        else:
            say(release.text())


@app.command()
def ask(
    release: Annotated[Path, typer.Argument(metavar="RELEASE", help="A release's YAML.")],
    question: Annotated[str, typer.Argument(metavar="QUESTION")],
    k: Annotated[int, typer.Option("-k", help="Passages to return.", min=1)] = 5,
    embedder: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="How a paid embedder is asked here: key_env=MY_KEY. May be given repeatedly.",
        ),
    ] = None,
    usd: Annotated[
        float | None,
        typer.Option(min=0, help="Most that may be spent; without it no corpus is embedded anew."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Answer a question with a release's ranked passages and their sources."""
    from mox import api
    from mox.cli.show import show_passages

    with refusals(as_json=as_json):
        told = parse_sets(embedder) or None
        answer = api.ask(release, question, k=k, embedder=told, usd=usd)
        if as_json:
            show_json(answer.document())
        else:
            show_passages(answer)


@app.command()
def datasets(as_json: Json = False) -> None:
    """List the dataset cards that can be named from here."""
    from mox.cli.show import show_cards
    from mox.corpus.card import cards

    with refusals(as_json=as_json):
        found = cards(Path.cwd())
        if as_json:
            cards_ = [{**card._asdict(), "path": str(card.path)} for card in found]
            show_json({"schema": 1, "datasets": cards_})
        else:
            show_cards(found)


@app.command()
def schema(
    of: Annotated[
        Literal["experiment", "providers"],
        typer.Argument(help="An experiment's YAML, or that of `mox bench providers`."),
    ] = "experiment",
    as_json: Json = False,
) -> None:
    """Print the JSON schema of an experiment, with every back end's settings."""
    with refusals(as_json=True):
        if of == "providers":
            from mox.bench.providers.schema import schema as made
        else:
            from mox.experiment.schema import schema as made
        show_json(made())


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what is installed, reachable and configured, and what is broken."""
    from mox.cli.doctor import examine, show

    with refusals(as_json=as_json):
        checks = examine()
        if as_json:
            show_json({"schema": 1, "checks": [check.document() for check in checks]})
        else:
            show(checks)
    if any(check.state == "broken" for check in checks):
        raise typer.Exit(FAILED)


@app.command()
def gc(
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would be removed and why, remove nothing."),
    ] = False,
    forget: Annotated[
        list[str] | None,
        typer.Option(metavar="RUN", help="Remove a run's record first; may be given repeatedly."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Forget a run that a release names, too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove artifacts and collections that no run, release or running sweep reaches."""
    from mox import api

    with refusals(as_json=as_json):
        swept = api.gc(dry_run=dry_run, forget=forget or (), force=force)
        if as_json:
            show_json(swept.document())
        else:
            say(swept.text())
    if not swept.whole:
        raise typer.Exit(FAILED)


@app.command()
def sync(as_json: Json = False) -> None:
    """Mirror to MLflow the runs, growths and benchmarks that it doesn't have yet."""
    from mox import api

    with refusals(as_json=as_json):
        written = api.sync()
        if as_json:
            show_json({"schema": 1, "mirrored": written})
        else:
            said = f"{len(written)} runs and growths mirrored."
            say(said if written else "MLflow has every run and every growth already.")
