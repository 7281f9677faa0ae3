"""A plan in words and in JSON: unique stages, what is stored, how long, how many dollars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from mox.pipeline.dollars import costs, in_all, money
from mox.pipeline.estimate import estimate
from mox.pipeline.plan import Plan
from mox.pipeline.stages import TITLES


def describe(plan: Plan, workers: int) -> dict[str, Any]:
    """The JSON of `mox plan --json`."""
    todo = Counter(stage.kind for stage in plan.pending())
    every = Counter(stage.kind for stage in plan.stages.values())
    guess = estimate(plan, workers)
    paid = costs(plan)
    real, simulated = in_all(paid)
    corpus = plan.corpus
    return {
        "schema": 1,
        "experiment": plan.experiment.name,
        "run_id": plan.run_id,
        "corpus": {
            "name": corpus.name,
            "fingerprint": corpus.fingerprint,
            "documents": len(corpus.documents),
            "questions": len(corpus.questions),
            "left_out": dict(corpus.left_out),
        },
        "trials": [{"id": t.id, "params": t.trial.params} for t in plan.trials],
        "stages": {
            "total": len(plan.stages),
            "stored": len(plan.stages) - sum(todo.values()),
            "to_run": sum(todo.values()),
            "by_kind": {
                kind: {"total": n, "stored": n - todo[kind], "to_run": todo[kind]}
                for kind, n in every.items()
            },
        },
        "seconds": round(guess["seconds"], 1),
        "load_seconds": round(guess["by_kind"].get("load", 0.0), 1),
        "seconds_known": round(guess["known"], 3),
        "usd": float(real),
        "usd_simulated": float(simulated),
        "usd_by": [cost.document() for cost in paid],
        "budget_usd": plan.experiment.budget.usd,
        "notes": list(plan.notes),
    }


def text(plan: Plan, workers: int) -> str:
    """The same for a reader."""
    facts = describe(plan, workers)
    stages = facts["stages"]
    corpus = facts["corpus"]
    lines = [
        f"{facts['experiment']}: {len(facts['trials'])} trials on {corpus['name']}"
        f" ({corpus['documents']} documents, {corpus['questions']} questions)",
        "",
        f"{'stage':<18}{'in all':>8}{'stored':>8}{'to run':>8}",
    ]
    for kind, row in stages["by_kind"].items():
        lines.append(f"{TITLES[kind]:<18}{row['total']:>8}{row['stored']:>8}{row['to_run']:>8}")
    lines.append(f"{'':<18}{stages['total']:>8}{stages['stored']:>8}{stages['to_run']:>8}")
    known = facts["seconds_known"]
    basis = "from earlier runs" if known > 0.9 else "from stated defaults"
    if 0 < known <= 0.9:
        basis = f"{known:.0%} from earlier runs, the rest from stated defaults"
    lines += [
        "",
        f"about {facts['seconds']:.0f} s ({basis}), {_dollars(facts)}"
        if stages["to_run"]
        else "everything is stored: a run takes no time and no money.",
        *map(cost_line, facts["usd_by"]),
    ]
    if said := budget_line(facts):
        lines.append(said)
    if facts["load_seconds"]:
        lines.append(
            f"of these about {facts['load_seconds'] / 60:.1f} min under load, with the machine to"
            " itself: leave it alone meanwhile."
        )
    lines += [f"note: {note}" for note in facts["notes"]]
    return "\n".join(lines)


def _dollars(facts: Mapping[str, Any]) -> str:
    if not facts["usd_by"]:
        return "$ 0.00: no paid provider is called."
    return f"about {dollars(facts)}, before a call is made:"


def dollars(facts: Mapping[str, Any]) -> str:
    """What a plan costs: real money, and apart from it what is simulated."""
    real = f"$ {money(facts['usd'])}"
    if not facts["usd_simulated"]:
        return real
    return f"{real}, and simulated $ {money(facts['usd_simulated'])}"


def cost_line(cost: Mapping[str, Any]) -> str:
    """What one embedder will cost, and what that is known from."""
    known = f"{cost['texts']:,} texts not embedded yet"
    if cost["basis"] == "texts":
        basis = f"counted: {known}"
    else:
        basis = "estimated: from the corpus' characters, since some chunks aren't cut yet"
    simulated = ", simulated: nobody is paid" if cost["simulated"] else ""
    return (
        f"  $ {money(cost['usd'])}  {cost['embedder']}: {cost['tokens']:,} tokens"
        f" ({basis}){simulated}"
    )


def budget_line(facts: Mapping[str, Any]) -> str:
    """That the budget will stop the run, where it looks so; empty else. Real and simulated money
    are two purses, each of the whole budget."""
    budget = facts["budget_usd"]
    if budget is None or max(facts["usd"], facts["usd_simulated"]) <= budget:
        return ""
    return (
        f"budget.usd is {budget:g}: the run stops before the call that would exceed it, keeps what"
        " is done, and the next run goes on from there."
    )
