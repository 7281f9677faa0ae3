"""The store: whole or absent, verified when read, one writer per key, whoever is killed."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from mox.errors import StoreError
from mox.pipeline.disk import unreadable
from mox.pipeline.store import DamagedError, Store

KEY = "ab" * 32
NOTE = {"version": 1, "spec": {}, "inputs": {}, "seconds": 0.0}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_what_was_written_is_read_back(store: Store) -> None:
    store.write("chunk", KEY, {"a": np.arange(5), "b": np.ones((2, 3))}, {"n": 5}, NOTE)
    artifact = store.read("chunk", KEY)
    assert artifact.arrays["a"].tolist() == [0, 1, 2, 3, 4]
    assert artifact.arrays["b"].shape == (2, 3)
    assert artifact.facts == {"n": 5}
    assert list(store.held()) == [("chunk", KEY)]


def test_a_second_write_keeps_the_first_bytes(store: Store) -> None:
    store.write("chunk", KEY, {"a": np.zeros(3)}, {}, NOTE)
    before = (store.folder("chunk", KEY) / "data.npz").read_bytes()
    store.write("chunk", KEY, {"a": np.ones(3)}, {}, NOTE)
    assert (store.folder("chunk", KEY) / "data.npz").read_bytes() == before
    assert not list(store.folder("chunk", KEY).parent.glob(".*"))


@pytest.mark.parametrize("damage", ["cut", "flip", "sidecar"])
def test_damage_is_found_and_removed(store: Store, damage: str) -> None:
    store.write("chunk", KEY, {"a": np.arange(100)}, {}, NOTE)
    data = store.folder("chunk", KEY) / "data.npz"
    raw = bytearray(data.read_bytes())
    if damage == "cut":
        data.write_bytes(raw[:-20])
        assert not store.has("chunk", KEY)
    elif damage == "flip":
        raw[len(raw) // 2] ^= 1
        data.write_bytes(raw)
    else:
        (store.folder("chunk", KEY) / "artifact.json").write_text("{")
    with pytest.raises(DamagedError, match="damaged"):
        store.read("chunk", KEY)
    assert not store.has("chunk", KEY)
    assert not store.folder("chunk", KEY).exists()


@contextmanager
def no_file_can_be_opened() -> Iterator[None]:
    """This process holds as many files as it may."""
    few, limit = 256, resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, limit[1]))
    try:
        with suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for handle in held:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


@pytest.mark.parametrize("ask", ["read", "sidecar", "has", "damage", "keys"])
def test_what_cannot_be_read_for_now_is_no_damage_and_stays(store: Store, ask: str) -> None:
    store.write("chunk", KEY, {"a": np.arange(100)}, {}, NOTE)
    words = ("chunk",) if ask == "keys" else ("chunk", KEY)
    with (
        no_file_can_be_opened(),
        pytest.raises(StoreError, match="cannot be read: Too many open files") as caught,
    ):
        getattr(store, ask)(*words)
    assert not isinstance(caught.value, DamagedError)
    assert "ulimit -n" in caught.value.mend
    assert store.read("chunk", KEY).arrays["a"].tolist() == list(range(100))


@pytest.mark.parametrize("ask", ["look", "damage", "read"])
def test_what_can_never_be_read_may_be_removed_and_is_redone(store: Store, ask: str) -> None:
    store.write("chunk", KEY, {"a": np.arange(9)}, {}, NOTE)
    data = store.folder("chunk", KEY) / "data.npz"
    data.unlink()
    data.symlink_to(data)  # a loop: no user and no disk will ever read it
    with pytest.raises(StoreError, match=str(store.folder("chunk", KEY))) as caught:
        getattr(store, ask)("chunk", KEY)
    assert "or remove that folder, which is redone" in caught.value.mend
    shutil.rmtree(store.folder("chunk", KEY))
    assert not store.has("chunk", KEY)


def test_what_was_maybe_paid_for_is_not_said_to_be_redone() -> None:
    said = unreadable(Path("memo/x.vectors.npy"), OSError(errno.EIO, "Input/output error"))
    assert "remove that folder" not in said.mend


def test_a_store_of_a_newer_mox_is_refused(store: Store) -> None:
    (store.root / "store.json").write_text(json.dumps({"schema": 99, "id": "x"}))
    with pytest.raises(StoreError, match=r"newer Mox \(store schema 99"):
        Store(store.root)


def test_a_store_keeps_its_identity(store: Store) -> None:
    assert Store(store.root).id == store.id


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)],
        capture_output=True,
        timeout=20,
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root on Linux")
    try:
        store = Store(small)
        store.write("chunk", KEY, {"a": np.arange(10)}, {}, NOTE)
        with pytest.raises(StoreError, match="the disk is full"):
            store.write("embed", KEY, {"a": np.zeros(1_000_000)}, {}, NOTE)
        assert not store.has("embed", KEY)
        assert not list((small / "artifacts" / "embed").iterdir())
        assert store.read("chunk", KEY).arrays["a"].tolist() == list(range(10))
    finally:
        subprocess.run(["umount", str(small)], check=True, timeout=20)


WRITER = """
import sys, numpy as np
from pathlib import Path
from mox.pipeline.store import Store
store = Store(Path(sys.argv[1]))
print("ready", flush=True)
for at in range(100000):
    store.write("chunk", f"{at:064x}", {"a": np.full(20000, at)}, {"at": at}, {"inputs": {}})
"""


def test_kill_9_at_any_moment_leaves_only_whole_artifacts(tmp_path: Path) -> None:
    root = tmp_path / "store"
    for wait in (0.05, 0.11, 0.17, 0.23):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            time.sleep(wait)
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.wait(10)
            writer.stdout.close()
    store = Store(root)
    found = [key for kind, key in store.held()]
    assert found
    for key in found:
        artifact = store.read("chunk", key)
        assert (artifact.arrays["a"] == artifact.facts["at"]).all()


HOLDER = """
import sys, time
from pathlib import Path
from mox.pipeline.store import Store
with Store(Path(sys.argv[1])).lock("k" * 64):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_is_freed_when_its_holder_is_killed(store: Store) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(store.root)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(TimeoutError), store.lock("k" * 64, wait_s=0.1):
            pass
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait(10)
        with store.lock("k" * 64, wait_s=5):
            pass
    finally:
        holder.kill()
        holder.wait(10)
        holder.stdout.close()
