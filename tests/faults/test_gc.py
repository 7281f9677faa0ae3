"""Collecting garbage beside a running sweep, killed half way, and on a disk that is full."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mox.pipeline.store import REMOVED, Store

pytestmark = pytest.mark.timeout(240)

NOTE = {"version": 1, "spec": {}, "inputs": {}}
EXPERIMENT = """\
name: faults
corpus: {{kind: evidence, path: {corpus}}}
axes:
  chunk: [{chunks}]
  search: [{{kind: bm25, k: 5}}]
measure: [recall@5]
"""


def collect(environment: Any, *options: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "mox", "gc", "--json", *options],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def held(home: Path) -> set[str]:
    return {f"{p.parent.name}/{p.name}" for p in home.glob("artifacts/*/[!.]*")}


def test_what_a_running_sweep_has_made_stays_and_goes_once_it_was_killed(
    sweep: Any, toy_plugin: Path, small_corpus: Path
) -> None:
    """Its first run has no record yet: only that it goes on keeps what it made."""
    sweep.environment["PYTHONPATH"] = str(toy_plugin)
    text = EXPERIMENT.format(corpus=small_corpus, chunks="{kind: toy-lines}, {kind: toy-hang}")
    sweep.file.write_text(text)
    process = sweep.start()
    until = time.monotonic() + 100
    while not any(name.startswith("score/") for name in held(sweep.home)):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.1)
    before = held(sweep.home)
    status, swept = collect(sweep.environment)
    assert status == 0
    assert swept["removed"] == []
    assert before <= held(sweep.home)
    [holder] = swept["held_by"]
    assert holder["kind"] == "sweep"
    assert holder["artifacts"] >= len(before)
    run_id = holder["id"]

    process.kill()
    process.wait(10)
    _, dry = collect(sweep.environment, "--dry-run")
    reasons = {one["reason"] for one in dry["removed"]}
    assert len(reasons) == 1
    assert f"of run {run_id} (faults), cut off" in reasons.pop()
    assert before <= held(sweep.home)
    until = time.monotonic() + 20
    while True:  # a worker may live a moment longer, and hold what it writes
        status, swept = collect(sweep.environment)
        if not held(sweep.home):
            break
        assert time.monotonic() < until
    assert list((sweep.home / "running").glob("*")) == []

    sweep.file.write_text(text.replace(", {kind: toy-hang}", ""))
    again = sweep.run()
    assert {trial["status"] for trial in again["trials"]} == {"FINISHED"}
    assert collect(sweep.environment)[1]["removed"] == []
    assert list((sweep.home / "running").glob("*")) == []


def filled(root: Path, artifacts: int) -> Store:
    """A store of artifacts that no run reaches."""
    store = Store(root)
    store.write("documents", f"{0:064x}", {"x": np.zeros(250)}, {}, NOTE)
    first = store.folder("documents", f"{0:064x}")
    for at in range(1, artifacts):
        kind = ("documents", "chunk", "score")[at % 3]
        shutil.copytree(first, store.folder(kind, f"{at:064x}"))
    return store


def whole(store: Store) -> None:
    """What is stored is whole, and what was being removed has a name that nobody reads."""
    for kind, key in store.held():
        assert store.damage(kind, key) == ""
    for path in store.root.glob("artifacts/*/.*"):
        assert REMOVED in path.name


def test_kill_9_in_the_middle_leaves_only_whole_artifacts(tmp_path: Path) -> None:
    store = filled(tmp_path / "home", 90)
    for kind, key in store.held():
        for at in range(150):  # so that removing one takes long enough to be struck in it
            (store.folder(kind, key) / f"part-{at}").hardlink_to(store.root / "store.json")
    environment = {**os.environ, "MOX_HOME": str(store.root)}
    draw = random.Random(4)  # noqa: S311
    struck = 0
    for _ in range(3):
        before = len(list(store.held()))
        process = subprocess.Popen(
            [sys.executable, "-m", "mox", "gc", "--json"], env=environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wanted = before - draw.randint(1, 15)
        until = time.monotonic() + 60
        while len(list(store.held())) > wanted:
            assert time.monotonic() < until
            time.sleep(0.002)
        process.kill()
        process.wait(10)
        left = len(list(store.held()))
        struck += 0 < left < before
        whole(store)
    assert struck == 3
    status, _ = collect(environment)
    assert status == 0
    assert list(store.root.glob("artifacts/*/*")) == []
    assert list(store.root.glob("artifacts/*/.*")) == []


def test_a_disk_without_a_free_byte_can_be_collected(tmp_path: Path) -> None:
    """Any write by `gc` would fail here: RLIMIT_FSIZE lets no file grow."""
    store = filled(tmp_path / "home", 9)
    code = (
        "import resource, sys; from mox.cli import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0));"
        "sys.argv = ['mox', 'gc', '--json']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "MOX_HOME": str(store.root)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["removed"]) == 9
    assert list(store.held()) == []


# A small file system of one's own, in a user and mount namespace that ends with the process.
DISK = """
import json, os, subprocess, sys
from pathlib import Path
import numpy as np
from mox.errors import StoreError
from mox.pipeline.stages import Ref
from mox.pipeline.store import Store
from mox.results.run import Run, save

home = Path(sys.argv[1])
said = {}

def mount(*words):
    subprocess.run(["mount", *words], check=True)

def gc(name, *options):
    done = subprocess.run([sys.executable, "-m", "mox", "gc", "--json", *options],
                          capture_output=True, text=True, timeout=60)
    said[name] = [done.returncode, json.loads(done.stdout), sorted(map("/".join, store.held())),
                  [store.damage(*ref) for ref in store.held()]]

def fill(first):
    for at in range(first, first + 12):
        kind = ("documents", "chunk", "score")[at % 3]
        note = {"version": 1, "spec": {}, "inputs": {}}
        store.write(kind, f"{at:064x}", {"x": np.zeros(5000)}, {}, note)

mount("-t", "tmpfs", "-o", "size=2m", "none", str(home))
os.environ["MOX_HOME"] = str(home)
store = Store(home)
fill(0)
ref = Ref("documents", f"{0:064x}")
save(store, Run("r", "r", {}, None, (), None, "", 0, {}, ref, ref, (), (), {}, 0.0, None, "", {}))
with open(home / "ballast", "wb", buffering=0) as file:
    try:
        while True:
            file.write(bytes(4096))
    except OSError as error:
        said["errno"] = error.errno
try:
    store.write("chunk", "f" * 64, {"x": np.zeros(5000)}, {}, {})
except StoreError as error:
    said["write"] = error.message
gc("full", "--forget", "r")
(home / "ballast").unlink()

fill(12)
part = str(home / "artifacts" / "chunk")
mount("--bind", part, part)
mount("-o", "remount,ro,bind", part)
gc("part")
subprocess.run(["umount", part], check=True)
gc("after part")

left = home / "artifacts" / "chunk" / ".k.removed.0123abcd"
left.mkdir()
mount("--bind", part, part)
mount("-o", "remount,ro,bind", part)
gc("leftover")
subprocess.run(["umount", part], check=True)
gc("after leftover")

fill(24)
mount("-o", "remount,ro", str(home))
gc("dry", "--dry-run")
gc("read-only")
mount("-o", "remount,rw", str(home))
gc("writable")
print(json.dumps(said))
"""


@pytest.fixture
def on_a_disk(tmp_path: Path) -> dict[str, Any]:
    """What `gc` did on a small disk: while it was full, read-only in part, and read-only."""
    own = ["unshare", "--user", "--map-root-user", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*own, "true"], check=False).returncode:
        pytest.skip("no mount namespace of one's own can be had here")
    home = tmp_path / "disk"
    home.mkdir()
    done = subprocess.run(
        [*own, sys.executable, "-c", DISK, str(home)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_full_or_read_only_disk_is_one_clear_error_and_the_next_gc_completes(
    on_a_disk: dict[str, Any],
) -> None:
    assert on_a_disk["errno"] == 28  # ENOSPC
    assert "the disk is full" in on_a_disk["write"]
    status, document, left, _ = on_a_disk["full"]
    assert status == 0
    assert document["forgotten"] == ["r"]
    assert len(document["removed"]) == 12
    assert left == []

    # The scores go first, then a chunk is refused: what is left is whole, and named.
    status, document, left, damage = on_a_disk["part"]
    assert status == 2
    message = document["error"]["message"]
    assert "artifacts/chunk/" in message
    assert "Read-only file system; 4 of 12 artifacts were removed before it" in message
    assert "mox gc" in document["error"]["mend"]
    assert [name.split("/")[0] for name in left] == ["chunk"] * 4 + ["documents"] * 4
    assert damage == [""] * 8
    status, document, left, _ = on_a_disk["after part"]
    assert (status, len(document["removed"]), left) == (0, 8, [])

    status, document, _, _ = on_a_disk["leftover"]
    assert status == 2
    assert "chunk/.k.removed.0123abcd: Read-only file system" in document["error"]["message"]
    status, document, _, _ = on_a_disk["after leftover"]
    assert status == 0
    assert [name.split("/")[-1] for name in document["leftovers"]] == [".k.removed.0123abcd"]

    status, document, left, _ = on_a_disk["dry"]
    assert (status, len(document["removed"]), len(left)) == (0, 12, 12)
    status, document, left, damage = on_a_disk["read-only"]
    assert status == 2
    assert "Read-only file system" in document["error"]["message"]
    assert damage == [""] * 12
    status, document, left, _ = on_a_disk["writable"]
    assert (status, len(document["removed"]), left) == (0, 12, [])
