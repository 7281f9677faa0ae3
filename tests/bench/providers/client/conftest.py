"""A provider of our own, and cells that ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mox.bench.providers.client import Cell, Target, Timeouts, Turn, measure
from mox.bench.providers.record import Load

HERE = str(Path(__file__).parent)


@pytest.fixture(scope="module")
def shared_prompts() -> Iterator[Any]:
    """The module that makes prompts; the asking processes find it too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        import asked

        yield asked


@pytest.fixture(scope="module")
def shared_server() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        from stand_in import Server

        found = Server()
        yield found
        found.close()


@pytest.fixture
def prompts(shared_prompts: Any) -> Any:
    return shared_prompts


@pytest.fixture
def server(shared_server: Any) -> Any:
    """As if nothing had been asked of it."""
    shared_server.forget()
    return shared_server


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
