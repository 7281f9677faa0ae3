"""What came of a run, in sentences: the choice, its confirmation, how sure, what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mox.evaluation.statistics import FEW, interval_methods
from mox.results.going import CUT_OFF, GOING
from mox.results.paired import bounds, reach
from mox.results.sift import sifting

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from mox.results.choose import Choice
    from mox.results.results import Results

HOPELESS = 20_000
"""So many questions nobody labels to tell two trials apart."""


def verdict(results: Results) -> list[str]:
    """The choice and what it stands on, the most important first; empty without `choose`."""
    choice = results.choice
    if choice is None:
        return []
    if choice.refused:
        return [f"Nothing is chosen: {choice.refused}"]
    said = [
        choice.reason,
        sifting(results.sifted),
        _confirmed(choice),
        _against_baseline(results, choice),
        choice.scope,
    ]
    return [line for line in said if line]


def sureness(results: Results) -> list[str]:
    """How sure the choice is, in sentences: all that `verdict` leaves out, and what it says of
    test and baseline. Empty where nothing is chosen."""
    choice = results.choice
    if choice is None or choice.trial is None:
        return []
    said = [
        _confirmed(choice) or "Not confirmed: there is no test side.",
        _optimism(results, choice),
        _against_baseline(results, choice),
        _corrected(results),
        _alternatives(results, choice),
        _alike(choice),
        _power(results, choice),
        choice.scope,
        "Intervals are 95 %, by groups of questions.",
    ]
    return [line for line in said if line]


def _confirmed(choice: Choice) -> str:
    found = (choice.test or {}).get(choice.measure)
    if found is None:
        return ""
    looks = "once" if choice.test_looks == 1 else f"by {choice.test_looks} runs"
    return (
        f"Confirmed on test: {choice.measure} {found} (n = {found.n}; this test side has been"
        f" looked at {looks}, counting runs of these very questions)."
    )


def _optimism(results: Results, choice: Choice) -> str:
    """The best-on-dev there and on test, and how much of it is luck."""
    if choice.best_dev is None or choice.optimism is None:
        return ""
    whose = "the chosen trial" if choice.best == choice.trial else "the best on dev"
    said = (
        f"On dev, where {len(results.sifted.kept)} trials were compared, {whose} has"
        f" {choice.best_dev} (n = {choice.best_dev.n})"
    )
    if choice.best_test is not None:
        said += f" and on test {choice.best_test.mean:.3f}"
    return said + (
        f"; being the best of so many adds some {max(0.0, choice.optimism):.3f} to the former"
        " (bootstrap)."
    )


def _against_baseline(results: Results, choice: Choice) -> str:
    found, trial = choice.vs_baseline, choice.trial
    if not found or trial is None or trial == results.run.baseline:
        return ""
    return (
        f"Against the baseline on {found['on']}: {found['mean']:+.3f}"
        f"{bounds(found['low'], found['high'])}, p = {found['p']:.2g}."
        f"{_small_p(results, trial, choice.measure, found)}"
    )


def _small_p(results: Results, trial: str, measure: str, found: Mapping[str, Any]) -> str:
    """Why p may be small beside an interval with 0 in it; empty where that isn't so."""
    if found["p"] > 0.05 or not found["low"] <= 0 <= found["high"]:
        return ""
    rows = results.rows(found["on"])
    groups = results.groups(rows)
    names = [one.id for one in results.finished]
    both = [names.index(name) for name in (trial, results.run.baseline)]
    chosen, baseline = results.values(measure)[rows][:, both].T
    (method,) = interval_methods(
        (chosen - baseline)[:, None], groups, bounds=reach(results, measure)
    )
    few = len(set(groups)) < FEW
    by = "question by question, as if a document's were independent" if few else "group by group"
    return (
        f" p is of these questions: were the two swapped by chance, {by}, so large a difference"
        f" would be that rare. {_ALLOWS[method]}"
    )


_ALLOWS = {
    "wilson": "The interval is found otherwise, and has 0 just in it.",
    "two-stage": "The interval draws documents and then their questions, and so has 0 in it.",
    **dict.fromkeys(
        ("bounded", "rare", "exact"),
        "The interval also allows for what so few don't show, a rare large loss or a group of them,"
        " and so has 0 in it.",
    ),
}
"""What an interval allows for and a test doesn't, by its method."""


def _corrected(results: Results) -> str:
    found = results.versus
    if not found:
        return ""
    on = "dev" if len(results.rows("dev")) else "all questions"
    trials = "other trial" if len(found) == 1 else "other trials"
    better = sum(one.sure and one.mean > 0 for one in found)
    worse = sum(one.sure and one.mean < 0 for one in found)
    return (
        f"Of {len(found)} {trials} on {on}, {better} are better and {worse} worse than the"
        " baseline (paired randomisation tests, Holm's correction, 5 % for all together; and"
        " intervals without 0)."
        f"{_beyond_showing(results, len(found))}"
    )


def _beyond_showing(results: Results, tests: int) -> str:
    """Where no difference is large enough to be called one: of n signs the least p is 2/2^n."""
    rows = results.rows("dev" if len(results.rows("dev")) else None)
    groups = len(set(results.groups(rows)))
    units, named = (groups, "groups") if groups >= FEW else (len(rows), "questions")
    least = 2.0 ** (1 - units)
    if tests * least <= 0.05:
        return ""
    times = f", times {tests}" if tests > 1 else ""
    return (
        f" None could be: the least p of {units} {named if units > 1 else named[:-1]} is"
        f" {least:.2g}{times}."
    )


def _alternatives(results: Results, choice: Choice) -> str:
    if choice.within is None:
        return ""
    others = [name for name in choice.candidates if name != choice.trial]
    named = "; ".join(results.label(results.trial(name)) for name in others[:4])
    more = f"; and {len(others) - 4} more" if len(others) > 4 else ""
    return (
        "Others that qualify (surely not worse than the best by more than"
        f" {choice.within:g}): {named or 'none'}{more}."
    )


def _alike(choice: Choice) -> str:
    alike = len(choice.indistinguishable) - 1
    if alike < 1 or choice.goal:
        return ""
    trials = "other trial" if alike == 1 else "other trials"
    return (
        f"{alike} {trials} cannot be told apart from the best by these questions (paired"
        " randomisation tests and intervals, corrected so that the truly best is among them in 95 %"
        " of cases)."
    )


def _power(results: Results, choice: Choice) -> str:
    """What these questions can show, and how many would show more."""
    if choice.smallest_difference is None:
        return ""
    rows = results.rows("dev")
    groups = len(set(results.groups(rows)))
    if len(rows) < 2:
        return "One dev question tells no two trials apart."
    in_groups = "one group" if groups == 1 else f"{groups} groups"
    said = (
        f"{len(rows)} dev questions in {in_groups} find a difference of"
        f" {choice.smallest_difference:.3f} between two trials in 80 % of cases"
    )
    if choice.separating is None:
        return said + "."
    if choice.separating > HOPELESS:
        return said + f"; over {HOPELESS:,} would be needed to separate the first two."
    return said + f"; some {choice.separating:,} would separate the first two."


def failures(results: Results) -> dict[str, list[str]]:
    """Message → ids of the trials that failed with it."""
    said: dict[str, list[str]] = {}
    for trial in results.run.trials:
        if trial.status == "FAILED":
            said.setdefault(trial.error or "no message", []).append(trial.id)
    return said


def unfinished(results: Results) -> str:
    """Why trials were skipped and how to resume; empty where none was."""
    skipped = sum(trial.status == "SKIPPED" for trial in results.run.trials)
    if not skipped:
        return ""
    if results.run.stopped in (GOING, CUT_OFF):  # without a record of how its trials ended
        said = f"{skipped} of {len(results.run.trials)} trials are not scored: "
        again = "; the same call again resumes" if results.run.stopped == CUT_OFF else ""
        return f"{said}still to come, or failed{again}."
    why = f" ({results.run.stopped})" if results.run.stopped else ""
    were = "trial was" if skipped == 1 else "trials were"
    return f"{skipped} {were} not run{why}; the same call again resumes."
