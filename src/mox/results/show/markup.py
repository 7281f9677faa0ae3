"""The HTML that all views are made of: what a notebook keeps that is not trusted.

JupyterLab drops `<style>`, `<svg>`, `<script>`, CSS variables and unknown properties from the
saved outputs of a notebook that it doesn't trust; `<details>`, `<mark>`, tables and inline styles
stay. So whatever is drawn is drawn by boxes with inline styles, in rgba colours that a light and a
dark theme both bear, and every number also stands there as text.
"""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mox.errors import SpecError, StoreError


@dataclass(frozen=True, slots=True)
class Html:
    """Markup that is safe already. A plain `str` is never taken for it: it is escaped."""

    text: str

    def __str__(self) -> str:
        return self.text


Part = Html | str

BLUE = "rgba(59,130,246,.85)"
"""What a trial returned."""
ORANGE = "rgba(245,158,11,.95)"
"""Evidence."""
GREEN = "rgba(34,197,94,.18)"
"""What is chosen, found or won."""
RED = "rgba(239,68,68,.18)"
"""What failed or is lost."""
GREY = "rgba(128,128,128,.18)"
MARKED = "rgba(253,224,130,.95)"
"""Evidence within a text. Opaque: its letters are a browser's black in a dark theme too."""
DIM = "opacity:.7"
SMALL = "font-size:12px"


def text(part: Part) -> str:
    """A part as markup; a plain string escaped, quotes included."""
    return part.text if isinstance(part, Html) else html.escape(part, quote=True)


def joined(*parts: Part) -> Html:
    return Html("".join(map(text, parts)))


def tag(
    name: str,
    *parts: Part,
    style: str = "",
    title: str = "",
    opened: bool = False,
    more: Mapping[str, str] | None = None,
) -> Html:
    """An element.

    Args:
        style: declarations of inline CSS; ours, never a user's.
        title: what is shown on hovering.
        opened: whether a `<details>` begins open.
        more: further attributes, for pages of our own: a notebook may drop them.
    """
    attributes = f' style="{html.escape(style, quote=True)}"' if style else ""
    attributes += f' title="{html.escape(title, quote=True)}"' if title else ""
    for key, value in (more or {}).items():
        attributes += f' {key}="{html.escape(value, quote=True)}"'
    attributes += " open" if opened else ""
    return Html(f"<{name}{attributes}>{joined(*parts)}</{name}>")


def div(*parts: Part, style: str = "", title: str = "") -> Html:
    return tag("div", *parts, style=style, title=title)


def span(*parts: Part, style: str = "", title: str = "") -> Html:
    return tag("span", *parts, style=style, title=title)


def bold(*parts: Part) -> Html:
    return tag("b", *parts)


def details(summary: Part, *parts: Part, style: str = "", opened: bool = False) -> Html:
    """Parts behind a line that opens and closes them."""
    line = tag("summary", summary, style=f"cursor:pointer;{style}".rstrip(";"))
    return tag("details", line, *parts, opened=opened)


def small(*parts: Part) -> Html:
    """A line of less weight."""
    return div(*parts, style=f"{SMALL};line-height:1.5;{DIM}")


def headline(name: str, facts: str) -> Html:
    """What a view is of, and its first facts."""
    return div(
        span(bold(name), style="font-size:15px;padding-right:8px"),
        span(facts, style=f"{SMALL};{DIM}"),
    )


def image(png: bytes, alt: str, *, style: str = "") -> Html:
    """A picture that is part of the page."""
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    made = tag("img", style=style, more={"src": source, "alt": alt})
    return Html(made.text.removesuffix("</img>"))


def badge(said: str, colour: str = GREY) -> Html:
    return span(
        said,
        style=f"background:{colour};padding:1px 6px;margin-right:4px;border-radius:8px;"
        "white-space:nowrap;font-size:11px",
    )


CELL = "padding:2px 6px;white-space:nowrap;vertical-align:middle"


def row(cells: Iterable[Part], *, left: int = 0, shade: str = "", head: bool = False) -> Html:
    """A table's row.

    Args:
        left: how many of the first cells hold words, and stand left; numbers stand right.
        shade: a background colour.
        head: whether these are the columns' names.
    """
    made = [
        tag(
            "th" if head else "td",
            cell,
            style=f"{CELL};text-align:{'left' if at < left else 'right'}",
        )
        for at, cell in enumerate(cells)
    ]
    return tag("tr", *made, style=f"background:{shade}" if shade else "")


def table(rows: Sequence[Html]) -> Html:
    """Rows, the first of them the columns' names. Scrolls sideways where it is too wide."""
    made = tag(
        "table",
        tag("thead", *rows[:1]),
        tag("tbody", *rows[1:]),
        style=f"border-collapse:collapse;margin:4px 0;{SMALL}",
    )
    return div(made, style="overflow-x:auto")


def bar(low: float, mean: float, high: float, *, scale: tuple[float, float], title: str) -> Html:
    """An interval as a bar with its mean as a tick, on a scale that a column shares."""
    start, end = scale
    width = (end - start) or 1.0

    def place(value: float) -> float:
        return 100 * min(max((value - start) / width, 0.0), 1.0)

    shown = div(
        style=f"position:absolute;left:{place(low):.1f}%;width:{place(high) - place(low):.1f}%;"
        "top:3px;height:6px;background:rgba(59,130,246,.45)"
    )
    tick = div(
        style=f"position:absolute;left:{place(mean):.1f}%;width:2px;top:0;height:12px;"
        f"background:{BLUE}"
    )
    return div(
        shown,
        tick,
        style="position:relative;width:64px;height:12px;background:rgba(128,128,128,.12)",
        title=title,
    )


def around_zero(low: float, mean: float, high: float, *, reach: float) -> Html:
    """A difference's interval as a bar on a scale with 0 in its middle, from −reach to reach."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return Html("")
    zero = div(
        style="position:absolute;left:50%;width:1px;top:0;height:12px;"
        "background:rgba(128,128,128,.9)"
    )
    shown = bar(low, mean, high, scale=(-reach, reach), title="0 is the grey line")
    return div(zero, shown, style="position:relative;width:64px")


def marked(source: str, spans: Iterable[tuple[int, int]]) -> Html:
    """A text with stretches of it marked as evidence.

    Args:
        spans: half-open, in code points of `source`; may overlap or reach beyond it.
    """
    parts: list[Part] = []
    at = 0
    for start, end in sorted(spans):
        start, end = max(start, at), min(end, len(source))
        if start < end:
            parts += [
                source[at:start],
                tag("mark", source[start:end], style=f"background:{MARKED}"),
            ]
            at = end
    return joined(*parts, source[at:])


def page(body: str, title: str) -> str:
    """A view as a whole document that needs nothing else."""
    return (
        f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        f"<title>{html.escape(title)}</title></head>"
        "<body style='font-family:system-ui,sans-serif;margin:16px;color-scheme:light dark'>"
        f"{body}</body></html>\n"
    )


def save_page(path: str | Path, body: str, title: str) -> Path:
    """Write a view to an .html file.

    Raises:
        SpecError: another ending.
        StoreError: it can't be written there.
    """
    return written(html_file(path), page(body, title))


def html_file(path: str | Path) -> Path:
    """A path that ends with .html.

    Raises:
        SpecError: another ending.
    """
    file = Path(path)
    if file.suffix != ".html":
        raise SpecError(f"{file} is no .html file.", mend="end its name with .html.")
    return file


def written(file: Path, text: str) -> Path:
    """Write a file, whole.

    Raises:
        StoreError: the system doesn't let us.
    """
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"cannot write {file}: {error.strerror}.", mend="name a folder that can be written to."
        ) from None
    return file
