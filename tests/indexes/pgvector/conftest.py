"""PostgreSQL for tests: embedded, each ended with its folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mox.services import postgres


@pytest.fixture(scope="session")
def postgres_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of one embedded server for all tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("pg") / "postgres"
    yield folder
    postgres.stop(folder)


@pytest.fixture(scope="session")
def postgres_uri(postgres_folder: Path) -> Iterator[str]:
    """The same by its URI, as any other server."""
    with postgres.serving(postgres_folder) as uri:
        yield uri
