"""The report that a lead reads: the verdict first, then how sure it is and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mox.results.leaderboard import marks
from mox.secrets import scrub
from mox.tracking.keys import TAG
from mox.tracking.tables import decided_on

if TYPE_CHECKING:
    from mox.results import Choice, Interval, Results, TrialRun
    from mox.tracking.links import Place

NOTE = TAG
"""Most characters of a run's description."""
REPORT = "report.md"
TOP = 8
"""Trials in the report's table."""


def markdown(results: Results, place: Place, *, most: int | None = None) -> str:
    """The report.

    Args:
        place: where the run stands in MLflow, for links.
        most: characters that it may have; what matters least is left out first.
    """
    text = ""
    for top in (TOP, 4, 1):
        text = "\n\n".join(part for part in _parts(results, place, top) if part) + "\n"
        if most is None or len(text) <= most:
            return text
    assert most is not None  # noqa: S101  else the first text was returned
    end = f"\n\n… The rest is in the artifact `{REPORT}`.\n"
    return text[: most - len(end)] + end


def _parts(results: Results, place: Place, top: int) -> Iterator[str]:
    yield _verdict(results)
    yield _sureness(results)
    yield _costs(results)
    yield _table(results, top)
    yield _failures(results)
    yield _about(results)
    yield _links(results, place)


def _verdict(results: Results) -> str:
    choice, run = results.choice, results.run
    stopped = ""
    if run.stopped:
        left = sum(trial.status == "SKIPPED" for trial in run.trials)
        stopped = f"**Stopped ({run.stopped}); {left} trials were not run.** "
    if choice is None:
        return f"{stopped}The experiment asks for no choice (`choose:`); the table compares."
    if choice.refused:
        return f"{stopped}**Nothing is chosen:** {plain(choice.refused)}"
    return f"{stopped}**{plain(choice.reason)}**"


def _sureness(results: Results) -> str:
    choice, run = results.choice, results.run
    if choice is None or choice.trial is None:
        return ""
    lines = ["## How sure"]
    test = (choice.test or {}).get(choice.measure)
    if test is None:
        lines.append("- Not confirmed: there is no test side.")
    else:
        looks = "once" if choice.test_looks == 1 else f"by {choice.test_looks} runs"
        lines.append(
            f"- Confirmed on test: {choice.measure} **{_interval(test)}** ({test.n} questions;"
            f" this test side has been looked at {looks})."
        )
    dev = (choice.dev or {}).get(choice.measure)
    if dev is not None:
        lines.append(f"- On dev, where it was chosen: {_interval(dev)} ({dev.n} questions).")
    versus = choice.vs_baseline
    if versus and choice.trial != run.baseline:
        lines.append(
            f"- Against the baseline on {versus['on']}: {versus['mean']:+.3f}"
            f" [{versus['low']:+.3f}, {versus['high']:+.3f}], p = {versus['p']:.2g}."
        )
    lines += _alternatives(results, choice)
    lines.append("- Intervals are 95 %, by bootstrap over groups of questions.")
    return "\n".join(lines)


def _alternatives(results: Results, choice: Choice) -> Iterator[str]:
    others = [name for name in choice.candidates if name != choice.trial]
    if choice.within is not None:
        named = "; ".join(plain(results.label(results.trial(name))) for name in others[:4])
        more = f"; and {len(others) - 4} more" if len(others) > 4 else ""
        yield (
            f"- Others that qualify (surely not worse than the best by more than"
            f" {choice.within:g}): {named or 'none'}{more}."
        )
    alike = len(choice.indistinguishable) - 1
    if alike > 0:
        yield f"- {alike} other trials cannot be told apart from the best by these questions."


def _costs(results: Results) -> str:
    if results.chosen is None:
        return ""
    best = results.choice.best if results.choice else None
    named: dict[str, str] = {results.chosen.id: "chosen"}
    for name, word in ((best, "best on dev"), (results.run.baseline, "baseline")):
        if name is not None and name in results.costs:
            named[name] = f"{named[name]}, {word}" if name in named else word
    lines = [
        "## What it costs",
        "",
        "| | configuration | index MB | chunks | build s | text not read | of exact |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for name, word in named.items():
        costs = results.costs[name]
        cells = [
            word,
            plain(results.label(results.trial(name))),
            _number(costs["index_mb"], 3),
            f"{costs['chunks']:,}",
            _number(costs["build_s"], 2),
            f"{100 * costs['unread']:.1f} %",
            _number(agreement(results, name), 3),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    said = "Index MB counts what answers, vectors included and texts not."
    return "\n".join([*lines, "", said])


def agreement(results: Results, trial: str) -> float | None:
    """The share of exact search's hits that an index found; None for a trial without one."""
    costs = results.costs[trial].items()
    return next((value for name, value in costs if name.startswith("recall_of_exact")), None)


def _table(results: Results, top: int) -> str:
    ranked = results.ranked()[:top]
    if not ranked:
        return ""
    run = results.run
    split = decided_on(results)
    names = list(run.measures)
    first = run.choose["maximise"] if run.choose else names[0]
    names = [first, *(name for name in names if name != first)]
    over = len(results.rows(None if split == "all" else split))
    where = "all questions" if split == "all" else f"the {split} side"
    lines = [
        f"## The first {len(ranked)} of {len(results.finished)} finished trials",
        f"By {first} on {where} ({over} questions).",
        "",
        f"| | configuration | {' | '.join(names)} | index MB | | trial |",
        f"|--:|---|{'--:|' * len(names)}--:|---|---|",
    ]
    lines += [_row(results, trial, rank, names) for rank, trial in enumerate(ranked, start=1)]
    return "\n".join([*lines, "", "All trials stand in the artifact `leaderboard.csv`."])


def _row(results: Results, trial: TrialRun, rank: int, names: list[str]) -> str:
    summary = results.summary[trial.id][decided_on(results)]
    first, *rest = (summary[name] for name in names)
    label = plain(results.label(trial))
    cells = [
        f"{rank}\u00a0",  # MLflow sets table cells without a gap
        f"**{label}**" if results.chosen and trial.id == results.chosen.id else label,
        _interval(first),
        *(f"{interval.mean:.3f}" for interval in rest),
        _number(results.costs[trial.id]["index_mb"], 3),
        marks(results, trial),
        f"`{trial.id}`",
    ]
    return f"| {' | '.join(cells)} |"


def _failures(results: Results) -> str:
    said: dict[str, list[str]] = {}
    for trial in results.run.trials:
        if trial.status == "FAILED":
            said.setdefault(trial.error or "", []).append(trial.id)
    if not said:
        return ""
    lines = [f"## Failed: {sum(map(len, said.values()))} of {len(results.run.trials)} trials"]
    for message, names in said.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        lines.append(f"- {', '.join(f'`{name}`' for name in names[:3])}{more}: {plain(message)}")
    return "\n".join(lines)


def _about(results: Results) -> str:
    run = results.run
    corpus = run.corpus
    lines = [
        "## What was asked",
        f"- Corpus {plain(corpus['name'])}: {corpus['documents']:,} documents,"
        f" {corpus['questions']:,} questions ({corpus['unanswerable']} unanswerable,"
        f" {len(corpus['left_out'])} left out); fingerprint `{corpus['fingerprint'][:12]}`.",
    ]
    if licence := corpus["about"].get("licence"):
        lines.append(f"- Licence: {plain(licence).rstrip('.')}.")
    lines += [f"- {plain(note)}" for note in run.notes]
    return "\n".join(lines)


def _links(results: Results, place: Place) -> str:
    pages = [
        ("all trials, sorted", place.trials),
        ("leaderboard", place.artifact("leaderboard.json")),
        ("quality against cost", place.artifact("pareto.html")),
        ("plan", place.artifact("plan.json")),
    ]
    return "\n".join(
        [
            "## Where to look",
            f"- {' · '.join(f'[{title}]({page})' for title, page in pages)}",
            f"- `mox results {results.run.id}` compares again; `mox promote {results.run.id}`"
            " makes the choice a release.",
        ]
    )


def _interval(interval: Interval) -> str:
    return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line, also inside a table; without secrets."""
    flat = " ".join(scrub(text).split())
    for mark in "\\`*_|<>[]":
        flat = flat.replace(mark, f"\\{mark}")
    return flat
