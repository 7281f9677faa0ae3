"""A provider of our own, and cells that ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mox.bench.providers.client import Cell, Target, Timeouts, Turn, measure
from mox.bench.providers.record import Record

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


@dataclass(frozen=True)
class Came:
    """What came of a cell's one round, and how the server saw it."""

    turn: Turn
    asked: list[Any]
    """Without what only warmed up."""
    warmed: list[Any]

    @property
    def records(self) -> tuple[Record, ...]:
        return self.turn.records


@pytest.fixture(scope="module")
def all_at_once(
    shared_server: Any, shared_prompts: Any, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Mapping[str, Mapping[str, Any]]], Mapping[str, Came]]:
    """One round of each of many cells, in one run of the client: processes start once.

    A cell is told by its name: `load`, what is said to the provider (`say`), what else differs
    of its target (`target`), and further fields of its own.
    """

    def measured(wanted: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Came]:
        cells = [_cell(name, one, shared_server, shared_prompts) for name, one in wanted.items()]
        out = tmp_path_factory.mktemp("client") / "records.jsonl"
        found = {turn.cell.target.name: turn for turn in measure(cells, out=out, rounds=1)}
        return {name: _came(turn, shared_server) for name, turn in found.items()}

    return measured


def _cell(name: str, wanted: Mapping[str, Any], server: Any, prompts: Any) -> Cell:
    rest = dict(wanted)
    base = f"http://127.0.0.1:{server.port}"
    own = rest.pop("target", {})
    url = base if own.get("wire") == "messages" else f"{base}/v1"
    target = Target(**{"name": name, "wire": "chat", "base_url": url, "model": "m",
                       "simulated": True, **own})  # fmt: skip
    say = prompts.say(**rest.pop("say", {"n": 3}), name=name)
    if (pool := rest.pop("pool", None)) is not None:
        rest["pool"] = pool(target)
    rest = {"seconds": None, "timeouts": Timeouts(2, 1, 1, 5), **rest}
    return Cell(target, "tried", say, rest.pop("load"), **rest)


def _came(turn: Turn, server: Any) -> Came:
    own = [one for one in server.asked if one.say.get("name") == turn.cell.target.name]
    warm = [one for one in own if one.say["number"] < 0]
    return Came(turn, [one for one in own if one.say["number"] >= 0], warm)
