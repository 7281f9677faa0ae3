"""A trial promoted: its release, and where that is registered."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from mox.release.bundle import Release
from mox.release.registry import Registered


@dataclass(frozen=True)
class Promotion:
    """A release, and where it is registered; `registered` is None where that wasn't asked for."""

    release: Release
    registered: Registered | None

    def document(self) -> dict[str, Any]:
        """The JSON of `mox promote --json`."""
        return {
            "schema": 1,
            "release": str(self.release.path),
            "sha256": self.release.sha256,
            "trial": self.release.content["trial"],
            "registered": asdict(self.registered) if self.registered else None,
        }

    def text(self) -> str:
        """The same for a reader."""
        lines = [f"{self.release.path}", f"  {self.release.content['choice']['reason']}"]
        if self.registered:
            r = self.registered
            before = f" (before: version {r.previous})" if r.previous else ""
            lines.append(f"  MLflow model {r.model}, version {r.version}, alias {r.alias}{before}")
        return "\n".join(lines)
