"""What all tests share: where the labelled corpora lie, and a state folder of one's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of labelled corpora beside the repository; absent, a failure in CI only."""
    if not SHARED.is_dir():
        reason = "the labelled corpora (shared/data beside the repository) are not here"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return SHARED


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has a state folder of its own, and no settings of the developer's."""
    for name in [name for name in os.environ if name.startswith(("MOX_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    home = tmp_path / "state"
    monkeypatch.setenv("MOX_HOME", str(home))
    return home
