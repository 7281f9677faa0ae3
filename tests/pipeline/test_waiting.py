"""Who waits for another sweep's paid stage says that it is alive."""

from __future__ import annotations

import threading
from pathlib import Path

from mox.embedding import embedders
from mox.pipeline.context import Context
from mox.pipeline.memo import memo_of
from mox.pipeline.stages import Ref, Stage
from mox.pipeline.store import Store
from mox.pipeline.work import queries
from mox.settings import Settings
from mox.types import Evidence, Question


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
        assert ticked.wait(10), "it says nothing while it waits"
        assert worker.is_alive()
    worker.join(10)
    assert not worker.is_alive()
