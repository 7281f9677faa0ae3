"""Small corpora on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[[str, list[Any]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write lines to a file under tmp_path; what is no text is written as JSON."""

    def to(name: str, lines: list[Any]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path.write_text("".join(row + "\n" for row in rows), encoding="utf-8", newline="")
        return path

    return to
