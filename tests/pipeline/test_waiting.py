"""Who waits for another sweep's paid stage, or cuts a large corpus, says that it is alive."""

from __future__ import annotations

import threading
from pathlib import Path

from mox.embedding import embedders
from mox.pipeline.codec import unpack_chunks
from mox.pipeline.context import Context
from mox.pipeline.memo import memo_of
from mox.pipeline.stages import Ref, Stage
from mox.pipeline.store import Store
from mox.pipeline.work import chunk, queries, tokens
from mox.settings import Settings
from mox.types import Document, Evidence, Question


def test_waiting_for_an_embedders_memo_is_no_standstill(tmp_path: Path) -> None:
    store = Store(tmp_path)
    spec = embedders.parse({"kind": "hashing", "dims": 8})
    name, _ = memo_of(tmp_path, spec, embedders.fingerprint(spec))
    ticked = threading.Event()
    asked = Ref("questions", "q" * 64)
    context = Context(store, Settings(), ticked.set)
    context.kept(asked, lambda: (Question("q", "who", "q", Evidence()),))
    stage = Stage("queries", "k" * 64, {"of": spec.model_dump(mode="json")}, {"questions": asked})
    with store.lock(name):
        worker = threading.Thread(target=queries, args=(stage, context), daemon=True)
        worker.start()
        assert ticked.wait(30), "it says nothing while it waits"
        assert worker.is_alive()
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
