"""An inspected question as HTML: rulers of the sources, and hits with their evidence marked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mox.results.lineage.inspection import coverage, within
from mox.results.show.markup import (
    BLUE,
    DIM,
    GREEN,
    GREY,
    ORANGE,
    SMALL,
    Html,
    Part,
    badge,
    bold,
    details,
    div,
    joined,
    marked,
    span,
)

if TYPE_CHECKING:
    from mox.results.lineage.inspection import Answered, Inspection
    from mox.results.questions import Hit
    from mox.types import Span

LONGEST = 1500
"""Characters of a hit that are shown; of a longer one those around its first evidence."""
BEFORE = 200
"""Characters shown before the first evidence where a hit is cut."""
RULERS = 8
"""Documents of a trial whose rulers are drawn: those with evidence first."""
OPENED = 2
"""Hits with evidence that begin open."""


def drawn(view: Inspection) -> str:
    """The whole view."""
    columns = [_trial(view, one) for one in view.trials]
    return str(
        div(
            _question(view),
            _evidence(view),
            div(*columns, style="display:flex;flex-wrap:wrap;gap:16px"),
        )
    )


def _question(view: Inspection) -> Html:
    asked = view.question
    badges = [badge(said) for said in (asked.id, asked.split or "", asked.kind) if said]
    parts = [div(bold(asked.text), style="font-size:14px;padding:2px 0"), div(*badges)]
    if asked.answer:
        parts.append(div(span("answer: ", style=DIM), asked.answer, style=SMALL))
    return div(*parts, style="padding-bottom:4px")


def _evidence(view: Inspection) -> Html:
    """What answers the question: all of the passages, each at any of its places."""
    evidence = view.question.evidence
    if evidence.grades:
        said = ", ".join(f"{name} (grade {grade})" for name, grade in evidence.grades.items())
        return div(span("relevant documents: ", style=DIM), said, style=SMALL)
    if not evidence.groups:
        return div("No evidence: the corpus doesn't answer this question.", style=SMALL)
    return div(*(_passage(view, group) for group in evidence.groups))


def _passage(view: Inspection, group: tuple[Span, ...]) -> Html:
    first, *others = group
    quoted = view.documents[first.document].text[first.start : first.end]
    parts: list[Part] = [
        span(_place(first.document, [(first.start, first.end)]), style=f"{DIM};padding-right:6px"),
        marked(quoted, [(0, len(quoted))]),
    ]
    if others:
        places = [div(_place(one.document, [(one.start, one.end)])) for one in others]
        said = "or at one other place" if len(others) == 1 else f"or at any of {len(others)} others"
        parts.append(details(said, *places, style=DIM))
    return div(*parts, style=f"{SMALL};padding:2px 0")


def _place(document: str, spans: Iterable[tuple[int, int]]) -> str:
    return f"{document} {' '.join(f'[{start}:{end}]' for start, end in spans)}"


def _trial(view: Inspection, one: Answered) -> Html:
    """A column: what the trial covers, where its hits lie, and the hits themselves."""
    marks = [badge(mark, GREEN) for mark in one.marks.split(", ") if mark]
    scores = " · ".join(f"{name} {value:.3f}" for name, value in one.scores.items())
    head = [
        div(bold(one.label), " ", *marks, style="font-size:13px"),
        div(coverage(view, one), style="font-size:13px;padding:2px 0"),
        div(f"{one.trial} · {scores}" if scores else one.trial, style=f"{SMALL};{DIM}"),
    ]
    return div(
        *head, _rulers(view, one), *_hits(view, one), style="flex:1;min-width:340px;max-width:760px"
    )


def _rulers(view: Inspection, one: Answered) -> Html:
    """Each document as a line: hits above in blue (grey beyond the cut), evidence below."""
    judged = [*(s.document for group in view.question.evidence.groups for s in group),
              *view.question.evidence.grades]  # fmt: skip
    names = list(dict.fromkeys([*judged, *(hit.document for hit in one.hits)]))
    known = [name for name in names if name in view.documents]
    rows = [_ruler(view, one, name) for name in known[:RULERS]]
    if len(known) > RULERS:
        rows.append(div(f"… hits in {len(known) - RULERS} more documents", style=f"{SMALL};{DIM}"))
    return div(*rows, style="padding:4px 0")


def _ruler(view: Inspection, one: Answered, name: str) -> Html:
    length = max(len(view.documents[name].text), 1)
    boxes = []
    for hit, shown in reversed(list(zip(one.hits, one.seen, strict=True))):
        if hit.document == name:
            colour = BLUE if shown else "rgba(128,128,128,.45)"
            boxes += [_box(start, end, length, colour, top=0) for start, end in hit.spans]
    boxes += [_box(start, end, length, ORANGE, top=7) for start, end in view.evidence_in(name)]
    label = div(
        name,
        style="width:130px;font-size:11px;overflow:hidden;text-overflow:ellipsis;"
        "white-space:nowrap",
        title=f"{name}, {length:,} characters",
    )
    line = div(
        *boxes,
        style="position:relative;flex:1;height:12px;background:rgba(128,128,128,.15)",
    )
    return div(label, line, style="display:flex;gap:6px;align-items:center;padding:1px 0")


def _box(start: int, end: int, length: int, colour: str, *, top: int) -> Html:
    left, width = 100 * start / length, 100 * (end - start) / length
    return div(
        style=f"position:absolute;left:{min(left, 99.4):.2f}%;width:{max(width, 0.6):.2f}%;"
        f"top:{top}px;height:5px;background:{colour}"
    )


def _hits(view: Inspection, one: Answered) -> list[Html]:
    """Hits by rank; the first with evidence are open, and a line says where the cut is."""
    parts = []
    opened = 0
    cut = False
    for rank, (hit, shown) in enumerate(zip(one.hits, one.seen, strict=True), start=1):
        if not shown and not cut:
            cut = True
            said = f"beyond {within(view.measure)}: not counted by {view.measure}"
            parts.append(div(said, style=f"{SMALL};{DIM};padding:6px 0 2px 0"))
        relevant = view.relevant(hit)
        begins_open = relevant and bool(shown) and opened < OPENED
        opened += begins_open
        parts.append(_hit(view, rank, hit, shown, relevant=relevant, opened=begins_open))
    return parts


def _hit(
    view: Inspection, rank: int, hit: Hit, shown: int, *, relevant: bool, opened: bool
) -> Html:
    grade = view.question.evidence.grades.get(hit.document)
    words = [f"#{rank} {_place(hit.document, hit.spans)} · {hit.score:.3f}"]
    if grade is not None:
        words.append(f"grade {grade}")
    elif relevant:
        words.append("evidence")
    style = f"{SMALL};background:{GREEN if relevant else GREY};padding:1px 6px;margin:1px 0"
    if not shown:
        style += f";{DIM}"
    body = div(
        _texts(view, hit, shown),
        style=f"{SMALL};padding:4px 8px;white-space:pre-wrap;overflow-wrap:anywhere",
    )
    return details(" · ".join(words), body, style=style, opened=opened)


def _texts(view: Inspection, hit: Hit, shown: int) -> Html:
    """A hit's returned text, evidence marked; paler from where the measure's cut falls in it."""
    text = view.documents[hit.document].text
    gold = view.evidence_in(hit.document)
    parts: list[Part] = []
    for start, end in hit.spans:
        begin, finish = _window(start, end, gold)
        cut = min(max(start + shown, begin), finish)
        shown = max(shown - (end - start), 0)
        if parts:
            parts.append(" … ")
        if begin > start:
            parts.append(span(f"({begin - start:,} characters before) … ", style=DIM))
        parts.append(_piece(text, begin, cut, gold))
        if cut < finish:
            parts.append(span(_piece(text, cut, finish, gold), style="opacity:.45"))
        if finish < end:
            parts.append(span(f" … ({end - finish:,} characters more)", style=DIM))
    return joined(*parts)


def _window(start: int, end: int, gold: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """What is shown of a span: all of it, or the part around its first evidence."""
    if end - start <= LONGEST:
        return start, end
    inside = [at for at, stop in gold if at < end and start < stop]
    begin = max(start, min(inside) - BEFORE) if inside else start
    begin = min(begin, end - LONGEST)
    return begin, begin + LONGEST


def _piece(text: str, start: int, end: int, gold: Iterable[tuple[int, int]]) -> Html:
    return marked(text[start:end], [(low - start, high - start) for low, high in gold])
