"""An explained trial in a terminal, readable at 100 columns."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from mox.results.paired import bounds

if TYPE_CHECKING:
    from rich.console import Console

    from mox.results.lineage.asked import Asked, Scored, ShownHit
    from mox.results.lineage.chain import Link
    from mox.results.lineage.explain import Explained

WIDTH = 100
EXCERPT = 160
"""Characters of a hit or of evidence that are shown."""


def text(one: Explained, width: int = WIDTH) -> str:
    """The explanation as plain text."""
    from rich.console import Console

    buffer = io.StringIO()
    console = Console(file=buffer, width=width, color_system=None, force_jupyter=False)
    show(one, console)
    return buffer.getvalue().rstrip()


def show(one: Explained, console: Console) -> None:
    """Print it: the trial, its chain, its means; or, with a question, that question."""
    _head(one, console)
    if one.asked is not None:
        _asked(one.asked, console)
    else:
        _chain(one, console)
        _measures(one, console)
        _compared(one, console)
        _costs(one, console)
    _links(one, console)
    if one.problems:
        _say(console, "\nDoes not hold:", "bold red")
        for problem in one.problems:
            _say(console, f"  {problem}", "red")
    elif one.trial.status == "FINISHED":
        what = "this question's scores" if one.asked else "every value"
        _say(console, f"\nWorked out anew, {what} came to what is stored.", "green")


def _say(console: Console, line: str, style: str = "", *, under: int = 0) -> None:
    """Print a line; what doesn't fit goes on below its first word, `under` columns further."""
    import textwrap

    from rich.text import Text

    start = len(line) - len(line.lstrip(" \n"))
    lead, rest = line[:start], line[start:]
    margin = " " * len(lead.strip("\n"))
    wrapped = textwrap.fill(
        rest,
        console.width,
        initial_indent=margin,
        subsequent_indent=margin + " " * under,
        break_long_words=False,
        break_on_hyphens=False,
    )
    console.print(Text("\n" * lead.count("\n") + wrapped, style=style), highlight=False,
                  soft_wrap=True)  # fmt: skip


def _head(one: Explained, console: Console) -> None:
    run, trial, corpus = one.results.run, one.trial, one.results.run.corpus
    marks = f" ({one.compared.marks})" if one.compared.marks else ""
    _say(console, f"trial {trial.id}: {one.label}{marks}", "bold")
    if trial.status != "FINISHED":
        _say(console, f"  {trial.status}{f': {trial.error}' if trial.error else ''}", "red")
    commit = run.environment.get("commit")
    tree = f", git {commit}" if commit else ""
    _say(console, f"  run {run.id} of {run.name}, begun {run.started}{tree}")
    others = [r for r in one.reported if r.run != run.id]
    for other in others[:3]:
        same = "the same scores" if other.same else "other data or code: other scores"
        _say(
            console,
            f"  also in run {other.run} of {other.name}, {other.started[:10]}: {same}",
            "dim",
        )
    if len(others) > 3:
        _say(console, f"  … and in {len(others) - 3} more runs", "dim")
    licence = corpus["about"].get("licence", "")
    card = f", card {one.card}" if one.card else ""
    _say(console, f"  corpus {corpus['name']}, fingerprint {corpus['fingerprint'][:12]}{card}")
    if licence and one.asked is None:
        _say(console, f"  licence: {licence}", "dim")


def _chain(one: Explained, console: Console) -> None:
    _say(console, "\nHow it was made, in the order of the data:", "bold")
    for link in one.chain:
        stored = bool(link.note)
        _say(
            console,
            f"  {link.ref.kind:<9} {link.ref.key[:10]}  {link.made_with}",
            "red" if link.damage and stored else "",
        )
        for line in (_made(link), _from(one, link), _versions(link)):
            if line:
                _say(console, f"{' ' * 12}{line}", "dim")


def _made(link: Link) -> str:
    """What came out of a stage, and whether it still is what it was."""
    note = link.note
    if not note:
        return link.damage
    rows = "" if link.rows is None else f"{link.rows:,} "
    parts = [f"{rows}{link.unit}", f"{note['bytes'] / 1e6:.2f} MB"]
    if note.get("seconds") is not None:
        parts.append(f"{note['seconds']:.2f} s")
    if note.get("at"):
        parts.append(str(note["at"]))
    return ", ".join([*parts, f"damaged: {link.damage}" if link.damage else "intact"])


def _from(one: Explained, link: Link) -> str:
    """What a stage was made from, and who else stands on it."""
    parts = ["from " + ", ".join(link.inputs)] if link.inputs else []
    if link.shared_by:
        total = len(one.results.run.trials) - 1
        parts.append(f"shared by {len(link.shared_by)} of {total} other trials")
    if link.other_runs:
        parts.append(f"by {len(link.other_runs)} other run{'s' * (len(link.other_runs) > 1)}")
    return "; ".join(parts)


def _versions(link: Link) -> str:
    """The stage's version, and the versions of what did the work."""
    if not link.note:
        return ""
    prints = link.note.get("fingerprint")
    said = ", ".join(f"{name} {value[:12]}" for name, value in (prints or {}).items())
    if prints is None:
        said = "its fingerprint was not noted"
    parts = [f"stage version {link.note.get('version', '?')}", said, link.outdated]
    return "; ".join(part for part in parts if part)


def _measures(one: Explained, console: Console) -> None:
    for measured in one.measures:
        _say(console, f"\n{measured.measure}, a mean over questions:", "bold")
        for split, found in measured.splits.items():
            i = found.interval
            _say(
                console,
                f"  {split:<5} {i.mean:.4f} {bounds(i.low, i.high, form='.4f')}  {i.n} questions in"
                f" {found.groups} groups",
            )
        for name, ends in (("worst", measured.worst), ("best", measured.best)):
            said = ", ".join(f"{question} {value:.3f}" for question, value in ends)
            _say(console, f"  {name:<5} {said}", "dim")
        if measured.short:
            _say(
                console,
                f"  {100 * measured.short:.0f} % of the questions had too few hits to fill the cut",
                "yellow",
            )


def _compared(one: Explained, console: Console) -> None:
    """The difference to the baseline, and the choice where this is the chosen trial."""
    versus, run = one.compared.versus, one.results.run
    if versus is not None:
        measure = run.decisive
        _say(
            console,
            f"\nAgainst the baseline {run.baseline}, {measure} on {one.compared.split}, paired by"
            f" question: {versus.mean:+.4f}{bounds(versus.low, versus.high, form='+.4f')},"
            f" p = {versus.p:.3g}, {versus.p_holm:.3g} by Holm for all trials.",
        )
    for line in one.compared.verdict:
        _say(console, f"  {line}", "dim")


def _costs(one: Explained, console: Console) -> None:
    if one.costs:
        _say(console, "\nWhat it costs:", "bold")
    for cost in one.costs:
        value = f"{cost.value:.4g}" if isinstance(cost.value, float) else f"{cost.value:,}"
        stages = ", ".join(f"{s.split('/')[0]} {s.split('/')[1][:10]}" for s in cost.stages)
        _say(console, f"  {cost.name:<20} {value:>10}  {cost.how}; from {stages}")


def _links(one: Explained, console: Console) -> None:
    links: Any = one.links
    if mlflow := links.get("mlflow"):
        _say(console, f"\nMLflow: {mlflow['trial'] or mlflow['run']}")
    for release in links.get("releases", ()):
        commit = f", git {release['commit'][:12]}" if release.get("commit") else ""
        _say(console, f"release: {release['path']}{commit}")


def _asked(asked: Asked, console: Console) -> None:
    q = asked.question
    facts = ", ".join(filter(None, (f"group {q.group}", q.split, q.kind)))
    _say(console, f"\n{q.id} ({facts}): {q.text}", "bold")
    if q.answer:
        _say(console, f"  answer: {q.answer}")
    passage = 0
    for one in asked.evidence:
        head = "or" if one.passage == passage else f"passage {one.passage}"
        passage = one.passage
        length = one.span.end - one.span.start
        shown = ", ".join(f"{n} of {length} characters @{cut}" for cut, n in one.shown.items())
        place = f"{one.span.document} [{one.span.start}:{one.span.end}]"
        _say(console, f"  {head}: {place}  {shown}")
        _say(console, f"    “{excerpt(one.text)}”", "dim")
    for document, grade in q.evidence.grades.items():
        _say(console, f"  relevant: {document} (grade {grade})")
    if not q.answerable:
        _say(console, "  no evidence: the corpus doesn't answer it, so nothing is measured")
    _say(console, "\nHits (* shows evidence):" if asked.hits else "\nNothing was found.", "bold")
    for hit in asked.hits:
        _hit(asked, hit, console)
    for scored in asked.scores:
        _scored(scored, console)


def _hit(asked: Asked, one: ShownHit, console: Console) -> None:
    """A hit that a measure sees, with its beginning; one beyond every cut, in a line."""
    hit = one.hit
    places = " ".join(f"[{start}:{end}]" for start, end in hit.spans)
    star = "*" if asked.view.relevant(hit) else " "
    line = f"{star}{one.rank:>3}  {hit.score:.4f}  row {one.row}  {hit.document} {places}"
    sides = "; ".join(
        f"{side} {f'{place.rank}. ({place.score:.4f})' if place else '–'}"
        for side, place in one.sides.items()
    )
    if not any(one.kept.values()):
        _say(console, f"  {line}  beyond every cut{f'; {sides}' if sides else ''}", "dim", under=5)
        return
    _say(console, f"  {line}", under=5)
    kept = ", ".join(f"{n:,} characters @{cut}" for cut, n in one.kept.items() if n)
    spent = [f"{n:,} tokens spent @{cut}" for cut, n in one.spent.items() if one.kept[cut]]
    facts = "; ".join([f"seen: {kept}", *spent, *([sides] if sides else [])])
    _say(console, f"       {facts}", "dim")
    _say(console, f"       {excerpt(one.text, console.width - 8)}", "dim")


def _scored(one: Scored, console: Console) -> None:
    """The formula, its numbers, and the ranks that add something."""
    value = one.stored
    _say(console, f"\n{one.measure} = {value:.4f}   {one.sum.formula}", "bold")
    numbers = ", ".join(f"{name} {number:,.6g}" for name, number in one.sum.numbers.items())
    if numbers:
        _say(console, f"  {numbers}")
    for step in one.sum.steps:
        if adds(step):
            _say(console, f"  rank {step['rank']:>3}: {steps_said(step)}", under=10)


def adds(step: Any) -> bool:
    """Whether a rank adds anything: evidence, even such as is known, or a relevant document."""
    return bool(step.get("evidence") or step.get("covered") or step.get("grade"))


def steps_said(step: Any) -> str:
    """A step in words: what it adds, and the sum so far."""
    words = []
    if "kept" in step:
        words.append(f"{step['kept']:,} characters seen, {step['evidence']:,.0f} of new evidence")
        words.append(f"coverage {step['coverage']:,.6g}")
    if "grade" in step:
        words.append(f"{step['document']} grade {step['grade']:g}")
    if "term" in step:
        words.append(f"gain {step['gain']:.4f} / {step['discount']:.4f} = {step['term']:.4f}")
    if "precision" in step:
        words.append(f"precision {step['precision']:.4f}")
    if "sum" in step:
        words.append(f"sum {step['sum']:.4f}")
    return "; ".join(words)


def excerpt(source: str, most: int = EXCERPT) -> str:
    """The beginning of a text on one line."""
    line = " ".join(source.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
