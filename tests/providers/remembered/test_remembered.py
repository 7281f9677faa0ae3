"""Answers that were paid once: kept here and for others, whole or not at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mox.errors import BudgetError, MemoWarning, ProviderError
from mox.providers.budget import Budget, RunBook
from mox.providers.compatible import open_compatible
from mox.providers.ledger import Ledger
from mox.providers.pool import memory_pool
from mox.providers.pool.limits import Account, Limits
from mox.providers.pooled import Manner, Pooled
from mox.providers.prices import Prices
from mox.providers.remembered import Origin, Remembered
from mox.providers.simulated import Simulated, open_simulated
from mox.types.providers import Answer, Delta, Event, Usage


def test_the_second_asking_costs_nothing_and_says_the_same(lab: Any, server: Any) -> None:
    memo = lab.remembered(server)
    first, second = lab.ask(memo, "why?", "why?")
    assert server.asked == ["why?"]
    assert (memo.hits, memo.misses) == (1, 1)
    assert (second.text, second.usage, second.finish) == ("why?: 1", Usage(10, 0, 0, 3), "stop")
    assert second.timings.first_text is None  # nothing was streamed
    assert (first.text, first.request_id) == (second.text, second.request_id)


def test_a_stream_is_remembered_and_answers_complete(lab: Any, server: Any) -> None:
    async def go(memo: Remembered) -> tuple[list[Event], list[Event], Answer]:
        first = [event async for event in memo.stream(lab.asked())]
        second = [event async for event in memo.stream(lab.asked())]
        return first, second, await memo.complete(lab.asked())

    first, second, third = lab.run(lab.remembered(server), go)
    assert server.asked == ["why?"]
    assert [type(event) for event in first] == [type(event) for event in second] == [Delta, Answer]
    assert isinstance(second[0], Delta)
    assert second[0].text == third.text == "why?: 1"


def test_a_stream_that_is_left_is_asked_again(lab: Any, server: Any) -> None:
    async def go(memo: Remembered) -> str:
        stream = memo.stream(lab.asked())
        async for _ in stream:
            break
        assert isinstance(stream, AsyncGenerator)
        await stream.aclose()
        return (await memo.complete(lab.asked())).text

    assert lab.run(lab.remembered(server), go) == "why?: 2"


def test_another_account_is_served_and_another_kind_or_url_is_not(
    lab: Any, server: Any, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("k")
    (tmp_path / "other").write_text("l")
    for changes in [{}, {"key_file": tmp_path / "key"}, {"key_file": tmp_path / "other"}]:
        spec = lab.spec_of(server, **changes)
        assert lab.ask(Remembered(open_compatible(spec), Origin.of(spec)))[0].text == "why?: 1"
    for origin in [
        Origin.of(lab.spec_of(server, api="responses")),
        replace(Origin.of(spec), base_url="http://elsewhere/v1"),
        replace(Origin.of(spec), kind="openai"),
    ]:
        lab.ask(Remembered(open_compatible(spec), origin))
    assert len(server.asked) == 4


def test_many_tasks_that_ask_at_once_make_one_call(lab: Any, server: Any) -> None:
    server.slow_s = 0.1
    memo = lab.remembered(server)

    async def go(memo: Remembered) -> list[Answer]:
        return await asyncio.gather(*(memo.complete(lab.asked()) for _ in range(20)))

    assert {answer.text for answer in lab.run(memo, go)} == {"why?: 1"}
    assert server.asked == ["why?"]
    assert (memo.hits, memo.misses) == (19, 1)


def test_errors_are_not_remembered_nor_handed_to_those_who_wait(lab: Any, server: Any) -> None:
    server.slow_s = 0.05

    async def go(memo: Remembered) -> list[Answer | BaseException]:
        calls = (memo.complete(lab.asked("fail")) for _ in range(3))
        return await asyncio.gather(*calls, return_exceptions=True)

    found = lab.run(lab.remembered(server), go)
    failed = [one for one in found if isinstance(one, ProviderError)]
    assert [one.kind for one in failed] == ["server"]
    assert {one.text for one in found if isinstance(one, Answer)} == {"fail: 2"}
    assert len(server.asked) == 2


def test_who_waits_for_a_cancelled_task_asks_itself(lab: Any, server: Any) -> None:
    server.slow_s = 0.2

    async def go(memo: Remembered) -> Answer:
        first = asyncio.create_task(memo.complete(lab.asked()))
        second = asyncio.create_task(memo.complete(lab.asked()))
        await asyncio.sleep(0.1)
        first.cancel()
        return await second

    memo = lab.remembered(server)
    assert lab.run(memo, go).text.startswith("why?")
    assert memo.misses == 2


def test_who_waits_has_its_own_time_limit(lab: Any, server: Any) -> None:
    server.slow_s = 1

    async def go(memo: Remembered) -> float:
        first = asyncio.create_task(memo.complete(lab.asked()))
        await asyncio.sleep(0.02)
        begun = time.monotonic()
        with pytest.raises(ProviderError, match="did not come in time") as raised:
            await memo.complete(lab.asked(), timeout_s=0.05)
        assert raised.value.kind == "timeout_total"
        spent = time.monotonic() - begun
        first.cancel()
        return spent

    assert lab.run(lab.remembered(server), go) < 0.8


@pytest.mark.parametrize("damage", ["cut", "edited", "empty", "binary", "list", "newer"])
def test_an_unreadable_row_is_asked_again_and_mended(
    lab: Any, server: Any, own_state: Path, damage: str
) -> None:
    lab.ask(lab.remembered(server))
    (file,) = (own_state / "memo" / "answers").glob("*.json")
    raw = file.read_bytes()
    file.write_bytes(
        {
            "cut": raw[: len(raw) // 2],
            "edited": raw.replace(b"why?: 1", b"why?: 9"),
            "empty": b"",
            "binary": b"\xff\xfe\x00",
            "list": b"[1]",
            "newer": raw.replace(b'"schema": 1', b'"schema": 2'),
        }[damage]
    )
    assert lab.ask(lab.remembered(server))[0].text == "why?: 2"
    assert lab.ask(lab.remembered(server))[0].text == "why?: 2"


def test_a_simulated_answer_never_serves_a_real_one(lab: Any, server: Any) -> None:
    # A simulator at an address where a real server answers later.
    server.simulated = True
    (first,) = lab.ask(lab.remembered(server))
    assert first.simulated
    server.simulated = False
    real = lab.remembered(server)
    assert [one.text for one in lab.ask(real, "why?", "why?")] == ["why?: 2", "why?: 2"]
    assert real.hits == 1


def test_answers_of_the_simulator_are_remembered_by_its_seed(lab: Any) -> None:
    for seed, hits in [(0, 0), (0, 1), (1, 0)]:
        spec = Simulated(model="sim-swift", seed=seed, time_scale=0.001)
        memo = Remembered(open_simulated(spec), Origin.of(spec))
        request = replace(lab.asked(), model=spec.model)
        answer = lab.run(memo, lambda memo, request=request: memo.complete(request))
        assert (answer.simulated, memo.hits) == (True, hits)


def test_a_folder_that_takes_nothing_loses_no_answer(
    lab: Any, server: Any, own_state: Path
) -> None:
    own_state.mkdir()
    (own_state / "memo").mkdir()
    (own_state / "memo" / "answers").write_text("no folder")
    with pytest.warns(MemoWarning, match="will be paid again") as said:
        lab.ask(lab.remembered(server), "why?", "why?")
    assert len(said) == 1
    assert len(server.asked) == 2

    async def together(memo: Remembered) -> list[Answer]:
        return await asyncio.gather(*(memo.complete(lab.asked("together")) for _ in range(5)))

    with pytest.warns(MemoWarning):
        lab.run(lab.remembered(server), together)
    assert server.asked.count("together") == 1


def test_over_pool_and_ledger_a_remembered_answer_costs_nothing(lab: Any, own_state: Path) -> None:
    spec = Simulated(model="sim-swift", time_scale=0.001)
    account = Account("a", Limits(requests_per_min=6e5), "simulated")
    ledger = Ledger(own_state)
    prices = Prices.load(Path(__file__).parents[3] / "experiments" / "prices.yaml")
    book = RunBook(ledger, prices, run="r", budget=Budget.of("0.001"))
    request = replace(lab.asked(), model=spec.model, max_output_tokens=50)

    async def go() -> tuple[Answer, Answer]:
        pool = memory_pool()
        manner = Manner(purpose="judge", simulated=True)
        pooled = Pooled({account: open_simulated(spec)}, pool, manner=manner, book=book)
        memo = Remembered(pooled, Origin.of(spec))
        try:
            first, second = await memo.complete(request), await memo.complete(request)
            with pytest.raises(BudgetError, match="would be exceeded"):
                # 0.60 USD for a million output tokens: 2,000 may cost more than 0.001
                await memo.complete(replace(request, max_output_tokens=2_000))
            return first, second
        finally:
            await memo.aclose()
            await pool.aclose()

    first, second = asyncio.run(go())
    assert second.text == first.text
    (row,) = ledger.rows()
    assert (row["purpose"], row["simulated"], row["error"]) == ("judge", 1, None)
    # 0.15 USD for a million input tokens, 0.60 for output; the simulator caches nothing so short
    usage = first.usage
    wanted = (15 * usage.input_tokens + 60 * usage.output_tokens) / Decimal(10**8)
    assert Decimal(row["usd"]) == wanted
    assert row["output_tokens"] == usage.output_tokens > 0
