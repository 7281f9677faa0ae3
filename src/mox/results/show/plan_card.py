"""A plan as a card in a notebook: what would run, what is stored already, how long it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mox.pipeline.describe import budget_line, cost_line, describe, dollars
from mox.pipeline.stages import TITLES
from mox.results.show.markup import (
    GREEN,
    SMALL,
    Html,
    bold,
    details,
    div,
    headline,
    row,
    small,
    table,
    tag,
)
from mox.settings import settings

if TYPE_CHECKING:
    from mox.pipeline.plan import Plan

LISTED = 100
"""Trials that a card lists before the rest is only counted."""


def plan_card(plan: Plan) -> str:
    """A plan's stages, expected seconds and dollars, notes, and its trials behind a line."""
    facts = describe(plan, settings().workers)
    stages, corpus = facts["stages"], facts["corpus"]
    said = (
        f"{len(facts['trials'])} trials on {corpus['name']} ({corpus['documents']} documents,"
        f" {corpus['questions']} questions) · run {facts['run_id']}"
    )
    rows = [row(["stage", "in all", "stored", "to run", ""], left=1, head=True)]
    rows += [_stage(TITLES[kind], counts) for kind, counts in stages["by_kind"].items()]
    rows.append(_stage("all stages", stages))
    parts = [headline(facts["experiment"], said), table(rows), _expected(facts)]
    parts += [small(f"note: {note}") for note in facts["notes"]]
    if corpus["left_out"]:
        parts.append(_left_out(corpus["left_out"]))
    return str(div(*parts, _trials(plan)))


def _stage(title: str, counts: Mapping[str, int]) -> Html:
    """A row of counts; what is stored is drawn as a share."""
    total = counts["total"]
    share = 100 * counts["stored"] / total if total else 0.0
    drawn = div(
        div(style=f"width:{share:.0f}%;height:8px;background:{GREEN.replace('.18', '.8')}"),
        style="width:120px;height:8px;background:rgba(128,128,128,.2)",
        title=f"{share:.0f} % stored",
    )
    numbers = [f"{counts[name]:,}" for name in ("total", "stored", "to_run")]
    return row([title, *numbers, drawn], left=1)


def _expected(facts: Mapping[str, Any]) -> Html:
    """How long and how much, and what that guess stands on."""
    if not facts["stages"]["to_run"]:
        return div("Everything is stored: a run takes no time and no money.", style=SMALL)
    known = facts["seconds_known"]
    basis = f"{known:.0%} of the stages known from earlier runs" if known else "stated defaults"
    lines = [small(line.strip()) for line in map(cost_line, facts["usd_by"])]
    lines += [small(said)] if (said := budget_line(facts)) else []
    return div(
        bold(f"about {facts['seconds']:.0f} s"),
        f" ({basis}), {dollars(facts)}",
        *lines,
        style=f"{SMALL};padding:2px 0",
    )


def _left_out(left_out: Mapping[str, str]) -> Html:
    """Questions that the loader left out, by name."""
    rows = [row(["question", "why it is left out"], left=2, head=True)]
    rows += [row(list(pair), left=2) for pair in left_out.items()]
    return details(f"{len(left_out)} questions left out", table(rows), style=SMALL)


def _trials(plan: Plan) -> Html:
    """What varies, trial by trial."""
    varying = list(plan.experiment.varying)
    rows = [row(["trial", *varying], left=1 + len(varying), head=True)]
    for planned in plan.trials[:LISTED]:
        params = planned.trial.params
        cells = [str(params[name]) if name in params else "" for name in varying]
        rows.append(row([tag("code", planned.id), *cells], left=1 + len(varying)))
    rest = len(plan.trials) - LISTED
    more = [small(f"… and {rest} more")] if rest > 0 else []
    return details(f"{len(plan.trials)} trials", table(rows), *more, style=SMALL)
