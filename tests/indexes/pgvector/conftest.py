"""PostgreSQL for tests: embedded, each ended with its folder."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mox.services import postgres


@pytest.fixture(scope="session")
def postgres_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server's folder as it was left, to be copied: making one takes two seconds of CPU."""
    folder = tmp_path_factory.mktemp("made") / "postgres"
    with postgres.serving(folder):
        pass
    postgres.stop(folder)
    return folder


@pytest.fixture(scope="session")
def postgres_copy(postgres_made: Path) -> Callable[[Path], None]:
    """Makes a server's folder, as if one had run there. Whoever starts it ends it."""

    def copy(folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", str(postgres_made), str(folder)], check=True, timeout=60)

    return copy


@pytest.fixture(scope="session")
def postgres_uri(
    postgres_copy: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """One server by its URI, for all tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("pg") / "postgres"
    postgres_copy(folder)
    with postgres.serving(folder) as uri:
        yield uri
    postgres.stop(folder)
