"""An explained trial as HTML, for notebooks: its chain, its means, one question's arithmetic."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mox.results.show.explain_terminal import adds, steps_said
from mox.results.show.inspection_html import drawn as inspected
from mox.results.show.markup import (
    DIM,
    GREEN,
    RED,
    SMALL,
    Html,
    Part,
    badge,
    bold,
    details,
    div,
    headline,
    row,
    small,
    table,
)

if TYPE_CHECKING:
    from mox.results.lineage.asked import Asked, Scored, ShownHit
    from mox.results.lineage.chain import Link
    from mox.results.lineage.explain import Cost, Explained, Measured


def drawn(one: Explained) -> str:
    """The whole view."""
    parts: list[Part] = [_head(one), _verdict(one)]
    if one.asked is not None:
        parts += [Html(inspected(one.asked.view)), _hits(one.asked)]
        parts += [_scored(scored) for scored in one.asked.scores]
        parts.append(details("how the trial was made", _chain(one), style=SMALL))
    else:
        parts += [_chain(one), _measures(one.measures), _costs(one.costs)]
    return str(div(*parts))


def _head(one: Explained) -> Html:
    run, corpus = one.results.run, one.results.run.corpus
    licence = corpus["about"].get("licence", "")
    facts = [f"run {run.id} of {run.name}, begun {run.started}", f"corpus {corpus['name']}"]
    about = [f"card {one.card}"] * bool(one.card) + [f"licence: {licence}"] * bool(licence)
    marks = [badge(mark, GREEN) for mark in one.compared.marks.split(", ") if mark]
    said = [small(line) for line in one.compared.verdict] if one.asked is None else []
    return div(
        headline(f"{one.trial.id} {one.label}", " · ".join(facts)),
        small(" · ".join(about)),
        div(*marks, badge(one.trial.status), *([one.trial.error] if one.trial.error else [])),
        *said,
    )


def _verdict(one: Explained) -> Html:
    if one.problems:
        lines = [div(problem) for problem in one.problems]
        return div(bold("Does not hold:"), *lines, style=f"background:{RED};padding:4px 8px")
    if one.trial.status != "FINISHED":
        return div()
    return small("Worked out anew, every value came to what is stored.")


def _chain(one: Explained) -> Html:
    names = ("stage", "with", "key", "made", "MB", "s", "bytes", "shared by", "from", "versions")
    rows = [row(names, left=3, head=True), *(_link(one, link) for link in one.chain)]
    return table(rows)


def _link(one: Explained, link: Link) -> Html:
    note = link.note
    prints = note.get("fingerprint") or {}
    versions = ", ".join(f"{name} {value[:12]}" for name, value in prints.items())
    seconds = note.get("seconds")
    state = "intact" if not link.damage else link.damage
    others = len(one.results.run.trials) - 1
    return row(
        (
            link.ref.kind,
            link.made_with,
            link.ref.key[:12],
            f"{'' if link.rows is None else f'{link.rows:,} '}{link.unit}",
            f"{note['bytes'] / 1e6:.2f}" if note else "",
            "" if seconds is None else f"{seconds:.2f}",
            state,
            f"{len(link.shared_by)} of {others}",
            ", ".join(link.inputs),
            " ".join([f"stage {note.get('version', '?')}", versions]),
        ),
        left=3,
        shade=RED if link.damage else "",
    )


def _measures(measures: tuple[Measured, ...]) -> Html:
    rows = [
        row(("measure", "split", "mean", "low", "high", "questions", "groups"), left=2, head=True)
    ]
    for one in measures:
        for split, found in one.splits.items():
            i = found.interval
            ends = (f"{end:.4f}" if math.isfinite(end) else "–" for end in (i.low, i.high))
            cells = (one.measure, split, f"{i.mean:.4f}", *ends, f"{i.n:,}", f"{found.groups:,}")
            rows.append(row(cells, left=2))
    extremes = [
        small(f"{one.measure}: {name} {', '.join(f'{q} {value:.3f}' for q, value in found)}")
        for one in measures
        for name, found in (("worst", one.worst), ("best", one.best))
    ]
    return div(table(rows), *extremes) if measures else div()


def _costs(costs: tuple[Cost, ...]) -> Html:
    rows = [row(("cost", "what it is", "from", "value"), left=3, head=True)]
    for cost in costs:
        value = f"{cost.value:.4g}" if isinstance(cost.value, float) else f"{cost.value:,}"
        stages = ", ".join(stage[: stage.index("/") + 13] for stage in cost.stages)
        rows.append(row((cost.name, cost.how, stages, value), left=3))
    return table(rows) if costs else div()


def _hits(asked: Asked) -> Html:
    """Where each hit came from, and how far each cut looks into it."""
    sides = list(asked.hits[0].sides) if asked.hits else []
    cuts = list(asked.hits[0].kept) if asked.hits else []
    names = ["rank", "row", "document", "score", *sides, *(f"seen @{cut}" for cut in cuts)]
    rows = [row(names, left=3, head=True)]
    rows += [_hit(asked, one, sides, cuts) for one in asked.hits]
    return details("hits: rank, score and side", table(rows), style=SMALL, opened=True)


def _hit(asked: Asked, one: ShownHit, sides: list[str], cuts: list[str]) -> Html:
    places = [one.sides[side] for side in sides]
    cells = [
        f"{one.rank}",
        f"{one.row}",
        one.hit.document,
        f"{one.hit.score:.4f}",
        *(f"{place.rank}. ({place.score:.4f})" if place else "–" for place in places),
        *(f"{one.kept[cut]:,}" for cut in cuts),
    ]
    return row(cells, left=3, shade=GREEN if asked.view.relevant(one.hit) else "")


def _scored(one: Scored) -> Html:
    numbers = ", ".join(f"{name} {number:,.6g}" for name, number in one.sum.numbers.items())
    steps = [
        div(f"rank {step['rank']}: {steps_said(step)}") for step in one.sum.steps if adds(step)
    ]
    return div(
        div(bold(f"{one.measure} = {one.stored:.4f}"), f"   {one.sum.formula}"),
        div(numbers, *steps, style=f"{DIM};padding-left:12px"),
        style=f"{SMALL};padding:4px 0",
    )
