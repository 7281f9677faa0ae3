"""A growth written in MLflow again: once, completed, taken back, whatever went before."""

from __future__ import annotations

import json
import math
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mox import api
from mox.bench import record
from mox.cli.app import app
from mox.errors import EngineError, MirrorWarning
from mox.pipeline.store import Store
from mox.tracking import curves, growth, server

pytestmark = pytest.mark.timeout(170)

Content = dict[str, Any]
Mirrors = Callable[[Store, Content], Any]
Looks = Callable[[Path], Any]
STOPS = {"n": 61234.5, "low": 52000.0, "high": None, "estimate": True, "because": "p95_ms"}

LOOK = """
import json, sys
from pathlib import Path
from mox.pipeline.store import Store
from mox.tracking import growth, server
store, content = Store(Path(sys.argv[1])), json.load(sys.stdin)
uri = server.tracking_uri(store.root)
print(growth.finish(store, content, uri), len(growth.next_links(store, content)),
      "mlflow" in sys.modules)
"""


def test_what_is_mirrored_is_known_without_mlflow(once: tuple[Store, Content]) -> None:
    store, content = once
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(store.root)], input=json.dumps(content),
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == "None 3 False\n"


def test_grown_again_at_another_moment_it_is_not_written_again(once: tuple[Store, Content]) -> None:
    store, content = once
    later = {**content, "at": "2031-01-01T00:00:00Z"}
    assert growth.finish(store, later, server.tracking_uri(store.root)) is None


KILL = """
import json, os, signal, sys
from pathlib import Path
from mox.pipeline.store import Store
from mox.tracking import growth, server
def end(event, args):
    if event == "open" and str(args[0]).endswith("/growth.json"):
        os.kill(os.getpid(), signal.SIGKILL)
store, content = Store(Path(sys.argv[1])), json.load(sys.stdin)
sys.addaudithook(end)
growth.finish(store, content, server.tracking_uri(store.root))
"""


def test_killed_while_it_was_written_it_is_completed(
    store: Store, slim: Content, mirror: Mirrors, stands_in: Looks
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILL, str(store.root)], input=json.dumps(slim), text=True,
        timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    left = stands_in(store.root).one()
    assert left.info.status == "RUNNING"
    assert not left.data.metrics
    whole = mirror(store, slim).one()
    assert whole.info.run_id == left.info.run_id
    assert whole.info.status == "FINISHED"
    assert set(whole.data.metrics) == {*curves.series(slim), *curves.metrics(slim)}


def test_what_is_measured_later_completes_the_same_run(
    store: Store, slim: Content, mirror: Mirrors
) -> None:
    *some, last = slim["points"]
    way = {name: last[name] for name in ("index", "search", "clients")}
    late = {**way, "n": 240, "why": "the time was up", "expected_s": 9.0, "failed": False}
    cut = mirror(store, {**slim, "points": some, "left_out": [late]})
    run = cut.one()
    assert run.data.tags["mox.left_out"] == "1"
    assert run.data.tags["mlflow.note.content"].startswith("**NOT WHOLE: 1 of 3 measurements")
    assert "the time was up" in run.data.tags["mlflow.note.content"]
    assert run.info.status == "FINISHED"
    key = next(key for key in curves.series(slim) if key.startswith("formula_mb/"))
    assert set(cut.steps(key)) == {80, 160}
    whole = mirror(store, slim)
    assert whole.one().info.run_id == run.info.run_id
    assert whole.one().data.params == run.data.params
    assert "mox.left_out" not in whole.one().data.tags
    assert set(whole.steps(key)) == {80, 160, 240}
    for name in whole.one().data.metrics:  # the left_out of old is beside the new
        if name not in ("left_out", "measurements"):
            assert all(len(values) == 1 for values in whole.steps(name).values()), name


def test_a_measurement_that_is_invalid_now_is_no_number_any_more(
    store: Store, slim: Content, mirror: Mirrors
) -> None:
    """Only the last is timed, so that of its curve no point is left."""
    *some, last = slim["points"]
    mirror(store, {**slim, "points": [*some, {**last, "p50_ms": 2.5}]})
    there = mirror(store, {**slim, "points": [*some, {**last, "p50_ms": 2.5, "invalid": "lag"}]})
    [timed] = [key for key in there.one().data.metrics if key.startswith("p50_ms/")]
    assert [str(value) for value in there.steps(timed)[last["n"]]] == ["2.5", "nan"]
    size = timed.replace("p50_ms/", "formula_mb/")
    assert len(there.steps(size)[last["n"]]) == 1


@pytest.mark.parametrize("later", [{**STOPS, "n": None, "low": 9.0}, None], ids=["end", "curve"])
def test_a_crossing_that_is_taken_back_is_no_number_any_more(
    store: Store, slim: Content, later: Content | None, mirror: Mirrors
) -> None:
    """More was measured, and the curve has no end, or none was left that is valid."""
    way = {name: slim["points"][0][name] for name in ("index", "search", "clients")}
    first = mirror(store, {**slim, "crossing": {**way, **STOPS}}).one()
    assert first.data.metrics["pgvector_suffices_until"] == 61234.5
    run = mirror(store, {**slim, "crossing": later and {**way, **later}}).one()
    assert run.info.run_id == first.info.run_id
    assert math.isnan(run.data.metrics["pgvector_suffices_until"])
    low = run.data.metrics["pgvector_suffices_until_low"]
    assert low == 9.0 if later else math.isnan(low)
    assert "pgvector_suffices_until_high" not in run.data.metrics, "it never was one"


def test_another_bound_or_size_is_another_run_since_params_cannot_change(grown: Content) -> None:
    bound = {**grown, "bound": {**grown["bound"], "p95_ms": 7.0}}
    sizes = {**grown, "sizes": [*grown["sizes"], 480]}
    cut = {**grown, "points": grown["points"][:2], "at": "2031-01-01T00:00:00Z"}
    assert len({growth.identity(one) for one in (grown, bound, sizes)}) == 3
    assert growth.identity(cut) == growth.identity(grown)
    assert curves.params(cut) == curves.params(grown)


@pytest.fixture
def there(grown_home: Path, empty_mlflow: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder where all was measured, with a fresh MLflow."""
    state = grown_home / "state"
    for path in (state / "mirrored", state / "mlflow-artifacts"):
        shutil.rmtree(path, ignore_errors=True)
    for path in state.glob("mlflow.db*"):
        path.unlink()
    shutil.copyfile(empty_mlflow, state / "mlflow.db")
    monkeypatch.setenv("MOX_HOME", str(state))
    return state


def test_it_is_mirrored_when_it_is_grown_and_by_sync_where_it_could_not_be(
    grown_home: Path,
    there: Path,
    healthy: str,
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[..., record.Growth],
    stands_in: Looks,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{healthy}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.warns(MirrorWarning, match="not mirrored to MLflow: MLflow at http://127"):
        found = ask(grown_home)
    assert found.whole
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert api.sync() == [found.id]
    run = stands_in(there).one()
    assert api.sync() == []
    again = ask(grown_home)
    assert again.content["points"] == found.content["points"]
    assert [one.info.run_id for one in stands_in(there).every()] == [run.info.run_id]
    assert run.data.params["bound.p95_ms"] == "50.0", "as the command line has it, from 50"


def test_a_server_that_is_away_refuses_before_anything_is_measured(
    grown_home: Path,
    own_state: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[..., record.Growth],
    experiment: Callable[[Path], dict[str, Any]],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(EngineError, match=r"MLflow at http://127\.0\.0\.1:9 does not") as caught:
        ask(grown_home)
    assert "--offline" in caught.value.mend
    assert not (own_state / "artifacts").exists()
    file = tmp_path / "e.yaml"
    file.write_text(json.dumps(experiment(grown_home)))
    ran = CliRunner().invoke(app, ["bench", "growth", str(file), "--json"])
    assert ran.exit_code == 2
    assert "MLflow at" in json.loads(ran.stdout)["error"]["message"]
