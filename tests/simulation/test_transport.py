"""The transport in process: pieces at their times, and an end whenever a client wants one."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from typing import Any

import httpx2
import openai
import pytest

from mox.errors import SpecError
from mox.simulation.app import Simulator
from mox.simulation.config import made
from mox.simulation.naming import even
from mox.simulation.reply import Reply
from mox.simulation.sent import SentLog
from mox.simulation.transport import SimulatedTransport

CONFIG: dict[str, Any] = {
    "models": {"m": even(first_s=0.05, token_s=0.02), "slow": even(first_s=0.01, token_s=5)}
}
LIMITS = {"rpm": 1, "tpm": 1}
ASKED: Any = [{"role": "user", "content": "hi"}]


def client(transport: SimulatedTransport) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url="http://sim/v1", api_key="k", max_retries=0,
        http_client=httpx2.AsyncClient(transport=transport),
    )  # fmt: skip


def test_pieces_arrive_when_they_are_due() -> None:
    """12 tokens, from 50 ms on each 20 ms: none before, and none long after on a busy machine."""
    transport = SimulatedTransport(CONFIG)

    async def main() -> tuple[list[int], str]:
        raw = await client(transport).chat.completions.with_raw_response.create(
            model="m", messages=ASKED, max_tokens=12, stream=True
        )
        at = [time.perf_counter_ns() async for one in raw.parse() if one.choices[0].delta.content]
        return at, raw.headers["x-request-id"]

    arrived, request_id = asyncio.run(main())
    sent = transport.sent[request_id]
    handed = [
        at for at, holds in zip(sent["sent_ns"], sent["holds"], strict=True) if holds == "text"
    ]
    assert len(arrived) == len(handed) == 12
    late_ms = [
        (at - sent["admitted_ns"]) / 1e6 - (50 + 20 * number) for number, at in enumerate(handed)
    ]
    assert -1 < min(late_ms) <= max(late_ms) < 2000
    assert all(got >= gave for got, gave in zip(arrived, handed, strict=True))
    assert sent["whole"]


def test_headers_come_with_the_streams_beginning_and_not_before() -> None:
    transport = SimulatedTransport(CONFIG)

    async def main() -> float:
        began = time.perf_counter()
        await client(transport).chat.completions.with_raw_response.create(
            model="m", messages=ASKED, max_tokens=1, stream=True
        )
        return time.perf_counter() - began

    assert asyncio.run(main()) >= 0.045  # nine tenths of the time to the first token


def test_a_client_that_is_cancelled_frees_its_place() -> None:
    simulator = Simulator(made(CONFIG))
    transport = SimulatedTransport(simulator)

    async def main() -> None:
        stream = await client(transport).chat.completions.create(
            model="slow", messages=ASKED, max_tokens=50, stream=True
        )

        async def read() -> None:
            async for _ in stream:
                pass

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.1)
        assert simulator.stats()["running"] == 1
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert simulator.stats()["running"] == 0

    asyncio.run(main())
    (sent,) = transport.sent.values()
    assert not sent["whole"]


def test_a_client_that_gives_up_before_the_headers_frees_its_place() -> None:
    config = {"models": {"m": even(first_s=60)}}
    simulator = Simulator(made(config))

    async def main() -> None:
        asking = client(SimulatedTransport(simulator)).chat.completions.create(
            model="m", messages=ASKED, max_tokens=5
        )
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asking, 0.1)
        assert simulator.stats()["running"] == 0

    asyncio.run(main())


def test_two_clients_of_one_simulator_share_an_accounts_limits() -> None:
    """Two requests a minute, for both clients together."""
    limits = {"rpm": 2, "tpm": 10_000}
    simulator = Simulator(made({**CONFIG, "accounts": {"k": {"limits": limits}}}))

    async def main() -> list[int]:
        statuses = []
        for _ in range(3):
            one = client(SimulatedTransport(simulator))
            try:
                await one.chat.completions.create(model="m", messages=ASKED, max_tokens=1)
                statuses.append(200)
            except openai.RateLimitError as error:
                statuses.append(error.status_code)
        return statuses

    assert asyncio.run(main()) == [200, 200, 429]


def test_the_time_scale_shortens_latencies_and_no_limit() -> None:
    """A request a second, and latencies of a thousandth: the second of two waits a second all
    the same. Its 20 tokens take 10 ms and 19 × 5 s unscaled."""
    times = [0.0]
    limits = {"rpm": 60, "tpm": 600_000, "burst_s": 1}
    config = {**CONFIG, "time_scale": 0.001, "accounts": {"k": {"limits": limits}}}
    simulator = Simulator(made(config), clock=lambda: times[-1])
    body = json.dumps({"model": "slow", "messages": ASKED, "max_tokens": 20}).encode()

    def at(second: float) -> Reply:
        times.append(second)
        return simulator.reply("POST", "/v1/chat/completions", {"x-api-key": "k"}, body)

    replies = [at(0.0), at(0.9), at(1.1)]
    assert [reply.status for reply in replies] == [200, 429, 200]
    assert replies[0].pieces[-1].due_s == pytest.approx(0.09501, rel=1e-3)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"modles": {}}, "has no field 'modles', did you mean 'models'"),
        ({"models": {"m": {"like": "gpt"}}}, "no model 'gpt' to be like"),
        ({"models": {"m": {"profile": "fast"}}}, "no profile 'fast'"),
        ({"faults": [{"kind": "flood"}]}, "faults.0.kind"),
        ({"classes": {"c": ["n"]}}, "no model 'n' here"),
        (
            {"classes": {"c": ["sim-swift"], "d": ["sim-swift"]}},
            "'sim-swift' stands twice in classes",
        ),
        ({"accounts": {"a": {"keys": ["b"]}, "b": {}}}, "a key belongs to one account"),
        ({"accounts": {"a": {"by_class": {"sim-swfit": LIMITS}}}}, "no class 'sim-swfit' here"),
        (
            {
                "classes": {"c": ["sim-swift"]},
                "accounts": {"a": {"by_class": {"sim-swift": LIMITS}}},
            },
            "no class 'sim-swift' here; there are c, ",  # the model counts against c
        ),
        ({"accounts": {"a": {}}, "faults": [{"kind": "cut", "accounts": ["b"]}]}, "no account 'b'"),
        ({"faults": [{"kind": "cut", "from_s": 9, "until_s": 9}]}, "until_s = 9 is not after"),
        ({"accounts": {"a": {"limits": {"rpm": 0, "tpm": 1}}}}, "greater than 0"),
        ({"accounts": {"a": {"limits": {"rpm": 1}}}}, "OpenAI's accounting has tpm"),
        ({"time_scale": 0}, "time_scale"),
    ],
)
def test_a_simulation_that_can_not_be_meant_is_refused_by_name(
    config: dict[str, Any], said: str
) -> None:
    with pytest.raises(SpecError, match=said):
        SimulatedTransport(config)


def test_who_begins_to_read_again_gets_the_rest() -> None:
    """As from a socket: OpenAI's SDK leaves off at [DONE], and in a later release reads on."""
    transport = SimulatedTransport(CONFIG)

    async def main() -> list[bytes]:
        body = {"model": "m", "messages": ASKED, "max_tokens": 3, "stream": True}
        headers = {"authorization": "Bearer alice"}
        async with httpx2.AsyncClient(transport=transport) as http:
            request = http.build_request(
                "POST", "http://simulated/v1/chat/completions", json=body, headers=headers
            )
            stream = (await http.send(request, stream=True)).stream
            parts: list[bytes] = []
            async for part in stream:
                parts.append(part)
                if len(parts) == 2:
                    break
            await asyncio.sleep(0.01)  # what was left off is tidied away
            assert transport.simulator.stats()["running"] == 1
            parts += [part async for part in stream]
            return parts

    parts = asyncio.run(main())
    assert len(parts) == len(set(parts))
    assert parts[-1].strip() == b"data: [DONE]"
    (sent,) = transport.sent.values()
    assert sent["whole"]
    assert {len(sent[name]) for name in ("sent_ns", "due_ns", "holds", "tokens")} == {len(parts)}


def test_who_neither_reads_to_the_end_nor_closes_frees_its_place_with_the_response() -> None:
    transport = SimulatedTransport(CONFIG)

    async def main() -> None:
        stream = await client(transport).chat.completions.create(
            model="slow", messages=ASKED, max_tokens=50, stream=True
        )
        assert transport.simulator.stats()["running"] == 1
        del stream
        gc.collect()
        assert transport.simulator.stats()["running"] == 0

    asyncio.run(main())
    (sent,) = transport.sent.values()
    assert not sent["whole"]


def test_the_oldest_send_times_are_forgotten_by_requests_and_by_pieces() -> None:
    log = SentLog(requests=3, pieces=10)

    def kept(name: str, pieces: int) -> list[str]:
        log.add({"request_id": name, "sent_ns": [0] * pieces})
        return list(log.rows)

    assert [kept(name, 1) for name in "abcd"][-1] == ["b", "c", "d"]
    assert kept("e", 8) == ["c", "d", "e"]
    assert kept("f", 2) == ["e", "f"]  # 8 + 2
    assert kept("g", 11) == ["g"]  # more than all may have: the last is kept
