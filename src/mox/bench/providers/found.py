"""What a benchmark of providers found: a document, a frame, a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mox.errors import SpecError

if TYPE_CHECKING:
    import pandas as pd

    from mox.bench.providers.recorded import Written
    from mox.results.show.figures import Figure


@dataclass(frozen=True, repr=False)
class ProviderBench:
    """A benchmark's document, as it is kept and printed."""

    content: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.content["benchmark"])

    @property
    def whole(self) -> bool:
        """Whether all that was asked for was measured: each condition in all its rounds, with an
        answer, and each search to its end. A row may be INVALID all the same, where the client
        could not keep up: `again=True` measures it anew."""
        return not self.content["missing"] and self.content["stopped"] is None

    def document(self) -> dict[str, Any]:
        """The JSON of `mox bench providers --json`."""
        return dict(self.content)

    def frame(self) -> pd.DataFrame:
        """A row per provider, workload and load; a column per figure: `ttft_ms.p50`, its ends
        `ttft_ms.p50.low` and `.high`, `errors.rate_limit`, …"""
        import pandas as pd

        from mox.bench.providers.table import flat

        return pd.DataFrame([flat(row) for row in self.content["rows"]])

    def figure(self, what: str = "latency", of: str | None = None) -> Figure:
        """A figure: `latency` against load, `cost` of good answers against latency with its
        Pareto edge, or `timeline`, every request by when it came.

        Args:
            of: which latency: `ttft_ms`, `itl_ms`, `e2e_ms`, `e2e_from_schedule_ms`.

        Raises:
            SpecError: no such figure, or nothing to draw.
        """
        from mox.results.show import providers as drawn

        if what == "latency":
            return drawn.latency(self.content, of or "e2e_from_schedule_ms")
        if what == "cost":
            return drawn.cost(self.content, of or "e2e_from_schedule_ms")
        if what == "timeline":
            return drawn.timeline(self.content, self._requests(), of or "ttft_ms")
        raise SpecError(f"no figure {what!r}.", mend="draw one of latency, cost and timeline.")

    def _requests(self) -> list[dict[str, Any]]:
        """Every kept request, for the time lines."""
        from mox.bench.providers.table import request_rows

        return request_rows(self._records())

    def _records(self) -> Path:
        from mox.bench.providers import kept
        from mox.pipeline.store import Store
        from mox.settings import settings

        return kept.folder(Store(settings().root), self.id) / "records.jsonl"

    def record(self, path: str | Path) -> Written:
        """Fit a latency profile to what was measured, for a simulator to play.

        Args:
            path: a YAML; of several providers, one each is written beside it.

        Returns:
            `paths` that were written, and `left_out`: why a provider has no profile.

        Raises:
            StoreError: it can't be written, or what was measured can't be read.
        """
        from mox.bench.providers import recorded

        asked = [*self.content["rows"], *self.content["missing"]]
        names = dict.fromkeys(one["provider"] for one in asked)
        return recorded.write(recorded.profiles(self._records(), names), Path(path))

    def text(self) -> str:
        """The table for a terminal."""
        from mox.bench.providers.table import text

        return text(self.content)

    def page(self) -> str:
        """The tables as a whole HTML document."""
        from mox.results.show.markup import page

        return page(self._repr_html_(), str(self.content["name"]))

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        from mox.bench.providers.table import html

        return html(self.content)
