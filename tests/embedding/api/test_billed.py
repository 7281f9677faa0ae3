"""What an embeddings API answers is paid for, of use or not, and whether it says what it counted or
not; and no budget is exceeded by what it counts."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mox.embedding import embedders
from mox.errors import BudgetError, ProviderError
from mox.providers.budget import Budget, RunBook
from mox.providers.ledger import Ledger
from mox.providers.prices import Prices
from mox.types.providers import Call, Usage

CALL = Call("compatible", "default", "m", "embed")
JSON = {"content-type": "application/json"}
TEXT = "word " * 100
"""500 bytes; a token is at least one of them, and four are added: 504 tokens at most."""
MOST = Decimal("0.000504")
USED = 900
"""What the API says that it counted: 0.0009 USD."""


@pytest.fixture
def prices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("prices: [{provider: compatible, model: m, per: 1M, input: 1}]\n")
    monkeypatch.setenv("MOX_PRICES", str(file))


@pytest.fixture
def new_book(tmp_path: Path, prices: None) -> Callable[..., RunBook]:
    ledger = Ledger(tmp_path / "state")

    def opened(usd: str = "1") -> RunBook:
        return RunBook(ledger, Prices.load(), run=usd, budget=Budget.of(usd))

    return opened


def client(api: Any, **more: Any) -> Any:
    settings = {"kind": "compatible", "base_url": api.url, "model": "m", "dims": 4, **more}
    spec = embedders.parse(settings)
    return embedders[spec](spec)


def saying(api: Any, body: Callable[[list[str]], dict[str, Any]]) -> None:
    api.spoil = lambda asked: (200, JSON, json.dumps(body(asked["input"])).encode())


def rows(texts: list[str], dims: int = 4) -> list[dict[str, Any]]:
    return [{"index": at, "embedding": [1.0] * dims} for at, _ in enumerate(texts)]


def lines(tmp_path: Path) -> list[dict[str, Any]]:
    return list(Ledger(tmp_path / "state").rows())


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 0, "total_tokens": 0}])
def test_an_answer_that_is_not_counted_costs_the_most_that_it_can(
    api: Any, new_book: Callable[..., RunBook], tmp_path: Path, usage: Any
) -> None:
    saying(api, lambda texts: {"data": rows(texts), "usage": usage})
    book, model = new_book("0.0012"), client(api)
    for _ in range(2):
        found = model.buy([TEXT], book, CALL)
        # A token for each word, and one for the last space.
        assert (found.usage, found.booked) == (Usage(101), Usage(504))
    with pytest.raises(BudgetError, match="would be exceeded"):
        model.buy([TEXT], book, CALL)
    assert len(api.requests) == 2
    assert book.standing().spent == 2 * MOST
    assert all("the most that it may have cost" in line["note"] for line in lines(tmp_path))


USELESS: dict[str, Callable[[list[str]], list[Any]]] = {
    "vectors of 3 dimensions, not 4": lambda texts: rows(texts, dims=3),
    "1 vectors for 2 texts": lambda texts: rows(texts)[1:],
    "its vectors can't be read": lambda texts: [{"index": at} for at, _ in enumerate(texts)],
    "its vectors can't be": lambda texts: [{**row, "index": 7} for row in rows(texts)],
}


@pytest.mark.parametrize("said", USELESS)
@pytest.mark.parametrize("counted", [True, False])
def test_an_answer_that_is_no_use_is_paid_once(
    api: Any, new_book: Callable[..., RunBook], tmp_path: Path, said: str, counted: bool
) -> None:
    usage = {"usage": {"prompt_tokens": USED}} if counted else {}
    saying(api, lambda texts: {"data": USELESS[said](texts), **usage})
    book = new_book()
    with pytest.raises(ProviderError, match=said):
        client(api).buy([TEXT, TEXT], book, CALL)
    assert len(api.requests) == 1
    [line] = lines(tmp_path)
    assert line["error"] == ("unusable" if "can't" in said else "bad_request")
    assert Decimal(line["usd"]) == (Decimal("0.0009") if counted else 2 * MOST)


def test_vectors_without_numbers_are_in_the_order_of_the_texts(
    api: Any, new_book: Callable[..., RunBook]
) -> None:
    saying(
        api,
        lambda texts: {
            "data": [
                {"embedding": [float(at == n) for n in range(4)]} for at, _ in enumerate(texts)
            ],
            "usage": {"prompt_tokens": USED},
        },
    )
    book = new_book()
    found = client(api).buy(["a", "b", "c"], book, CALL)
    assert found.vectors.argmax(axis=1).tolist() == [0, 1, 2]
    assert len(api.requests) == 1
    assert book.standing().spent == Decimal("0.0009")


@pytest.mark.parametrize("usd", ["0.00025", "0.0007", "0.0015"])
def test_no_budget_is_exceeded_where_a_text_has_more_tokens_than_the_one_before(
    api: Any, new_book: Callable[..., RunBook], usd: str
) -> None:
    counts = iter([100, 300, 500, 100, 500])  # cl100k counts 101
    saying(api, lambda texts: {"data": rows(texts), "usage": {"prompt_tokens": next(counts)}})
    book, model = new_book(usd), client(api)

    def spend() -> None:
        while True:
            model.buy([TEXT], book, CALL)

    with pytest.raises(BudgetError, match="would be exceeded"):
        spend()
    assert book.standing().spent <= Decimal(usd)


@contextmanager
def interrupted() -> Iterator[None]:
    """Ctrl-C after 0.3 s, which ends what is done meanwhile."""
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        timer.cancel()


def test_what_was_interrupted_before_its_turn_was_never_sent(
    api: Any, new_book: Callable[..., RunBook], tmp_path: Path
) -> None:
    saying(api, lambda texts: {"data": rows(texts), "usage": {"prompt_tokens": USED}})
    book, model = new_book(), client(api, limits={"requests_per_min": 1})
    model.buy([TEXT], book, CALL)
    with interrupted():
        model.buy([TEXT], book, CALL)
    assert len(api.requests) == len(lines(tmp_path)) == 1
    assert (book.standing().spent, book.standing().held) == (Decimal("0.0009"), 0)


def test_what_was_interrupted_while_it_was_asked_may_be_billed(
    api: Any, new_book: Callable[..., RunBook], tmp_path: Path
) -> None:
    api.delay_s, api.dims = 1.0, 4
    book, model = new_book(), client(api)
    with interrupted():
        model.buy([TEXT], book, CALL)
    [line] = lines(tmp_path)
    assert (line["error"], Decimal(line["usd"])) == ("cancelled", MOST)
