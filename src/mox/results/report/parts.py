"""What a report says first: the verdict, how sure it is, what it costs, the alternatives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mox.results.compare.kinds import shown_kinds
from mox.results.leaderboard import best_by, marks, speed, speeds
from mox.results.others import also
from mox.results.paired import by_importance, decisive, ranked_on, rows_of
from mox.results.report.content import (
    Bar,
    Block,
    Cell,
    Code,
    Folded,
    Lines,
    Looked,
    Picture,
    Section,
    Table,
    Tone,
)
from mox.results.show.why_view import CAVEAT, brief, percent
from mox.results.verdict import failures, sureness, verdict

if TYPE_CHECKING:
    from mox.results.compare.effects import Effect
    from mox.results.results import Results
    from mox.results.run import TrialRun
    from mox.results.versus import Versus

SPLITS = ("dev", "test")
TOP = 10
"""Trials of the table before the rest is folded."""
MOST = 300
"""Trials of the table at all; a larger sweep's stand in the leaderboard."""
NARROW = 2
"""Measures beside the decisive one for which a narrow table has room."""
WORST = 5
"""Questions that are looked at."""


def opening(results: Results) -> tuple[str, str, list[str], Tone, str]:
    """Title, what keeps it from being final, verdict, its tone, and the run in a line."""
    run, choice = results.run, results.choice
    said = verdict(results)
    tone: Tone = "chosen"
    if choice is None:
        said = ["The experiment asks for no choice (`choose:`); the table compares."]
        tone = "plain"
    elif choice.refused:
        tone = "refused"
    split = ranked_on(results)
    facts = (
        f"{len(results.finished)} of {len(run.trials)} trials scored · ranked on"
        f" {len(rows_of(results, split))} {'' if split == 'all' else f'{split} '}questions ·"
        f" begun {run.started} · run {run.id}"
    )
    return f"{run.name}: report", unfinished(results), said, tone, facts


def unfinished(results: Results) -> str:
    """What keeps a report from being final; empty where nothing does."""
    run = results.run
    left = sum(trial.status == "SKIPPED" for trial in run.trials)
    if not left and not run.stopped:
        return ""
    stored = run.stages["run"] + run.stages["stored"]
    how = "is still going on" if run.stopped == "going on" else f"was stopped ({run.stopped})"
    said = (
        f"NOT FINAL: run {run.id} {how}: {stored} of {run.stages['total']} stages stored;"
        f" {left} of {len(run.trials)} trials are missing."
    )
    if results.chosen is not None:
        said += f" The choice is over the {len(results.finished)} that were scored."
    again = "" if run.stopped == "going on" else " The same call again resumes."
    return said + again


def sections(results: Results) -> Iterator[Section]:
    """The sections that compare trials."""
    if results.chosen is not None:
        yield Section("How sure", (Lines(tuple(_sure(results))), *_confirmed(results)), weight=1)
        yield Section("What it costs", tuple(_costs(results)), weight=2)
    if failures(results):
        yield _failures(results)
    if results.finished:
        yield _board(results)
        yield _unbeaten(results)
        yield from _kinds(results)
        yield from _effects(results)
        yield from _worst(results)


def _sure(results: Results) -> Iterator[str]:
    shown = verdict(results)
    yield from (line for line in sureness(results) if line not in shown)
    yield from filter(None, [also(results)])


def _named(results: Results) -> dict[str, str]:
    """The trials that a choice is between → what they are: chosen, best on dev, baseline."""
    found: dict[str, str] = {}
    choice = results.choice
    roles = (
        (choice.trial if choice else None, "chosen"),
        (choice.best if choice else None, best_by(results)),
        (results.run.baseline, "baseline"),
    )
    for trial, word in roles:
        if trial is not None and trial in results.costs:
            found[trial] = f"{found[trial]}, {word}" if trial in found else word
    return found


def _confirmed(results: Results) -> Iterator[Table]:
    """The measure that is chosen by, where it was chosen and where it wasn't, drawn as bars."""
    measure = decisive(results)
    rows = []
    for trial, word in _named(results).items():
        summary = results.summary[trial]
        sides = [Bar(summary[split][measure]) if split in summary else "–" for split in SPLITS]
        rows.append((word, results.label(results.trial(trial)), *sides))
    head = ("", "configuration", *(f"{measure} on {split}" for split in SPLITS))
    yield Table(f"{measure}, 95 % intervals", head, tuple(rows), words=2, marked=frozenset([0]))


def _costs(results: Results) -> Iterator[Block]:
    rows: list[tuple[Cell, ...]] = []
    for trial, word in _named(results).items():
        costs = results.costs[trial]
        rows.append(
            (
                word,
                results.label(results.trial(trial)),
                number(costs["index_mb"], 3),
                f"{costs['chunks']:,}",
                number(costs["build_s"], 2),
                f"{100 * costs['unread']:.1f} %",
                number(agreement(results, trial), 3),
            )
        )
    head = ("", "configuration", "index MB", "chunks", "build s", "text not read", "of exact")
    yield Table(
        "Costs", head, tuple(rows), words=2, marked=frozenset([0]),
        note="Index MB counts what answers, vectors included and texts not.",
    )  # fmt: skip
    if any(costs["index_mb"] is not None for costs in results.costs.values()):
        measure = decisive(results)
        alt = (
            f"Every trial by index size and {measure}, with 95 % intervals; the trials that no"
            " other beats in both are joined and named above."
        )
        yield Picture(results.pareto(), alt)


def agreement(results: Results, trial: str) -> float | None:
    """The share of exact search's hits that an index found; None for a trial without one."""
    costs = results.costs[trial].items()
    return next((value for name, value in costs if name.startswith("recall_of_exact")), None)


def number(value: float | None, digits: int) -> str:
    """A cost, or a dash where it isn't known."""
    return "–" if value is None else f"{value:,.{digits}f}"


def _board(results: Results) -> Section:
    ranked = results.ranked()
    split = ranked_on(results)
    first, *rest = by_importance(results)
    against = {one.trial: one for one in results.versus}
    rows = tuple(
        _row(results, trial, rank, split, against.get(trial.id))
        for rank, trial in enumerate(ranked[:MOST], start=1)
    )
    head = ("", "configuration", "", f"{first} ▾", *rest, "− baseline, p", "index MB", "of exact",
            *speeds(results).values(), "trial")  # fmt: skip
    chosen = {at for at, trial in enumerate(ranked) if trial is results.chosen}
    where = "all questions" if split == "all" else f"the {split} side"
    note = f"Ranked by {first} on {where} ({len(rows_of(results, split))} questions)."
    if against:
        note += " Differences to the baseline are paired, their p corrected by Holm for all trials."
    if rest:
        note += f" {', '.join(rest)} {'decides' if len(rest) == 1 else 'decide'} nothing here."
    if len(ranked) > MOST:
        note += f" {len(ranked) - MOST} more trials stand in the leaderboard."
    table = Table(
        f"{len(ranked)} finished trials, best first", head, rows, words=3,
        marked=frozenset(chosen), shown=TOP, note=note,
        wide=frozenset([*range(4 + NARROW, 4 + len(rest)), head.index("of exact"),
                       head.index("− baseline, p")]),
    )  # fmt: skip
    return Section("The alternatives", (table,), weight=3)


def _unbeaten(results: Results) -> Section:
    """The frontier, and what indexes cost at which recall."""
    found = results.frontier()
    rows: list[tuple[Cell, ...]] = [
        (results.label(results.trial(trial)), *map(str, found.figures[trial].values()), Code(trial))
        for trial in found.trials
    ]
    taken = results.chosen.id if results.chosen else None
    chosen = {at for at, trial in enumerate(found.trials) if trial == taken}
    note = found.said()
    table = Table(f"The frontier of {', '.join(found.by)}", ("configuration", *found.by, "trial"),
                  tuple(rows), marked=frozenset(chosen), shown=TOP, note=note)  # fmt: skip
    return Section("What no other beats", (table, *curves(results)), weight=4)


CURVES = {
    "qps": ("recall_vs_throughput.html", "Throughput against recall"),
    "p95_ms": ("latency_vs_recall.html", "Latency against recall"),
    "memory": ("memory_vs_recall.html", "Memory against recall"),
}
"""What is drawn of indexes → the figure's page, and what it shows."""


def curves(results: Results) -> Iterator[Picture]:
    """Throughput, latency and memory against recall, as far as there is something to draw."""
    from mox.results.show.curves import against_recall, drawable, memory

    for name, (file, said) in CURVES.items():
        cost = memory(results) if name == "memory" else name
        if drawable(results, cost):
            alt = f"{said} of exact search: a line per index type along its frontier."
            yield Picture(against_recall(results, cost), alt, file)


def _row(
    results: Results, trial: TrialRun, rank: int, split: str, against: Versus | None
) -> tuple[Cell, ...]:
    summary = results.summary[trial.id][split]
    first, *rest = by_importance(results)
    return (
        str(rank),
        results.label(trial),
        marks(results, trial),
        Bar(summary[first]),
        *(Bar(summary[name], minor=True) for name in rest),
        f"{against.mean:+.3f}, {against.p_holm:.2g}" if against else "–",
        number(results.costs[trial.id]["index_mb"], 3),
        number(agreement(results, trial.id), 3),
        *(speed(results, trial, name) for name in speeds(results)),
        Code(trial.id),
    )


def _kinds(results: Results) -> Iterator[Section]:
    view = shown_kinds(results)
    if view is None:
        return
    rows: list[tuple[Cell, ...]] = []
    for one in view.rows:
        against = Bar(one.difference.interval, signed=True) if one.difference else "–"
        base = "–" if one.baseline is None else f"{one.baseline.mean:.3f}"
        few = "few" if one.few else ""
        rows.append((one.kind, str(one.mean.n), str(one.groups), Bar(one.mean), base, against, few))
    head = ("kind", "n", "groups", view.measure, "baseline", "against the baseline", "")
    where = "all questions" if view.split == "all" else view.split
    title = f"{view.label}, on {where}"
    yield Section(
        "By kind of question",
        (Table(title, head, tuple(rows), note=view.warning),),
        weight=4,
    )


def _effects(results: Results) -> Iterator[Section]:
    if len(results.finished) < 2:
        return
    view = results.why()
    if not view.effects:
        return
    rows = tuple(
        (one.setting, percent(one.share), "; ".join(map(brief, one.levels))) for one in view.effects
    )
    head = ("setting", "of the variance", "values: mean (matched difference)")
    table = Table(f"Settings that vary, by what they explain of {view.measure}", head, rows,
                  words=3, note=CAVEAT)  # fmt: skip
    yield Section("What matters", (table, *(_effect(one) for one in view.effects)), weight=5)


def _effect(effect: Effect) -> Folded:
    rows = tuple(
        (
            one.value,
            str(one.trials),
            Bar(one.mean),
            Bar(one.difference.interval, signed=True) if one.difference else "–",
            str(one.cells) if one.difference else "",
        )
        for one in effect.levels
    )
    head = (effect.setting, "trials", "mean", f"matched with {effect.reference}", "cells")
    title = f"{effect.setting}: values with intervals"
    table = Table(title, head, rows, note=" ".join(effect.notes))
    return Folded(title, (table,))


def _worst(results: Results) -> Iterator[Section]:
    """The questions that the chosen trial answers worst, of those that it was ranked on: the test
    side isn't looked into."""
    trial = results.chosen or results.best
    measure = decisive(results)
    values = results.scores(trial).arrays[measure]
    split = ranked_on(results)
    rows = sorted(rows_of(results, split).tolist(), key=lambda row: (values[row], row))[:WORST]
    found: list[Block] = []
    for row in rows:
        asked = results.questions_asked[row]
        said = f"{asked.id} ({asked.kind or 'question'}): {asked.text} {measure} {values[row]:.3f}"
        found.append(Looked(said, results.inspect(asked.id, trial.id)))
    where = "" if split == "all" else f" of the {split} side; the test side isn't looked into"
    about = f"The {len(rows)} questions with the lowest {measure}{where}, and what was found."
    yield Section("Worst questions", (Lines((about,)), *found), weight=7)


def _failures(results: Results) -> Section:
    said = failures(results)
    lines = []
    for message, names in said.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        lines.append(f"{', '.join(names[:3])}{more}: {message}")
    count, every = sum(map(len, said.values())), len(results.run.trials)
    title = f"What failed: {count} of {every} trials"
    return Section(title, (Lines(tuple(lines)),), weight=2)
