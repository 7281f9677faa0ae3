"""A report as one HTML page: no network, no script; light, dark, narrow and on paper."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

from mox.results.report.content import (
    Bar,
    Block,
    Cell,
    Code,
    Commands,
    Folded,
    Lines,
    Picture,
    Report,
    Section,
    Table,
    interval_text,
    words,
)
from mox.results.show.markup import Html, around_zero, bar, details, div, image, joined, tag

MOST = 1_000_000
"""Characters of questions looked at, of all of them together; later ones are said in a line."""
VECTORS = 600_000
"""Characters of a chart as vectors above which it is drawn in pixels instead."""

STYLE = """
:root{--ink:#1f2328;--paper:#fff;--dim:#59636e;--line:#d1d9e0;--good:rgba(34,197,94,.16);
--bad:rgba(239,68,68,.16);--soft:rgba(128,128,128,.1);color-scheme:light dark}
@media screen and (prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#14181d;--dim:#9aa4af;
--line:#3a434d}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1080px;margin:0 auto;padding:20px 24px 48px}
h1{font-size:22px;margin:0 0 4px}
h2{font-size:17px;margin:32px 0 8px;padding-top:8px;border-top:1px solid var(--line)}
p{margin:6px 0}ul{margin:6px 0;padding-left:20px}li{margin:3px 0}
.facts,.note,caption{color:var(--dim);font-size:13px}
.first{font-weight:600;background:var(--bad);border-left:4px solid #dc2626;padding:10px 14px;
margin:0 0 16px}
.verdict{padding:12px 16px;margin:14px 0;border-left:4px solid #16a34a;background:var(--good)}
.verdict.refused{border-color:#dc2626;background:var(--bad)}
.verdict.plain{border-color:var(--line);background:var(--soft)}
.verdict p:first-child{font-weight:600;font-size:16px}
.scroll{overflow-x:auto;margin:8px 0}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:0 0 4px;white-space:nowrap}
th,td{padding:4px 8px;text-align:right;vertical-align:top;border-bottom:1px solid var(--line)}
th{font-weight:600}.w{text-align:left}th.w,td.w{min-width:4ch}
td.w:nth-child(2){min-width:24ch}td.n,th{white-space:nowrap}
tr.marked>*{background:var(--good)}
.minor{color:var(--dim)}.i{color:var(--dim);font-size:12px;white-space:nowrap}
.bar{display:flex;gap:8px;justify-content:flex-end;align-items:center;white-space:nowrap}
code,pre{font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
pre{background:var(--soft);padding:10px 12px;margin:8px 0;white-space:pre-wrap;
overflow-wrap:anywhere}
details{margin:8px 0}summary{cursor:pointer}
figure{margin:12px 0}figure svg,figure img{max-width:100%;height:auto;display:block}
figure svg text{fill:var(--ink)}figure svg [stroke="#ddd"]{stroke:var(--line)}
figure img{background:#fff}
@media (max-width:600px){main{padding:14px 12px 32px}h2{font-size:16px}}
@media print{@page{margin:14mm}body{font-size:11pt}main{max-width:none;padding:0}
h2{break-after:avoid}tr,figure,.verdict,pre{break-inside:avoid}.scroll{overflow:visible}.wide{display:none}td.w:nth-child(2){min-width:0}
table{font-size:8.5pt}th,td{padding:2px 4px}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""


def page(report: Report) -> str:
    """The whole document."""
    budget = [MOST]
    body = joined(
        *([tag("p", report.unfinished, more={"class": "first", "role": "alert"})]
          if report.unfinished else []),
        tag("h1", report.title),
        tag("p", report.facts, more={"class": "facts"}),
        _verdict(report),
        *(_section(section, budget) for section in report.sections),
    )  # fmt: skip
    head = joined(
        Html("<meta charset='utf-8'><meta name='viewport' content='width=device-width'>"),
        tag("title", f"NOT FINAL: {report.title}" if report.unfinished else report.title),
        Html(f"<style>{STYLE}</style>"),
    )
    inside = tag("head", head), tag("body", tag("main", body))
    return f"<!doctype html>\n{tag('html', *inside, more={'lang': 'en'})}\n"


def _verdict(report: Report) -> Html:
    said = [tag("p", line) for line in report.verdict]
    return tag(
        "section", *said, more={"class": f"verdict {report.tone}", "aria-label": "Recommendation"}
    )


def _section(section: Section, budget: list[int]) -> Html:
    parts = [_block(block, budget) for block in section.blocks]
    return tag("section", tag("h2", section.title), *parts)


def _block(block: Block, budget: list[int]) -> Html:
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Lines):
        if len(block.said) == 1:
            return tag("p", block.said[0])
        return tag("ul", *(tag("li", line) for line in block.said))
    if isinstance(block, Commands):
        return tag("pre", block.text)
    if isinstance(block, Picture):
        return _picture(block)
    if isinstance(block, Folded):
        return details(block.title, *(_block(part, budget) for part in block.parts))
    drawn = block.view._repr_html_()
    if len(drawn) > budget[0]:
        return tag("p", block.said)
    budget[0] -= len(drawn)
    return tag("details", tag("summary", block.said), div(Html(drawn)))


def _table(table: Table) -> Html:
    """A table; of a long one the rest behind a line, in figures only."""
    shown = len(table.rows) if table.shown is None else table.shown
    count = len(table.rows)
    first = [at for at in range(count) if at < shown or at in table.marked]
    parts = [_grid(table, first, drawn=True)]
    if count > shown:
        parts.append(
            details(f"{count - shown} more", _grid(table, range(shown, count), drawn=False))
        )
    if table.note:
        parts.append(tag("p", table.note, more={"class": "note"}))
    return joined(*parts)


def _grid(table: Table, rows: Iterable[int], *, drawn: bool) -> Html:
    scales = [_scale(table, column) for column in range(len(table.head))]
    head = [
        tag("th", name, more={"scope": "col", **_class(table, at)})
        for at, name in enumerate(table.head)
    ]
    body = []
    for at in rows:
        cells = [
            _cell(cell, scales[column] if drawn else None, _class(table, column))
            for column, cell in enumerate(table.rows[at])
        ]
        body.append(tag("tr", *cells, more={"class": "marked"} if at in table.marked else None))
    made = tag("table", tag("caption", table.title), tag("thead", tag("tr", *head)),
               tag("tbody", *body))  # fmt: skip
    around = {"class": "scroll", "role": "region", "aria-label": table.title, "tabindex": "0"}
    return tag("div", made, more=around)


def _class(table: Table, column: int) -> dict[str, str]:
    """`w` for words, `n` for numbers; `wide` for what paper has no room for."""
    names = ["w" if column < table.words else "n", *(["wide"] if column in table.wide else [])]
    return {"class": " ".join(names)}


def _scale(table: Table, column: int) -> tuple[float, float]:
    """What a column's bars are drawn on."""
    found = [row[column] for row in table.rows]
    bars = [cell.interval for cell in found if isinstance(cell, Bar)]
    ends = [end for i in bars for end in (i.low, i.mean, i.high) if math.isfinite(end)]
    return (min(ends), max(ends)) if ends else (0.0, 1.0)


def _cell(cell: Cell, scale: tuple[float, float] | None, kind: dict[str, str]) -> Html:
    if isinstance(cell, Code):
        return tag("td", tag("code", cell.text), more=kind)
    if not isinstance(cell, Bar):
        return tag("td", cell, more=kind)
    i = cell.interval
    sign = "+" if cell.signed else ""
    mean = f"{i.mean:{sign}.3f}"
    if not (math.isfinite(i.low) and math.isfinite(i.high)):
        return tag("td", mean, title="a single question gives no interval", more=kind)
    between = tag("span", f"[{i.low:{sign}.2f}, {i.high:{sign}.2f}]", more={"class": "i"})
    if cell.minor:
        return tag("td", mean, Html("<br>"), between, more={"class": f"{kind['class']} minor"})
    if scale is None:
        return tag("td", interval_text(cell), more=kind)
    drawn = tag("div", mean, between, _bar(cell, scale), more={"class": "bar"})
    return tag("td", drawn, more=kind)


def _bar(cell: Bar, scale: tuple[float, float]) -> Html:
    i = cell.interval
    if cell.signed:
        reach = max(abs(scale[0]), abs(scale[1])) or 1.0
        return around_zero(i.low, i.mean, i.high, reach=reach)
    return bar(i.low, i.mean, i.high, scale=scale, title=f"{words(cell)}, n = {i.n}")


def _picture(block: Picture) -> Html:
    caption = tag("figcaption", block.alt, more={"class": "note"})
    return tag("figure", _drawn(block), caption)


def _drawn(block: Picture) -> Html:
    """A chart as vectors that follow the theme; in pixels where it has too many marks."""
    import vl_convert

    from mox.results.show.figures import DRAWN_BY

    spec = json.dumps({**block.figure.spec, "background": None})
    svg = str(vl_convert.vegalite_to_svg(spec, vl_version=DRAWN_BY))
    if len(svg) <= VECTORS:
        said = tag("svg", more={"role": "img", "aria-label": block.alt}).text.split(">")[0]
        return Html(svg[svg.index("<svg") :].replace("<svg", said, 1))
    return image(block.figure.png, block.alt)
