"""How many of several questions are answered: a bar in a terminal, a line in a notebook, nothing
where nobody looks. Shown by the thread that asked; the answers come in another."""

from __future__ import annotations

import sys
import time
from typing import Any


class Counting:
    """A count that grows in one thread, and is shown in another.

    Args:
        total: of the questions.
        quiet: show nothing.
    """

    def __init__(self, total: int, *, quiet: bool = False) -> None:
        self.done = 0
        self.failed = 0
        self._total = total
        self._shown = -1
        self._began = time.monotonic()
        self._bar: Any = None
        self._handle: Any = None
        if quiet:
            return
        if "ipykernel" in sys.modules:
            from IPython.display import HTML, display

            self._handle = display(HTML(self._html()), display_id=True)  # type: ignore[no-untyped-call]
        elif sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=total,
                desc="questions",
                file=sys.stderr,
                bar_format="{desc} {bar:24} {n_fmt:>4}/{total_fmt:<4} {elapsed}<{remaining}"
                "{postfix}",
                dynamic_ncols=True,
            )

    def show(self) -> None:
        """Show how far it is, where that has changed."""
        if self.done == self._shown:
            return
        if self._bar is not None:
            if self.failed:
                self._bar.set_postfix_str(f"{self.failed} failed", refresh=False)
            self._bar.update(self.done - max(self._shown, 0))
        if self._handle is not None:
            from IPython.display import HTML

            self._handle.update(HTML(self._html()))  # type: ignore[no-untyped-call]
        self._shown = self.done

    def end(self) -> None:
        """Leave what was shown last."""
        self.show()
        if self._bar is not None:
            self._bar.close()

    def _html(self) -> str:
        words = [f"{self.done} of {self._total} questions"]
        words += [f"{time.monotonic() - self._began:.0f} s"]
        words += [f"{self.failed} failed"] if self.failed else []
        return f"<div style='font-size:12px'>{' · '.join(words)}</div>"
