"""kill -9 before every write, lock and rename in turn: the same call again equals undisturbed.

The names are those of `hook/watch.py`: who does it, what, and to which file; `torn` is a kill in
mid-write, which leaves half a file. A boundary that is not on the lists fails the first test.
"""

from __future__ import annotations

import re
import shutil
import signal
from collections import Counter
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(900)

STORE = (
    "pipeline.store._create: open the temporary store.json",
    "pipeline.store._create: sync the temporary store.json",
    "pipeline.store._create: sync the temporary store.json, torn",
    "pipeline.store._create: link store.json",
    "pipeline.store._create: remove the temporary store.json",
)
ANNOUNCED = (
    "pipeline.running.collecting: open a lock",
    "pipeline.running.collecting: lock a lock",
    "pipeline.running._announce: make the folder of running",
    "pipeline.running._announce: open the temporary file of running",
    "pipeline.running._announce: sync the temporary file of running",
    "pipeline.running._announce: sync the temporary file of running, torn",
    "pipeline.running._announce: lock the temporary file of running",
    "pipeline.running._announce: rename to the file of running",
    "pipeline.running.collecting: unlock a lock",
)
ARTIFACT = (
    "pipeline.store.write: make the folder of artifacts",
    "pipeline.store.write: make a stage's folder",
    "pipeline.store.write: make the temporary artifact",
    "pipeline.store.write: open data.npz",
    "pipeline.store.write: sync data.npz",
    "pipeline.store.write: sync data.npz, torn",
    "pipeline.store.write: open artifact.json",
    "pipeline.store.write: sync artifact.json",
    "pipeline.store.write: sync artifact.json, torn",
    "pipeline.store.write: rename to the artifact",
    "pipeline.store.write: sync a stage's folder",
)
MEMO = (
    "pipeline.memo._append: make an embedder's folder",
    "pipeline.memo._append: make the folder of memo",
    "pipeline.memo._append: open vectors",
    "pipeline.memo._append: sync vectors",
    "pipeline.memo._append: sync vectors, torn",
    "pipeline.memo._append: open temporary hashes",
    "pipeline.memo._append: sync temporary hashes",
    "pipeline.memo._append: sync temporary hashes, torn",
    "pipeline.memo._append: rename to hashes",
)
LITE = (
    "indexes.milvus.lite._opened: make a collection",
    "indexes.milvus.lite._opened: make collections",
    "indexes.milvus.lite._opened: make databases",
    "indexes.milvus.lite._opened: open a collection's LOCK",
    "indexes.milvus.lite._opened: lock a collection's LOCK",
    "indexes.milvus.lite._opened: make .database-staging",
    "milvus_lite.db.create_collection: make the collection's folder",
    "milvus_lite.schema.persistence.save_schema: open schema.json.tmp",
    "milvus_lite.schema.persistence.save_schema: sync schema.json.tmp",
    "milvus_lite.schema.persistence.save_schema: sync schema.json.tmp, torn",
    "milvus_lite.schema.persistence.save_schema: rename to schema.json",
    "milvus_lite.storage.wal.__init__: make wal",
    "milvus_lite.storage.wal.write_insert: open wal_data_000001.arrow",
    "milvus_lite.storage.data_file.write_data_file: make partitions",
    "milvus_lite.storage.data_file.write_data_file: make _default",
    "milvus_lite.storage.data_file.write_data_file: make data",
    "milvus_lite.storage.manifest.save: open manifest.json.tmp",
    "milvus_lite.storage.manifest.save: sync manifest.json.tmp",
    "milvus_lite.storage.manifest.save: sync manifest.json.tmp, torn",
    "milvus_lite.storage.manifest.save: rename to manifest.json",
    "milvus_lite.storage.manifest.save: sync the collection's folder",
    "milvus_lite.storage.wal.<lambda>: sync wal_data_000001.arrow",
    "milvus_lite.storage.wal.<lambda>: sync wal_data_000001.arrow, torn",
    "milvus_lite.storage.wal.<lambda>: remove wal_data_000001.arrow",
    "milvus_lite.storage.manifest.save: open manifest.json.prev",
    "milvus_lite.storage.segment.build_or_load_index: make indexes",
    "indexes.milvus.lite.embedded: unlock a collection's LOCK",
)
ENDING = (
    "results.run.save: make the folder of runs",
    "results.run.save: open the temporary file of runs",
    "results.run.save: sync the temporary file of runs",
    "results.run.save: sync the temporary file of runs, torn",
    "results.run.save: rename to the file of runs",
    "results.run.save: sync the folder of runs",
    "pipeline.estimate.learn: open the temporary timings.json",
    "pipeline.estimate.learn: sync the temporary timings.json",
    "pipeline.estimate.learn: sync the temporary timings.json, torn",
    "pipeline.estimate.learn: rename to timings.json",
    "pipeline.running._alive: lock the file of running",
    "pipeline.running.announced: remove the file of running",
)
RUN = (
    *STORE,
    "pipeline.running.collecting: make the folder of locks",
    *ANNOUNCED,
    "pipeline.execute._write_inputs: lock a lock",
    *ARTIFACT,
    "pipeline.execute._write_inputs: unlock a lock",
    "pipeline.worker.perform: open a lock",
    "pipeline.worker.perform: lock a lock",
    "pipeline.worker.perform: unlock a lock",
    "pipeline.work._embed: lock a lock",
    *MEMO,
    "pipeline.work._embed: unlock a lock",
    "pipeline.context.place_of: make the folder of services/indexes",
    "pipeline.context.place_of: make the folder of services",
    *LITE,
    "pipeline.building.rebuild_if_gone: lock a lock",
    "pipeline.building.rebuild_if_gone: unlock a lock",
    "pipeline.worker.do_together: lock a lock",
    "pipeline.worker.do_together: unlock a lock",
    *ENDING,
)
REBUILD = (
    *(name for name in ANNOUNCED if "the folder of" not in name),
    "pipeline.worker.perform: open a lock",
    "pipeline.worker.perform: lock a lock",
    "pipeline.building.rebuild_if_gone: lock a lock",
    "pipeline.building.rebuild_if_gone: open the mark of a rebuild",
    *LITE,
    "pipeline.building.rebuild_if_gone: remove the mark of a rebuild",
    "pipeline.building.rebuild_if_gone: unlock a lock",
    *(name for name in ARTIFACT if "the folder of" not in name),
    "pipeline.worker.perform: unlock a lock",
    "pipeline.worker.do_together: lock a lock",
    "pipeline.worker.do_together: unlock a lock",
    *(name for name in ENDING if "make the folder of" not in name),
)
SYNC = (
    "tracking.server.prepare: open the database's lock",
    "tracking.server.prepare: lock the database's lock",
    "tracking.server._create: commit to the temporary database",
    "tracking.server._create: rename to the database",
    "tracking.server._experiment: commit to the database",
    "tracking.server.prepare: unlock the database's lock",
    "tracking.mirror._begun: open the database's lock",
    "tracking.mirror._begun: lock the database's lock",
    "tracking.mirror._begun: commit to the database",
    "tracking.mirror._begun: unlock the database's lock",
    "tracking.mirror.finish: open a lock",
    "tracking.mirror.finish: lock a lock",
    "tracking.trials._write: commit to the database",
    "tracking.trials._write: make a folder of files",
    "tracking.trials._write: open a run's file",
    "tracking.mirror._write_parent: make a folder of files",
    "tracking.mirror._write_parent: open a run's file",
    "tracking.mirror._write_parent: commit to the database",
    "tracking.view.save: commit to the database",
    "tracking.mirror.finish: commit to the database",
    "tracking.mirror.finish: unlock a lock",
    "tracking.marker.mark: make the folder of mirrored",
    "tracking.marker.mark: open the temporary file of mirrored",
    "tracking.marker.mark: sync the temporary file of mirrored",
    "tracking.marker.mark: sync the temporary file of mirrored, torn",
    "tracking.marker.mark: rename to the file of mirrored",
    "tracking.marker.mark: sync the folder of mirrored",
)
PROMOTE = (
    "release.bundle.promote: make the folder of releases",
    "release.bundle.promote: open the temporary file of releases",
    "release.bundle.promote: sync the temporary file of releases",
    "release.bundle.promote: sync the temporary file of releases, torn",
    "release.bundle.promote: rename to the file of releases",
    "release.bundle.promote: sync the folder of releases",
    "release.registry.register: open the database's lock",
    "release.registry.register: lock the database's lock",
    "release.registry._have_model: commit to the database",
    "release.registry._version: make a run's file",
    "release.registry._version: open a run's file",
    "release.registry._version: commit to the database",
    "release.registry._point: commit to the database",
    "release.registry.register: unlock the database's lock",
)
GC = (
    "pipeline.running.collecting: open a lock",
    "pipeline.running.collecting: lock a lock",
    "results.collect.gc._artifact: lock a lock",
    "pipeline.store.remove: rename to the artifact put aside",
    "pipeline.disk.remove_tree: remove data.npz put aside",
    "pipeline.disk.remove_tree: remove artifact.json put aside",
    "pipeline.disk.remove_tree: remove folder the artifact put aside",
    "results.collect.gc._artifact: unlock a lock",
    "indexes.milvus.lite.drop: open a collection's LOCK",
    "indexes.milvus.lite.drop: lock a collection's LOCK",
    "indexes.milvus.lite.drop: remove folder .database-staging",
    "indexes.milvus.lite.drop: remove a collection's LOCK",
    "indexes.milvus.lite.drop: remove folder databases",
    "indexes.milvus.lite.drop: remove data_000001_000024.vector.hnsw.idx",
    "indexes.milvus.lite.drop: remove folder indexes",
    "indexes.milvus.lite.drop: remove data_000001_000024.parquet",
    "indexes.milvus.lite.drop: remove folder data",
    "indexes.milvus.lite.drop: remove folder _default",
    "indexes.milvus.lite.drop: remove folder partitions",
    "indexes.milvus.lite.drop: remove folder wal",
    "indexes.milvus.lite.drop: remove manifest.json",
    "indexes.milvus.lite.drop: remove manifest.json.prev",
    "indexes.milvus.lite.drop: remove schema.json",
    "indexes.milvus.lite.drop: remove folder the collection's folder",
    "indexes.milvus.lite.drop: remove folder collections",
    "indexes.milvus.lite.drop: remove folder a collection",
    "pipeline.running.collecting: unlock a lock",
)
CALLS = {
    "run": (("run", "FILE", "--offline"), RUN),
    "rebuild": (("run", "FILE", "--offline"), REBUILD),
    "sync": (("sync",), SYNC),
    "promote": (("promote", "FILE"), PROMOTE),
    "gc": (("gc",), GC),
}
"""Name → command line and its boundaries. `rebuild` is a run whose collection is gone."""

DEAR = {
    # A worker with Lite takes three CPU seconds to get there, one with an embedder two.
    *LITE,
    "pipeline.building.rebuild_if_gone: unlock a lock",
    "pipeline.context.place_of: make the folder of services",
    "pipeline.work._embed: lock a lock",
    "pipeline.memo._append: make an embedder's folder",
    "pipeline.memo._append: make the folder of memo",
    "pipeline.memo._append: sync vectors",
    "pipeline.memo._append: open temporary hashes",
    "pipeline.memo._append: sync temporary hashes",
    # The figure, which comes before these, takes two.
    "tracking.view.save: commit to the database",
    "tracking.mirror.finish: unlock a lock",
    "tracking.marker.mark: make the folder of mirrored",
    "tracking.marker.mark: open the temporary file of mirrored",
    "tracking.marker.mark: sync the temporary file of mirrored",
    "tracking.marker.mark: sync the folder of mirrored",
} - {
    "milvus_lite.schema.persistence.save_schema: rename to schema.json",
    "milvus_lite.storage.wal.write_insert: open wal_data_000001.arrow",
    "milvus_lite.storage.manifest.save: rename to manifest.json",
}
"""Killed by hand only."""
CHAINS = {
    call: [name for name in CALLS[call][1] if name not in DEAR]
    for call in ("run", "sync", "promote", "gc")
}
"""What is killed in continuous integration, in order of first occurrence."""
BY_HAND = [
    *((call, name) for call, (_, names) in CALLS.items() for name in names),
    # Where stages ran, the file of locks is open already.
    *(("online", name) for name in SYNC if name != "tracking.mirror.finish: open a lock"),
]
ALONE = (
    "pipeline.worker.perform: lock a lock",
    "pipeline.memo._append: rename to hashes",
    "pipeline.store.write: rename to the artifact",
    "milvus_lite.storage.manifest.save: rename to manifest.json",
)
KILLED = -signal.SIGKILL


class Undisturbed:
    """Calls that nothing disturbs: what each meets and comes to, and the state before it."""

    def __init__(self, caller: Any) -> None:
        self.caller = caller
        self.met: dict[str, Counter[str]] = {}
        self.came_to: dict[str, Any] = {}
        for call in ("run", "sync", "promote", "gc"):
            if call == "gc":
                shutil.rmtree(caller.home / "runs")
            self.watch(call)

    def watch(self, call: str) -> None:
        """A call on the state as it is."""
        self.caller.keep(call)
        self.met[call] = self.caller.met(*self.words(call))
        self.came_to[call] = self.outcome(call)

    def words(self, call: str) -> tuple[str, ...]:
        if call == "online":
            return ("run", self.caller.file)
        return tuple(word.replace("FILE", self.caller.file) for word in CALLS[call][0])

    def outcome(self, call: str) -> dict[str, Any]:
        """What there is after a call; after `gc`, also what the experiment comes to again."""
        found: dict[str, Any] = {"held": self.caller.held()} if call == "gc" else {}
        if call in ("run", "rebuild", "gc"):
            found["results"] = self.caller.results()
        if call in ("sync", "promote"):
            found["mlflow"] = self.caller.mirrored()
        if call == "promote":
            found["releases"] = [path.name for path in self.caller.home.glob("releases/[!.]*")]
        return found

    def check(self, call: str) -> None:
        """The call once more, left alone now, comes to what it came to undisturbed."""
        assert self.caller.call(*self.words(call)) == 0, self.caller.said()
        if call == "online":  # a run and a sync in one
            assert self.caller.results() == self.came_to["run"]["results"]
            call = "sync"
        assert self.outcome(call) == self.came_to[call]


@pytest.fixture(scope="module")
def undisturbed(caller: Any) -> Undisturbed:
    return Undisturbed(caller)


@pytest.fixture(scope="module")
def and_rebuild(undisturbed: Undisturbed) -> Undisturbed:
    """The same, with a run that finds its collection gone."""
    caller = undisturbed.caller
    caller.back_to("sync")
    shutil.rmtree(next(caller.home.glob("services/indexes/*.db")))
    caller.forget("search", "fuse", "score")
    undisturbed.watch("rebuild")
    return undisturbed


@pytest.mark.parametrize("call", ["run", "sync", "promote", "gc"])
def test_every_boundary_has_its_name_here(undisturbed: Undisturbed, call: str) -> None:
    all_are_named(undisturbed, call)


@pytest.mark.slow
def test_every_boundary_of_a_rebuild_has_its_name_here(and_rebuild: Undisturbed) -> None:
    all_are_named(and_rebuild, "rebuild")


def all_are_named(undisturbed: Undisturbed, call: str) -> None:
    met, named = undisturbed.met[call], CALLS[call][1]
    new = "\n".join(f'    "{name}",' for name in met if name not in named)
    assert set(met) == set(named), f"new:\n{new}\ngone: {sorted({*named} - {*met})}"


@pytest.mark.parametrize("call", CHAINS)
def test_killed_at_each_in_turn_and_resumed_equals_undisturbed(
    undisturbed: Undisturbed, call: str
) -> None:
    """Each kill finds the state that the one before it left; but `gc` begins anew each time,
    since in which order a folder's files go is the file system's choice."""
    caller, words = undisturbed.caller, undisturbed.words(call)
    caller.back_to(call)
    for name in CHAINS[call]:
        if name.startswith("pipeline.estimate.learn"):
            caller.forget("score")  # what took no time teaches nothing
        said = caller.call(*words, at=name)
        assert said == KILLED, f"{name} was not met: exit status {said}\n{caller.said()}"
        if call == "gc":
            assert caller.call("gc") == 0, caller.said()
            assert caller.held() == undisturbed.came_to["gc"]["held"]
            caller.back_to("gc")
    undisturbed.check(call)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALONE)
def test_a_worker_killed_alone_fails_its_trials_until_the_next_run(
    undisturbed: Undisturbed, name: str
) -> None:
    caller, words = undisturbed.caller, undisturbed.words("online")
    caller.back_to("run")
    assert caller.call(*words, "--json", at=name, alone=True) == 1
    ended = [trial for trial in caller.document()["trials"] if trial["status"] == "FAILED"]
    assert ended
    for trial in ended:
        assert not trial["metrics"]
        assert re.search("its worker died|was lost with it", trial["error"])
    undisturbed.check("online")


@pytest.mark.slow
@pytest.mark.parametrize(("call", "name"), BY_HAND)
def test_killed_here_at_first_and_later(and_rebuild: Undisturbed, call: str, name: str) -> None:
    caller, words = and_rebuild.caller, and_rebuild.words(call)
    state, watched = ("run", "sync") if call == "online" else (call, call)
    for occurrence in sorted({1, (and_rebuild.met[watched][name] + 1) // 2}):
        caller.back_to(state)
        assert caller.call(*words, at=name, occurrence=occurrence) == KILLED, caller.said()
        if call == "gc":  # what was half removed is made again, as if it had never been
            assert caller.results() == and_rebuild.came_to["gc"]["results"]
            caller.back_to(state)
            assert caller.call(*words, at=name, occurrence=occurrence) == KILLED
        and_rebuild.check(call)
