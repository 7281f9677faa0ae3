"""A growth measured once, and what stands of it in MLflow."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mox
from mox.bench import record
from mox.pipeline.store import Store
from mox.services import postgres
from mox.tracking import growth, server

SIZES = (80, 160, 240)
Content = dict[str, Any]
STOPS = {"n": 61234.5, "low": 52000.0, "high": None, "estimate": True, "because": "p95_ms"}


def written_down(folder: Path) -> dict[str, Any]:
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


def grow(folder: Path, **more: Any) -> record.Growth:
    """The growth of that corpus."""
    given = {"sizes": SIZES, "clients": [1], "seconds": 0.1, "rounds": 1, "recall": 0.5}
    return mox.growth(written_down(folder), **{**given, "p95_ms": 50, "quiet": True, **more})


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


def write(store: Store, content: Content) -> Written:
    assert growth.finish(store, content, server.tracking_uri(store.root)) is not None
    return Written(store.root)


@pytest.fixture
def experiment() -> Callable[[Path], dict[str, Any]]:
    """Says what is measured of a folder's corpus."""
    return written_down


@pytest.fixture
def ask() -> Callable[..., record.Growth]:
    """Grows a folder's corpus."""
    return grow


@pytest.fixture
def mirror() -> Callable[[Store, Content], Written]:
    """Mirrors a growth and returns what stands in MLflow then."""
    return write


@pytest.fixture
def stands_in() -> Callable[[Path], Written]:
    """Looks up what stands in the MLflow of a state folder."""
    return Written


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
        grow(folder, offline=True)
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


@pytest.fixture(scope="session")
def once(
    grown: Content, empty_mlflow: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Store, Content]:
    """The growth, with a crossing by hand, mirrored once for all that only look."""
    folder = tmp_path_factory.mktemp("once")
    shutil.copyfile(empty_mlflow, folder / "mlflow.db")
    way = {name: grown["points"][0][name] for name in ("index", "search", "clients")}
    content = {**grown, "crossing": {**way, **STOPS}}
    write(Store(folder), content)
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
