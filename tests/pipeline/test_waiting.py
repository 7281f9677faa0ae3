"""Who waits for what another sweep holds, or cuts a large corpus, says that it is alive; and holds
nothing meanwhile that others need."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mox.embedding import embedders
from mox.indexes import indexes
from mox.indexes.milvus import lite
from mox.indexes.milvus.specs import Flat
from mox.pipeline.building import rebuild_if_gone
from mox.pipeline.codec import unpack_chunks
from mox.pipeline.context import Context
from mox.pipeline.loading import MEASURING, load_all
from mox.pipeline.memo import memo_of
from mox.pipeline.stages import Ref, Stage
from mox.pipeline.store import Store
from mox.pipeline.work import chunk, queries, tokens
from mox.settings import Settings
from mox.testing.vectors import clustered
from mox.types import Document, Evidence, Question, Rows

Work = Callable[[Context], object]


def memo(store: Store) -> tuple[str, Work]:
    """An embedder's memo, which a paid stage of another sweep may hold."""
    spec = embedders.parse({"kind": "hashing", "dims": 8})
    name, _ = memo_of(store.root, spec, embedders.fingerprint(spec))
    asked = Ref("questions", "q" * 64)
    stage = Stage("queries", "k" * 64, {"of": spec.model_dump(mode="json")}, {"questions": asked})

    def work(context: Context) -> object:
        context.kept(asked, lambda: (Question("q", "who", "q", Evidence()),))
        return queries(stage, context)

    return name, work


def loads(_: Store) -> tuple[str, Work]:
    """The machine, which another sweep's loads have to themselves."""
    return MEASURING, lambda context: list(load_all([], context))


def collection(store: Store) -> tuple[str, Work]:
    """A collection that another sweep looks after; it has no rows, and is noted with none."""
    source = Ref("build", "b" * 64)
    store.write(*source, {}, {"rows": None}, {"spec": {"of": {"kind": "HNSW", "m": 4}}})
    return source.key, lambda context: rebuild_if_gone(source, {}, context)


@pytest.mark.parametrize("held", [memo, loads, collection])
def test_waiting_for_what_another_sweep_holds_is_no_standstill(
    tmp_path: Path, held: Callable[[Store], tuple[str, Work]]
) -> None:
    store = Store(tmp_path)
    name, work = held(store)
    ticked = threading.Event()
    context = Context(store, Settings(), ticked.set)
    with store.lock(name):
        worker = threading.Thread(target=work, args=(context,), daemon=True)
        worker.start()
        assert ticked.wait(30), "it says nothing while it waits"
        assert worker.is_alive()
    worker.join(30)
    assert not worker.is_alive()


def test_who_waits_gives_the_open_collection_back(tmp_path: Path) -> None:
    """In Milvus Lite one process has a collection at a time, by a lock on its folder: who is
    waited for may want this one."""
    store, spec, source = Store(tmp_path), Flat(), Ref("build", "b" * 64)
    ticked = threading.Event()
    context = Context(store, Settings(), ticked.set)
    place = context.place(source, spec)
    indexes[spec].build(spec, Rows(clustered(8, 1)[0]), place)
    context.opened(source, spec)

    def wait() -> None:
        with context.alone("held"):
            pass

    with (lite.folder(place) / "LOCK").open("w") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with store.lock("held"):
            worker = threading.Thread(target=wait, daemon=True)
            worker.start()
            assert ticked.wait(30)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    worker.join(30)
    assert not worker.is_alive()


def test_cutting_and_counting_many_documents_is_no_standstill(tmp_path: Path) -> None:
    """And tells the parent far less often than once a document."""
    ticks: list[str] = []
    context = Context(Store(tmp_path), Settings(), lambda: ticks.append("tick"))
    documents, cut = Ref("documents", "d" * 64), Ref("chunk", "c" * 64)
    many = tuple(Document(f"d{n}", f"Text of document {n}.", "") for n in range(400))
    context.kept(documents, lambda: many)
    spec = {"of": {"kind": "whole"}, "tokenizer": "cl100k"}
    made = chunk(Stage("chunk", cut.key, spec, {"documents": documents}), context)
    assert made.facts == {"chunks": 400}
    assert 0 < len(ticks) < 200
    ticks.clear()
    context.kept(cut, lambda: unpack_chunks(dict(made.arrays)))
    inputs = {"chunk": cut, "documents": documents}
    tokens(Stage("tokens", "t" * 64, {"tokenizer": "cl100k"}, inputs), context)
    assert 0 < len(ticks) < 200
