"""Writing to MLflow: found by tag, created once, only what differs."""

from __future__ import annotations

