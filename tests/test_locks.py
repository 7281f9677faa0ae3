"""Locks: one holder a name over all processes and threads, freed with the holder."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mox.locks import Locks

HOLDER = """
import sys, time
from pathlib import Path
from mox.locks import Locks
with Locks(Path(sys.argv[1])).claim(sys.argv[2:]) as mine:
    print(sorted(mine), flush=True)
    time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "locks" / "names"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a and b."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), "a", "b"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "['a', 'b']\n"
    yield process
    process.kill()
    process.wait(10)
    process.stdout.close()


def test_what_another_process_holds_is_not_claimed_until_it_dies(
    path: Path, holder: subprocess.Popen[str]
) -> None:
    locks = Locks(path)
    with locks.claim(["b", "c", "d"]) as mine:
        assert mine == {"c", "d"}
    with pytest.raises(TimeoutError), locks.hold("a", wait_s=0.05):
        pass
    holder.kill()
    holder.wait(10)
    with locks.hold("a", wait_s=5), locks.claim(["b", "c"]) as mine:
        assert mine == {"b", "c"}


def test_two_holders_in_one_process_exclude_each_other(path: Path) -> None:
    first, second = Locks(path), Locks(path)
    with first.hold("a"):
        with pytest.raises(TimeoutError), second.hold("a", wait_s=0):
            pass
        with second.claim(["a", "b"]) as mine:
            assert mine == {"b"}
        # Leaving one name free must not free the others: the kernel would, with a handle closed.
        told = subprocess.run(
            [sys.executable, "-c", HOLDER.replace("60", "0"), str(path), "a", "b"],
            capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        assert told.stdout == "['b']\n"
    with second.hold("a", wait_s=0):
        pass


def test_a_waiting_thread_gets_the_name_when_it_is_free(path: Path) -> None:
    locks = Locks(path)
    got = threading.Event()

    def wait() -> None:
        with locks.hold("a", wait_s=20):
            got.set()

    with locks.hold("a"):
        thread = threading.Thread(target=wait)
        thread.start()
        assert not got.wait(0.1)
    thread.join(20)
    assert got.is_set()


def test_names_are_free_again_after_an_error(path: Path) -> None:
    locks = Locks(path)
    with pytest.raises(ZeroDivisionError), locks.claim(["a", "b"]):
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), locks.hold("a"):
        raise ZeroDivisionError
    with locks.claim(["a", "b"]) as mine:
        assert mine == {"a", "b"}


def test_a_state_folder_that_was_removed_gets_new_locks(path: Path) -> None:
    locks = Locks(path)
    with locks.hold("a"):
        pass
    path.unlink()
    path.parent.rmdir()
    with locks.claim(["a"]) as mine:
        assert mine == {"a"}
        assert path.exists()
