"""A ledger with prices that are easily reckoned, and processes that spend by it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mox.providers.budget import RunBook
from mox.providers.ledger import Ledger
from mox.providers.overrides import read_overrides
from mox.providers.prices import Prices
from mox.types.providers import Call, Usage

CALL = Call("compatible", "first", "m", "bench", trial="t1")


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> Prices:
    """1 USD for a million input tokens and 10 for output: a token is 0.000001 USD."""
    file = tmp_path_factory.mktemp("prices") / "prices.yaml"
    file.write_text(
        "prices:\n"
        "  - {provider: compatible, model: m, per: 1M, input: 1, output: 10}\n"
        "  - {provider: compatible, model: free, per: 1M, input: 0, output: 0}\n"
        "  - {provider: simulated, model: sim, per: 1M, input: 1, output: 10, simulated: true}\n"
    )
    return Prices(read_overrides(file))


@pytest.fixture
def ledger(own_state: Path) -> Ledger:
    return Ledger(own_state)


def _spend(book: RunBook, call: Call = CALL, *, tokens: int = 1_000) -> None:
    booking = book.before(call, input_tokens=tokens, max_output_tokens=0)
    book.after(booking, Usage(tokens))


WORKER = """
import sys, time
from pathlib import Path
from mox.errors import BudgetError
from mox.providers.budget import Budget, RunBook
from mox.providers.ledger import Ledger
from mox.providers.overrides import read_overrides
from mox.providers.prices import Prices
from mox.types.providers import Call, Usage

root, file, usd, hangs = sys.argv[1:]
book = RunBook(Ledger(Path(root)), Prices(read_overrides(Path(file))), run="r",
               budget=Budget.of(usd))
made = 0
print("ready", flush=True)
sys.stdin.readline()
while True:
    try:
        booking = book.before(Call("compatible", "a", "m", "bench"), input_tokens=1_000,
                              max_output_tokens=100)
    except BudgetError:
        break
    if hangs == "hangs":
        print("hangs", flush=True)
        time.sleep(60)
    book.after(booking, Usage(1_000, 0, 0, 50))
    made += 1
    print("made", flush=True)
print(made, flush=True)
"""


def _worker(ledger: Ledger, prices: Prices, usd: str, how_: str = "") -> subprocess.Popen[str]:
    root, file = ledger.file.parents[1], prices.overrides.file
    one = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(root), str(file), usd, how_],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert one.stdout is not None
    assert one.stdout.readline() == "ready\n"
    return one


def _go(one: subprocess.Popen[str]) -> None:
    assert one.stdin is not None
    one.stdin.write("\n")
    one.stdin.flush()


@pytest.fixture
def spend() -> Callable[..., None]:
    """Books a call and settles it, of 1,000 tokens where nothing else is said."""
    return _spend


@pytest.fixture
def worker() -> Callable[..., subprocess.Popen[str]]:
    """Starts a process that spends until its budget is used up, once `go` lets it."""
    return _worker


@pytest.fixture
def go() -> Callable[[subprocess.Popen[str]], None]:
    return _go
