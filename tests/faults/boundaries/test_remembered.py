"""kill -9 at each boundary of an answer that is asked for, paid and remembered."""

from __future__ import annotations

import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mox.simulation.serving import Served, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PRICES = """\
prices:
  - {provider: simulated, model: sim-swift, per: 1M, simulated: true, input: 0.20, output: 1.00}
"""
SCRIPT = Path(__file__).with_name("remembering.py")
QUESTIONS = 4
KILLED = -signal.SIGKILL
REMEMBERED = (
    "providers.remembered._alone: make the folder of locks",
    "providers.remembered._alone: open a lock",
    "providers.remembered._alone: lock a lock",
    "providers.answers.put: make the folder of answers",
    "providers.answers.put: make the folder of memo",
    "providers.answers.put: open a temporary answer",
    "providers.answers.put: rename to an answer",
    "providers.remembered._alone: unlock a lock",
)


class Asking:
    """The same questions, asked again and again."""

    def __init__(self, caller: Any, served: Served) -> None:
        self.caller, self.served = caller, served
        self.words = ("python", str(SCRIPT), served.url, str(caller.folder / "prices.yaml"))
        served.reset()
        self.met: Counter[str] = caller.met(*self.words)
        self.answers, hits, misses = caller.document()
        assert (hits, misses) == (0, QUESTIONS)

    def anew(self) -> None:
        self.caller.back_to("nothing")
        self.served.reset()

    def asked(self) -> int:
        return sum(one["admitted"] for one in self.served.stats()["accounts"])


@pytest.fixture(scope="module")
def asking(
    tmp_path_factory: pytest.TempPathFactory, new_caller: Callable[..., Any]
) -> Iterator[Asking]:
    folder = tmp_path_factory.mktemp("remembered")
    (folder / "prices.yaml").write_text(PRICES)
    with serving({"time_scale": 0.01}) as served:
        caller = new_caller(folder, {})
        caller.keep("nothing")
        try:
            yield Asking(caller, served)
        finally:
            caller.close()


def test_every_boundary_has_its_name_here(asking: Asking) -> None:
    own = ("providers.remembered", "providers.answers")
    assert {name for name in asking.met if name.startswith(own)} == set(REMEMBERED)


@pytest.mark.parametrize("name", REMEMBERED)
def test_killed_here_one_answer_at_most_is_paid_for_again(asking: Asking, name: str) -> None:
    asking.anew()
    occurrence = (asking.met[name] + 1) // 2
    assert asking.caller.call(*asking.words, at=name, occurrence=occurrence) == KILLED
    assert asking.caller.call(*asking.words) == 0, asking.caller.said()
    answers, hits, misses = asking.caller.document()
    # A second attempt at a request has another answer: so does what was answered and lost.
    others = sum(one != other for one, other in zip(answers, asking.answers, strict=True))
    assert others == asking.asked() - QUESTIONS
    assert hits + misses == QUESTIONS
    assert QUESTIONS <= asking.asked() <= QUESTIONS + 1
    with closing(sqlite3.connect(asking.caller.home / "ledger" / "calls.sqlite")) as db:
        assert db.execute("SELECT COUNT(*) FROM calls").fetchone() == (asking.asked(),)
        assert db.execute("SELECT COUNT(*) FROM held").fetchone() == (0,)
    assert asking.caller.call(*asking.words) == 0
    assert asking.caller.document() == [answers, QUESTIONS, 0]
