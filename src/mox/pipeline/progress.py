"""What a run shows while it goes on: a bar per stage in a terminal, one updated block in a
notebook, nothing where nobody looks."""

from __future__ import annotations

import html
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from mox.pipeline.plan import Plan
from mox.pipeline.stages import TITLES, Stage


class Silent:
    """Shows nothing."""

    def begin(self, plan: Plan, pending: list[Stage]) -> None: ...

    def started(self, stage: Stage) -> None: ...

    def left(self, stage: Stage) -> None: ...

    def finished(self, stage: Stage, *, stored: bool, failed: bool) -> None: ...

    def end(self) -> None: ...


_BAR = "{desc} {bar:24} {n_fmt:>4}/{total_fmt:<4} "


class Terminal:
    """One tqdm bar per kind of stage, on standard error; what was stored already is named."""

    def __init__(self) -> None:
        self._bars: dict[str, Any] = {}

    def begin(self, plan: Plan, pending: list[Stage]) -> None:
        from tqdm import tqdm

        todo = Counter(stage.kind for stage in pending)
        every = Counter(stage.kind for stage in plan.stages.values())
        for at, kind in enumerate(kind for kind in every if todo[kind]):
            stored = every[kind] - todo[kind]
            bar = tqdm(
                total=todo[kind],
                desc=f"{TITLES[kind]:<17}",
                position=at,
                file=sys.stderr,
                bar_format=_BAR + "{elapsed}<{remaining}{postfix}",
                dynamic_ncols=True,
            )
            if stored:
                bar.set_postfix_str(f"{stored} stored already")
            self._bars[kind] = bar

    def started(self, stage: Stage) -> None:
        bar = self._bars.get(stage.kind)
        if bar is not None and bar.n == 0:
            bar.unpause()
            bar.start_t = bar.last_print_t  # its time runs from its first stage on

    def left(self, stage: Stage) -> None: ...

    def finished(self, stage: Stage, *, stored: bool, failed: bool) -> None:
        bar = self._bars.get(stage.kind)
        if bar is None:
            return
        if failed:
            bar.set_postfix_str("some failed")
        if bar.n + 1 == bar.total:
            took = bar.format_interval(time.time() - bar.start_t)
            bar.bar_format = _BAR + took + "{postfix}"  # a bar that is full stands still
        bar.update(1)
        if bar.n == bar.total:
            bar.refresh()

    def end(self) -> None:
        for bar in self._bars.values():
            bar.close()
        self._bars = {}


@dataclass
class _Row:
    todo: int
    stored: int
    done: int = 0
    failed: int = 0
    running: set[str] = field(default_factory=set)
    """Keys of the stages that are under way."""


class Notebook:
    """One HTML display, updated in place: it survives in the saved notebook as it ended."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}
        self._handle: Any = None
        self._began = 0.0
        self._shown = 0.0

    def begin(self, plan: Plan, pending: list[Stage]) -> None:
        from IPython.display import HTML, display

        todo = Counter(stage.kind for stage in pending)
        every = Counter(stage.kind for stage in plan.stages.values())
        self._rows = {kind: _Row(todo[kind], every[kind] - todo[kind]) for kind in every}
        self._began = time.monotonic()
        self._handle = display(HTML(self._html()), display_id=True)  # type: ignore[no-untyped-call]

    def started(self, stage: Stage) -> None:
        row = self._rows[stage.kind]
        first = not row.running and not row.done
        row.running.add(stage.key)
        if first or time.monotonic() - self._shown > 0.2:
            self._show()

    def left(self, stage: Stage) -> None:
        self._rows[stage.kind].running.discard(stage.key)
        self._show()

    def finished(self, stage: Stage, *, stored: bool, failed: bool) -> None:
        row = self._rows[stage.kind]
        row.running.discard(stage.key)
        row.done += 1
        row.failed += failed
        if time.monotonic() - self._shown > 0.2:
            self._show()

    def end(self) -> None:
        for row in self._rows.values():
            row.running.clear()  # what was under way when it was stopped isn't any more
        self._show()

    def _show(self) -> None:
        from IPython.display import HTML

        self._shown = time.monotonic()
        if self._handle is not None:
            self._handle.update(HTML(self._html()))  # type: ignore[no-untyped-call]

    def _html(self) -> str:
        """Inline styles only: what a notebook keeps that is not trusted."""
        todo = sum(row.todo for row in self._rows.values())
        done = sum(row.done for row in self._rows.values())
        passed = time.monotonic() - self._began
        left = passed * (todo - done) / done if done else 0.0
        head = f"{done} of {todo} stages · {passed:.0f} s" + (
            f" · about {left:.0f} s left" if done < todo and done else ""
        )
        if not todo:
            head = "nothing to do: all is stored"
        lines = [f"<div style='font-size:12px;padding:2px 0'>{html.escape(head)}</div>"]
        for kind, row in self._rows.items():
            share = 100.0 if not row.todo else 100.0 * row.done / row.todo
            parts = [
                f"{row.done}/{row.todo}" if row.todo else "",
                f"{len(row.running)} under way" if row.running else "",
                f"{row.stored} stored" if row.stored else "",
                f"{row.failed} failed" if row.failed else "",
            ]
            said = " · ".join(part for part in parts if part)
            lines.append(
                "<div style='display:flex;align-items:center;font-size:12px'>"
                f"<div style='width:130px'>{TITLES[kind]}</div>"
                "<div style='width:220px;height:8px;background:rgba(128,128,128,.2)'>"
                f"<div style='width:{share:.0f}%;height:8px;background:rgba(59,130,246,.8)'></div>"
                f"</div><div style='padding-left:8px'>{said}</div></div>"
            )
        return "<div>" + "".join(lines) + "</div>"


def watcher(*, quiet: bool = False) -> Silent | Terminal | Notebook:
    """The progress that fits where this runs."""
    if quiet:
        return Silent()
    if "ipykernel" in sys.modules:
        return Notebook()
    return Terminal() if sys.stderr.isatty() else Silent()
