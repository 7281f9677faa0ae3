"""A growth in MLflow: its verdict first, its curves by size, once, whatever went before."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import mox
from mox import api
from mox.bench import record
from mox.cli.app import app
from mox.errors import EngineError, MirrorWarning
from mox.pipeline.store import Store
from mox.services import postgres
from mox.tracking import curves, growth, server

pytestmark = pytest.mark.timeout(170)

SIZES = (80, 160, 240)
Content = dict[str, Any]
WAY = "pgvector_hnsw column=vector m=4 ef_construction=16 ef_search=20 iterative=off"


def experiment(folder: Path) -> dict[str, Any]:
    """A small corpus in embedded PostgreSQL."""
    return {
        "name": "grown",
        "corpus": {"kind": "evidence", "path": str(folder / "corpus")},
        "questions": {"limit": 20},
        "axes": {
            "chunk": [{"kind": "recursive", "size": 30}],
            "embed": [{"kind": "hashing", "dims": 64}],
            "index": [{"kind": "pgvector_hnsw", "m": 4, "ef_construction": 16}],
            "search": [{"kind": "dense", "k": 5, "ef_search": 20}],
        },
        "measure": ["recall@5"],
    }


def ask(folder: Path, **more: Any) -> record.Growth:
    """Its growth."""
    given = {"sizes": SIZES, "clients": [1], "seconds": 0.1, "rounds": 1, "recall": 0.5}
    return mox.growth(experiment(folder), **{**given, "p95_ms": 50, "quiet": True, **more})


class Written:
    """What stands in MLflow, by its own client."""

    def __init__(self, root: Path) -> None:
        self.client = server.client(server.tracking_uri(root))
        self.experiment = self.client.get_experiment_by_name("grown")

    def every(self) -> list[Any]:
        return list(self.client.search_runs([self.experiment.experiment_id]))

    def one(self) -> Any:
        (run,) = self.every()
        return run

    def steps(self, key: str) -> dict[int, list[float]]:
        """Values of a metric by step, all that were logged."""
        found: dict[int, list[float]] = {}
        for metric in self.client.get_metric_history(self.one().info.run_id, key):
            found.setdefault(metric.step, []).append(metric.value)
        return found

    def text(self, path: str, folder: Path) -> str:
        folder.mkdir(exist_ok=True)
        found = self.client.download_artifacts(self.one().info.run_id, path, str(folder))
        return Path(found).read_text("utf-8")


def mirror(store: Store, content: Content) -> Written:
    assert growth.finish(store, content, server.tracking_uri(store.root)) is not None
    return Written(store.root)


@pytest.fixture(scope="session")
def grown_home(
    tmp_path_factory: pytest.TempPathFactory, corpus_writer: Callable[..., Path]
) -> Iterator[Path]:
    """A folder with a corpus of some 300 chunks, and a `state` that holds a growth of it."""
    folder = tmp_path_factory.mktemp("grown")
    corpus_writer(folder / "corpus", documents=50)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOX_HOME", str(folder / "state"))
        patch.setenv("MOX_WORKERS", "1")
        ask(folder, offline=True)
    yield folder
    postgres.stop(folder / "state" / "services" / "indexes" / "postgres")


@pytest.fixture(scope="session")
def grown(grown_home: Path) -> Content:
    """What was grown there, as its document. On a busy machine any point may be INVALID, which
    tests say by hand."""
    (found,) = record.every(Store(grown_home / "state"))
    points = [{**one, "invalid": None} for one in found.content["points"]]
    return {**found.document(), "points": points}


@pytest.fixture(scope="session")
def slim(grown: Content) -> Content:
    """The same with memory by formula only: a figure costs half a second, and most tests look at
    none."""
    drawn = ("p95_ms", "p50_ms", "qps", "recall", "build_s", "index_mb", "memory_mb")
    points = [{**one, **dict.fromkeys(drawn)} for one in grown["points"]]
    return {**grown, "points": points}


STOPS = {"n": 61234.5, "low": 52000.0, "high": None, "estimate": True, "because": "p95_ms"}


@pytest.fixture(scope="module")
def once(
    grown: Content, empty_mlflow: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Store, Content]:
    """The growth, with a crossing by hand, mirrored once for all that only look."""
    folder = tmp_path_factory.mktemp("once")
    shutil.copyfile(empty_mlflow, folder / "mlflow.db")
    way = {name: grown["points"][0][name] for name in ("index", "search", "clients")}
    content = {**grown, "crossing": {**way, **STOPS}}
    mirror(Store(folder), content)
    return Store(folder), content


@pytest.fixture
def written(once: tuple[Store, Content]) -> Written:
    return Written(once[0].root)


@pytest.fixture
def store(empty_mlflow: Path, own_state: Path) -> Store:
    """A state folder of one's own, with a fresh MLflow."""
    own_state.mkdir()
    shutil.copyfile(empty_mlflow, own_state / "mlflow.db")
    return Store(own_state)


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


def test_the_description_begins_with_the_verdict(written: Written) -> None:
    run = written.one()
    note = run.data.tags["mlflow.note.content"].replace("\\", "").split("\n")
    assert note[0] == (
        "**pgvector suffices (p95 ≤ 50 ms, recall ≥ 0.5, 1 client) up to 61,200 vectors [52,000 to"
        f" no end], where its latency breaks the bound ({WAY}, 1 client); an"
        " ESTIMATE, since no such size was measured.**"
    )
    assert run.data.tags["mox.estimate"] == "true"
    assert run.data.metrics["pgvector_suffices_until"] == 61234.5
    assert note[2] == "Taken: nothing at 80 to 240 vectors; nothing at 2,400 vectors (an ESTIMATE)."
    assert note[4].startswith("Look: [the whole report](/#/experiments/")
    heads = [line.removeprefix("## ") for line in note if line.startswith("## ")]
    assert heads[:3] == ["What each size needs", "Latency: p95, ms", "Recall"]
    assert any("ESTIMATE" in line for line in note if line.startswith("| pgvector_hnsw"))


def test_a_run_has_what_was_asked_and_by_what_it_is_found(written: Written, grown: Content) -> None:
    run = written.one()
    assert run.info.status == "FINISHED"
    assert run.data.tags["mox.kind"] == "growth"
    assert run.data.tags["mox.growth"] == grown["growth"]
    params = run.data.params
    assert params["sizes"] == "80, 160, 240"
    assert (params["k"], params["dims"]) == ("5", "64")
    assert params["embed.kind"] == "hashing"
    assert {name: params[f"bound.{name}"] for name in ("p95_ms", "recall", "clients")} == {
        "p95_ms": "50.0", "recall": "0.5", "clients": "1",
    }  # fmt: skip
    assert int(params["corpora.corpus"]) >= 240
    assert params["host.cores"] == grown["host"]["cores"]


def test_metrics_are_curves_by_the_number_of_vectors(written: Written, grown: Content) -> None:
    points = grown["points"]
    name = f"{WAY.replace('=', '-')} 1 client"
    for what in ("p95_ms", "qps"):
        wanted = {one["n"]: [one[what]["median"]] for one in points}
        assert written.steps(f"{what}/{name}") == wanted
    for what in ("recall", "build_s", "formula_mb", "index_mb"):
        assert written.steps(f"{what}/{name}") == {one["n"]: [one[what]] for one in points}
    latest = written.one().data.metrics
    assert latest[f"p95_ms/{name}"] == points[-1]["p95_ms"]["median"]
    assert latest["measurements"] == 3


def test_figures_and_document_are_artifacts_that_need_no_network(
    written: Written, once: tuple[Store, Content], tmp_path: Path
) -> None:
    files = {one.path for one in written.client.list_artifacts(written.one().info.run_id)}
    drawn = {"p95_ms.html", "qps.html", "recall.html", "index_mb.html", "build_s.html"}
    assert files == {*drawn, "growth.json", "growth.md", "growth.html"}
    assert json.loads(written.text("growth.json", tmp_path / "a")) == once[1]
    for name in ("p95_ms.html", "growth.html"):
        page = written.text(name, tmp_path / "a")
        assert not re.search(r"<(script|link|img)[^>]+(src|href)=['\"]?http", page)
    assert "pgvector_hnsw" in written.text("p95_ms.html", tmp_path / "a")
    said = written.text("growth.md", tmp_path / "a")
    assert "by formula" in said
    assert "ESTIMATE" in said


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


def test_grown_again_at_another_moment_it_is_not_written_again(
    once: tuple[Store, Content],
) -> None:
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


def test_killed_while_it_was_written_it_is_completed(store: Store, slim: Content) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILL, str(store.root)], input=json.dumps(slim), text=True,
        timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    left = Written(store.root).one()
    assert left.info.status == "RUNNING"
    assert not left.data.metrics
    whole = mirror(store, slim).one()
    assert whole.info.run_id == left.info.run_id
    assert whole.info.status == "FINISHED"
    assert set(whole.data.metrics) == {*curves.series(slim), *curves.metrics(slim)}


def test_what_is_measured_later_completes_the_same_run(store: Store, slim: Content) -> None:
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
    store: Store, slim: Content
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
    store: Store, slim: Content, later: Content | None
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


def test_invalid_latencies_are_no_metrics_and_lite_says_so(grown: Content) -> None:
    first, *_ = grown["points"]
    lite = {"engine": "milvus-lite", "version": "3.2.2"}
    invalid = {**first, "invalid": "clients took 60 %", "engine": lite}
    found = curves.series({**grown, "points": [invalid]})
    mine = {key for key in found if "Milvus Lite" in key}
    assert {key.split("/")[0] for key in mine} == {"recall", "build_s", "formula_mb", "index_mb"}


def test_configurations_that_read_alike_there_keep_a_metric_each(grown: Content) -> None:
    """MLflow's alphabet has no `=` and no `@`: `a@b` and `a=b` would be one name."""
    first, second, *_ = grown["points"]
    points = [
        {**one, "index": {"kind": "x", "by": by}}
        for one, by in ((first, "a@b"), (second, "a%b"))
    ]  # fmt: skip
    found = curves.series({**grown, "points": points})
    recalls = [key for key in found if key.startswith("recall/")]
    assert len(recalls) == 2
    assert all(re.fullmatch(r"[\w\-. /]+", key) for key in found)


def test_a_growth_that_failed_altogether_is_failed(grown: Content) -> None:
    left = [{"failed": True}]
    assert growth.ended({**grown, "points": [], "left_out": left}) == "FAILED"
    assert growth.ended({**grown, "left_out": left}) == "FINISHED"
    assert growth.ended({**grown, "points": [], "left_out": [{"failed": False}]}) == "FINISHED"


def test_planted_secrets_are_nowhere_in_what_is_mirrored(
    store: Store, slim: Content, grown: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, key = "http://root:pa55-w0rd@host:5432", "sk-planted-0123456789"
    monkeypatch.setenv("MOX_POSTGRES_URI", uri)
    monkeypatch.setenv("SOME_API_KEY", key)
    said = f"failed: {uri} refused {key}"
    way = {name: slim["points"][0][name] for name in ("index", "search", "clients")}
    left = {**way, "n": 480, "why": said, "expected_s": 1.0, "failed": True}
    p95_ms = grown["points"][0]["p95_ms"]
    points = [{**slim["points"][0], "p95_ms": p95_ms, "invalid": said}, *slim["points"][1:]]
    mirror(store, {**slim, "points": points, "left_out": [left], "notes": [said],
                   "host": {"cpu": said}})  # fmt: skip
    raw = {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}
    assert sum(b"refused ***" in one for one in raw.values()) >= 4
    for path, one in raw.items():
        for secret in ("pa55-w0rd", "root:pa55", key):
            assert secret.encode() not in one, os.fspath(path)


def test_it_is_mirrored_when_it_is_grown_and_by_sync_where_it_could_not_be(
    grown_home: Path, there: Path, healthy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{healthy}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.warns(MirrorWarning, match="not mirrored to MLflow: MLflow at http://127"):
        found = ask(grown_home)
    assert found.whole
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert api.sync() == [found.id]
    run = Written(there).one()
    assert api.sync() == []
    again = ask(grown_home)
    assert again.content["points"] == found.content["points"]
    assert [one.info.run_id for one in Written(there).every()] == [run.info.run_id]
    assert run.data.params["bound.p95_ms"] == "50.0", "as the command line has it, from 50"


def test_a_server_that_is_away_refuses_before_anything_is_measured(
    grown_home: Path, own_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
