"""Servers as the index room's tests start them, and collections to put under load."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mox.indexes import indexes
from mox.indexes.exact import Exact
from mox.loadgen import Subject
from mox.testing.vectors import clustered
from mox.types import Place, Rows


def _conftest(name: str, folder: str) -> Any:
    """Another room's fixtures, as a module of its own."""
    path = Path(__file__).parents[1] / folder / "conftest.py"
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None
    assert found.loader is not None
    made = importlib.util.module_from_spec(found)
    sys.modules[name] = made
    found.loader.exec_module(made)
    return made


servers: Any = _conftest("mox_test_servers", "indexes")
stubs: Any = _conftest("mox_test_stubs", "indexes/milvus")

lite_server = servers.lite_server
shared_lite_server = servers.shared_lite_server
stub_of = stubs.stub_of

STRANGE = '''
"""Searchers with a fault each, as a third party's back end might have it."""
import os, time
from contextlib import contextmanager
import numpy as np
from mox.errors import EngineError

class Searcher:
    def __init__(self, do, log):
        self.do, self.log, self.calls = do, log, 0

    def search(self, queries, *, k, settings, where=None):
        self.calls += 1
        with open(self.log, "a") as log:
            log.write(f"search {k}\\n")
        self.do(self.calls)
        return np.arange(k, dtype=np.int32)[None], np.zeros((1, k), dtype=np.float32)

    def insert(self, ids, rows):
        time.sleep(0.3)

    def delete(self, ids):
        time.sleep(0.3)

@contextmanager
def opened(do, log):
    with open(log, "a") as stream:
        stream.write("open\\n")
    yield Searcher(do, log)
    with open(log, "a") as stream:
        stream.write("close\\n")

def nothing(calls):
    time.sleep(0.002)

def refuse_each_fourth(calls):
    time.sleep(0.001)
    if calls % 4 == 0:
        raise EngineError("refused this one.", mend="none.")

def raise_each_fourth(calls):
    time.sleep(0.001)
    if calls % 4 == 0:
        raise ValueError("no such cell")

def refuse(calls):
    if calls > 25:
        raise EngineError("gone away.", mend="none.")

def hang_after_ten(calls):
    time.sleep(0.005)
    if calls > 10:
        time.sleep(1)
        raise EngineError("took too long.", mend="none.")

def warm_up(calls):
    time.sleep(0.2 if calls == 1 else 0.002)

def die(calls):
    if calls > 25:
        os.kill(os.getpid(), 9)

def burn(calls):
    until = time.process_time() + 0.01
    while time.process_time() < until:
        pass
'''


@pytest.fixture
def strange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Subject]:
    """A subject by the name of its fault; what is asked of it is written to `log`."""
    (tmp_path / "strange_store.py").write_text(STRANGE)
    monkeypatch.syspath_prepend(str(tmp_path))
    import strange_store

    _, queries = clustered(10, 5)

    def subject(fault: str, **more: Any) -> Subject:
        log = tmp_path / f"{fault}.log"
        log.touch()
        do = getattr(strange_store, fault)
        return Subject(fault, partial(strange_store.opened, do, str(log)), queries, **more)

    return subject


@pytest.fixture
def exact(tmp_path: Path) -> Subject:
    """2,000 rows in a file, and 40 queries; each client is its own engine."""
    vectors, queries = clustered(2_000, 40)
    spec, place = Exact(), Place("load", tmp_path)
    backend = indexes[spec]
    backend.build(spec, Rows(vectors), place)
    return Subject("exact", partial(backend.open, spec, place), queries, in_client=True)
