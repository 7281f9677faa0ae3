"""What a benchmark of providers found: a document, a frame, a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class ProviderBench:
    """A benchmark's document, as it is kept and printed."""

    content: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.content["benchmark"])

    @property
    def whole(self) -> bool:
        """Whether all that was asked for was measured, and can be believed."""
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

    def record(self, path: str | Path) -> list[Path]:
        """Fit a latency profile to what was measured, for a simulator to play.

        Args:
            path: a YAML; of several providers, one each is written beside it.

        Returns:
            What was written.

        Raises:
            DataError: too few whole answers of one.
            StoreError: it can't be written, or what was measured isn't kept here.
        """
        from mox.bench.providers import kept, recorded
        from mox.pipeline.store import Store
        from mox.settings import settings

        place = kept.folder(Store(settings().root), self.id)
        return recorded.write(recorded.profiles(place / "records.jsonl"), Path(path))

    def text(self) -> str:
        """The table for a terminal."""
        from mox.bench.providers.table import text

        return text(self.content)

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        from mox.bench.providers.table import html

        return html(self.content)
