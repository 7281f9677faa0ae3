"""Where the server is, whether it answers, and its schema made once."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock

from mox.errors import EngineError, SpecError
from mox.tracking import server

pytestmark = pytest.mark.timeout(120)


def test_the_state_folder_holds_the_store_unless_a_variable_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert server.tracking_uri(tmp_path) == "http://tracking:5000"


def test_a_store_that_can_be_made_is_reachable_and_nothing_is_made(tmp_path: Path) -> None:
    server.reachable(f"sqlite:///{tmp_path}/new/folder/mlflow.db")
    assert not (tmp_path / "new").exists()


def test_a_store_is_reachable(uri: str) -> None:
    server.reachable(uri)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database, and longer than a header of one" * 9)
    with pytest.raises(EngineError, match="cannot be opened") as caught:
        server.reachable(f"sqlite:///{tmp_path}/mlflow.db")
    assert "--offline" in caught.value.mend


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match="cannot be made"):
        server.reachable(f"sqlite:///{tmp_path}/file/mlflow.db")


@pytest.fixture
def silent() -> Iterator[str]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def closed() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"127.0.0.1:{listening.getsockname()[1]}"


def test_a_healthy_server_is_reachable(healthy: str) -> None:
    server.reachable(f"http://{healthy}")
    server.reachable(f"http://user:secret@{healthy}/")


def test_another_web_server_is_refused(healthy: str) -> None:
    with pytest.raises(EngineError, match="answers 404"):
        server.reachable(f"http://{healthy}/elsewhere")


@pytest.mark.parametrize("away", ["silent", "closed"])
def test_a_server_that_is_away_is_refused_within_seconds(
    away: str, request: pytest.FixtureRequest
) -> None:
    place = request.getfixturevalue(away)
    began = time.monotonic()
    with pytest.raises(EngineError, match="does not answer") as caught:
        server.reachable(f"http://user:s3cret@{place}")
    assert time.monotonic() - began < 5
    assert "s3cret" not in str(caught.value)
    assert "mox sync" in caught.value.mend


def test_looking_does_not_import_mlflow(uri: str) -> None:
    code = (
        f"from mox.tracking import server; server.reachable({uri!r}); import sys;"
        " print('mlflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "False\n"


def test_an_experiment_is_made_once_with_its_artifacts_in_the_state_folder(
    root: Path, uri: str
) -> None:
    first = server.prepare(uri, "a name / with: signs", root)
    assert server.prepare(uri, "a name / with: signs", root) == first
    place = server.client(uri).get_experiment(first).artifact_location
    assert place.startswith((root / "mlflow-artifacts").as_uri())


def test_a_deleted_experiment_is_named_with_its_mend(root: Path, uri: str) -> None:
    made = server.prepare(uri, "gone", root)
    server.client(uri).delete_experiment(made)
    with pytest.raises(SpecError, match="'gone' was deleted in MLflow") as caught:
        server.prepare(uri, "gone", root)
    assert f"--experiment-id {made}" in caught.value.mend


def test_nothing_is_made_while_another_process_makes_it(root: Path, uri: str) -> None:
    server.prepare(uri, "warm", root)  # MLflow is imported, and this store open
    waiting = threading.Thread(target=server.prepare, args=(uri, "one", root))
    with FileLock(root / "mlflow.db.lock"):
        waiting.start()
        waiting.join(1.5)
        assert waiting.is_alive()
        assert server.client(uri).get_experiment_by_name("one") is None
    waiting.join(20)
    assert server.client(uri).get_experiment_by_name("one") is not None


def test_a_new_stores_readers_do_not_block_its_writers(empty_mlflow: Path) -> None:
    with closing(sqlite3.connect(empty_mlflow)) as opened:
        assert opened.execute("PRAGMA journal_mode").fetchone() == ("wal",)


BEGIN = """
import sys
from pathlib import Path
from mox.pipeline.store import Store
from mox.tracking import mirror, server
root = Path(sys.argv[1])
mirror.begin(Store(root), "run", "race", server.tracking_uri(root))
"""


def test_a_store_whose_making_was_killed_is_made_by_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    process = subprocess.Popen([sys.executable, "-c", BEGIN, str(folder)], env=dict(os.environ))
    try:
        while process.poll() is None:
            if any(path.stat().st_size for path in folder.glob(".mlflow.db.*-wal")):
                break  # its tables are being made
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait(10)
    assert list(folder.glob(".mlflow.db.*"))  # killed while it made one
    assert not (folder / "mlflow.db").exists()
    uri = server.tracking_uri(folder)
    server.reachable(uri)
    assert server.prepare(uri, "after", folder)
    assert not list(folder.glob(".mlflow.db.*"))


def test_two_first_users_at_once_make_one_store_one_experiment_and_one_parent(
    tmp_path: Path,
) -> None:
    """MLflow alone loses runs here: `table experiments already exists`."""
    folder = tmp_path / "new"
    folder.mkdir()
    both = [
        subprocess.Popen(
            [sys.executable, "-c", BEGIN, str(folder)], env=dict(os.environ),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path,
        )
        for _ in range(2)
    ]  # fmt: skip
    try:
        for process in both:
            said, _ = process.communicate(timeout=100)
            assert process.returncode == 0, said
            assert said == ""  # no line of MLflow's or alembic's reaches a user
    finally:
        for process in both:
            process.kill()
    client = server.client(server.tracking_uri(folder))
    experiments = [e for e in client.search_experiments() if e.name == "race"]
    assert len(experiments) == 1
    assert len(client.search_runs([experiments[0].experiment_id])) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"new"}  # no mlruns where we stand
    assert not [path for path in folder.iterdir() if path.name.startswith(".mlflow.db")]
