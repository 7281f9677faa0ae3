"""What a worker has open, and how it gives it back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from mox.errors import EngineError
from mox.indexes import indexes
from mox.pipeline.context import Context
from mox.pipeline.stages import Ref
from mox.pipeline.store import Store
from mox.settings import Settings
from mox.spec import IndexSpec


class Lost(IndexSpec):
    kind: Literal["test-lost"] = "test-lost"


class Lossy:
    """An engine that is away by the time it is closed, unless it knows that already."""

    def __init__(self) -> None:
        self.told: list[BaseException] = []

    @contextmanager
    def open(self, spec: Lost, place: Any) -> Iterator[Any]:
        try:
            yield self
        except EngineError as error:
            self.told.append(error)
            raise
        else:
            raise EngineError("the engine is away.", mend="start it.")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Lossy:
    indexes.kinds()  # ours are registered once, and not into what is taken back
    monkeypatch.setattr(indexes, "_entries", dict(indexes._entries))
    return indexes.register(Lost, fingerprint=lambda _: {})(Lossy())


@pytest.fixture
def context(tmp_path: Path, engine: Lossy) -> Context:
    found = Context(Store(tmp_path), Settings(), lambda: None)
    found.opened(Ref("build", "b" * 64), Lost())
    return found


def test_an_engine_that_failed_is_told_and_doesn_t_fail_again(
    context: Context, engine: Lossy
) -> None:
    error = EngineError("lost in mid-search.", mend="start it.")
    context.close_engine(error)
    assert engine.told == [error]
    context.close_engine()  # and nothing is open any more


def test_an_engine_that_fails_only_in_closing_says_so(context: Context) -> None:
    with pytest.raises(EngineError, match="the engine is away"):
        context.close_engine()
