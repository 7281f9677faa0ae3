"""A real Valkey of the tests' own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mox.services import valkey as service


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[str]:
    """The URL of an empty server, ended with the test."""
    with service.serving(tmp_path / "valkey") as url:
        yield url
    service.stop(tmp_path / "valkey")
