"""How far a benchmark is: a bar on standard error, a line in a notebook, nothing where nobody
looks."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol


class Watching(Protocol):
    """Who is shown how far it is."""

    def begin(self, total: int) -> None:
        """So many rounds will be measured; searches may need more."""

    def round(self, name: str, *, resumed: bool) -> None:
        """One is done."""

    def tick(self) -> None:
        """Time passes."""

    def end(self) -> None:
        """No more is done."""


class Silent:
    """Shows nothing."""

    def begin(self, total: int) -> None: ...

    def round(self, name: str, *, resumed: bool) -> None: ...

    def tick(self) -> None: ...

    def end(self) -> None: ...


class Terminal:
    """One tqdm bar: rounds done, and what was measured last."""

    def __init__(self) -> None:
        self._bar: Any = None

    def begin(self, total: int) -> None:
        from tqdm import tqdm

        self._bar = tqdm(
            total=total,
            desc="rounds",
            file=sys.stderr,
            bar_format="{desc} {bar:24} {n_fmt:>4}/{total_fmt:<4} {elapsed}<{remaining} {postfix}",
            dynamic_ncols=True,
        )

    def round(self, name: str, *, resumed: bool) -> None:
        if self._bar.n >= self._bar.total:
            self._bar.total = self._bar.n + 1  # a search goes on for as long as it must
        self._bar.set_postfix_str(f"{name}{' (kept)' if resumed else ''}", refresh=False)
        self._bar.update(1)

    def tick(self) -> None:
        if self._bar is not None:
            self._bar.refresh()

    def end(self) -> None:
        if self._bar is not None:
            self._bar.close()


class Notebook:
    """One line, updated in place: it survives in the saved notebook as it ended."""

    def __init__(self) -> None:
        self._total, self._done, self._kept, self._began = 0, 0, 0, 0.0
        self._handle: Any = None

    def begin(self, total: int) -> None:
        from IPython.display import HTML, display

        self._total, self._began = total, time.monotonic()
        self._handle = display(HTML(self._html("")), display_id=True)  # type: ignore[no-untyped-call]

    def round(self, name: str, *, resumed: bool) -> None:
        self._done += 1
        self._kept += resumed
        self._show(name)

    def tick(self) -> None: ...

    def end(self) -> None:
        self._show("")

    def _show(self, name: str) -> None:
        from IPython.display import HTML

        if self._handle is not None:
            self._handle.update(HTML(self._html(name)))  # type: ignore[no-untyped-call]

    def _html(self, name: str) -> str:
        import html

        total = max(self._total, self._done)
        words = [f"{self._done} of {total} rounds", f"{time.monotonic() - self._began:.0f} s"]
        words += [f"{self._kept} kept"] if self._kept else []
        words += [html.escape(name)] if name else []
        return f"<div style='font-size:12px'>{' · '.join(words)}</div>"


def watching(*, quiet: bool = False) -> Watching:
    """The progress that fits where this runs."""
    if quiet:
        return Silent()
    if "ipykernel" in sys.modules:
        return Notebook()
    return Terminal() if sys.stderr.isatty() else Silent()
