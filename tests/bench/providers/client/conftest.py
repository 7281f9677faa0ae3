"""A provider of our own, and cells that ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mox.bench.providers.client import Cell, Target, Timeouts, Turn, measure
from mox.bench.providers.record import Load, Record

HERE = str(Path(__file__).parent)


@pytest.fixture
def prompts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that makes prompts; the asking processes find it too."""
    monkeypatch.syspath_prepend(HERE)
    import asked

    return asked


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(HERE)
    from stand_in import Server

    found = Server()
    yield found
    found.close()


@pytest.fixture
def target(server: Any) -> Target:
    return Target("here", "chat", f"http://127.0.0.1:{server.port}/v1", "m", simulated=True)


@pytest.fixture
def run(target: Target, prompts: Any, tmp_path: Path) -> Callable[..., Turn]:
    """One round of one cell: its load, what the provider is told, and what else differs."""

    def one(load: Load, say: Any = None, **changes: Any) -> Turn:
        aim = replace(target, **changes.pop("target", {}))
        changes = {"seconds": None, "timeouts": Timeouts(2, 1, 1, 5), **changes}
        cell = Cell(aim, "tried", say or prompts.say(n=3), load, **changes)
        (turn,) = measure([cell], out=tmp_path / "records.jsonl", rounds=1)
        return turn

    return one


@pytest.fixture
def ask(run: Callable[..., Turn]) -> Callable[..., Record]:
    """One request, and what came of it."""

    def once(say: Any = None, **changes: Any) -> Record:
        turn = run(Load("closed", 1), say, requests=1, **changes)
        if turn.failed is not None:
            raise turn.failed
        (record,) = turn.records
        return record

    return once
