"""Faults: whom they strike, and what the official SDKs make of each."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.simulation.faults import Fault, Who, drawn
from mox.simulation.naming import even
from mox.simulation.transport import SimulatedTransport

CONFIG = {"models": {"m": even(first_s=0.002, token_s=0.001)}}
ASKED: Any = [{"role": "user", "content": "hi"}]


Struck = Callable[..., Any]


@pytest.fixture(scope="module")
def in_process() -> SimulatedTransport:
    return SimulatedTransport(CONFIG)


@pytest.fixture(params=["in process", "over HTTP"])
def struck(request: pytest.FixtureRequest) -> Struck:
    """What an SDK gives back, or raises, where a fault strikes its request; by either front."""
    if request.param == "in process":
        transport = request.getfixturevalue("in_process")
        return lambda *fault, **more: asyncio.run(
            asking(*fault, **more, url="http://sim", transport=transport)
        )
    url = request.getfixturevalue("served").url
    return lambda *fault, **more: asyncio.run(
        # Nothing here is encrypted: certificates would cost more than all the rest.
        asking(*fault, **more, url=url, transport=httpx2.AsyncHTTPTransport(verify=False))
    )


async def asking(
    fault: str,
    wire: str,
    *,
    stream: bool,
    url: str,
    transport: httpx2.AsyncBaseTransport,
    timeout_s: float = 20.0,
) -> Any:
    more: dict[str, Any] = {"stream": stream, "extra_headers": {"x-mox-fault": fault}}
    async with httpx2.AsyncClient(transport=transport, timeout=timeout_s) as http:
        given: dict[str, Any] = {"api_key": "k", "max_retries": 0, "http_client": http}
        if wire == "messages":
            claude = anthropic.AsyncAnthropic(base_url=url, **given)
            got = await claude.messages.create(model="m", max_tokens=9, messages=ASKED, **more)
        else:
            client = openai.AsyncOpenAI(base_url=f"{url}/v1", **given)
            if wire == "chat":
                got = await client.chat.completions.create(
                    model="m", max_tokens=9, messages=ASKED, **more
                )
            else:
                got = await client.responses.create(
                    model="m", max_output_tokens=9, input="hi", **more
                )
        return [event async for event in got] if stream else got


def text(events: Any, wire: str) -> list[str]:
    """Pieces of text of a stream's events."""
    if wire == "chat":
        found = [one.choices[0].delta.content for one in events if one.choices]
    elif wire == "messages":
        found = [one.delta.text for one in events if one.type == "content_block_delta"]
    else:
        found = [one.delta for one in events if one.type == "response.output_text.delta"]
    return [one for one in found if one]


WIRES = ["chat", "responses", "messages"]
SAID: dict[str, Any] = {"chat": openai, "responses": openai, "messages": anthropic}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("stream", [True, False])
def test_a_whole_answer_has_nine_tokens(struck: Struck, wire: str, stream: bool) -> None:
    """What all others here are held against."""
    got = struck("split", wire, stream=stream)
    if stream:
        assert len(text(got, wire)) == 9
    else:
        usage = got.usage
        assert (usage.completion_tokens if wire == "chat" else usage.output_tokens) == 9


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("stream", [True, False])
def test_an_overloaded_provider(struck: Struck, wire: str, stream: bool) -> None:
    status = 529 if wire == "messages" else 503
    with pytest.raises(SAID[wire].InternalServerError, match=str(status)) as caught:
        struck("overloaded", wire, stream=stream)
    assert caught.value.status_code == status
    if wire == "messages":
        assert isinstance(caught.value, anthropic.OverloadedError)


@pytest.mark.parametrize("wire", WIRES)
def test_a_server_error(struck: Struck, wire: str) -> None:
    with pytest.raises(SAID[wire].InternalServerError, match="500"):
        struck("server", wire, stream=True)


@pytest.mark.parametrize("wire", WIRES)
def test_a_spend_cap_is_a_429_that_names_no_time_to_come_again(struck: Struck, wire: str) -> None:
    with pytest.raises(SAID[wire].RateLimitError, match="429") as caught:
        struck("spend_cap", wire, stream=True)
    headers = caught.value.response.headers
    assert not [name for name in headers if name.startswith("retry-after")]
    if wire == "messages":
        assert isinstance(caught.value, anthropic.EnforcedSpendLimitReachedError)
    else:
        assert caught.value.code == "insufficient_quota"


@pytest.mark.parametrize("wire", WIRES)
def test_a_page_of_a_gateway(struck: Struck, wire: str) -> None:
    # The page itself in one release of OpenAI's SDK, its status alone in a later one.
    with pytest.raises(SAID[wire].InternalServerError, match=r"<!doctype html>|502") as caught:
        struck("html", wire, stream=True)
    assert caught.value.status_code == 502


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("stream", [True, False])
def test_a_connection_that_is_cut(struck: Struck, wire: str, stream: bool) -> None:
    with pytest.raises((SAID[wire].APIConnectionError, httpx2.RemoteProtocolError)):
        struck("cut@3", wire, stream=stream)


@pytest.mark.parametrize("wire", WIRES)
def test_a_stream_that_ends_too_early_raises_nothing_and_has_no_last_event(
    struck: Struck, wire: str
) -> None:
    events = struck("truncated@4", wire, stream=True)
    assert len(text(events, wire)) == 4
    if wire == "chat":
        assert all(one.choices[0].finish_reason is None for one in events)
    else:
        assert events[-1].type in ("response.output_text.delta", "content_block_delta")


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", ["stalled@3", "silent"])
def test_a_stream_that_stops_runs_into_the_clients_own_limit(
    struck: Struck, wire: str, fault: str
) -> None:
    with pytest.raises((SAID[wire].APITimeoutError, httpx2.ReadTimeout)):
        struck(fault, wire, stream=True, timeout_s=0.3)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("stream", [True, False])
def test_broken_json_and_broken_utf8(struck: Struck, wire: str, stream: bool) -> None:
    with pytest.raises(json.JSONDecodeError):
        struck("bad_json@3", wire, stream=stream)
    with pytest.raises(UnicodeDecodeError):
        struck("bad_utf8@3", wire, stream=stream)


def test_an_error_in_mid_stream(struck: Struck) -> None:
    with pytest.raises(openai.APIError, match="The server had an error"):
        struck("error_event@3", "chat", stream=True)
    with pytest.raises(anthropic.APIStatusError, match="overloaded_error") as caught:
        struck("error_event@3", "messages", stream=True)
    assert caught.value.status_code == 200  # the stream began well
    events = struck("error_event@3", "responses", stream=True)
    assert events[-1].type == "error"
    assert events[-1].sequence_number == len(events) - 1


@pytest.mark.parametrize("wire", WIRES)
def test_an_answer_that_does_not_say_what_it_cost(struck: Struck, wire: str) -> None:
    assert struck("no_usage", wire, stream=False).usage is None
    events = struck("no_usage", wire, stream=True)
    if wire == "chat":
        assert all(one.usage is None for one in events)
    elif wire == "responses":
        assert events[-1].response.usage is None
    else:
        assert "output_tokens" not in events[-2].usage.to_dict()


def test_embeddings_go_wrong_too() -> None:
    async def main() -> None:
        http = httpx2.AsyncClient(transport=SimulatedTransport(CONFIG), timeout=20)
        client = openai.AsyncOpenAI(
            api_key="k", base_url="http://sim/v1", max_retries=0, http_client=http
        )
        failures = {
            "server": openai.InternalServerError,
            "error_event": openai.InternalServerError,
            "cut": openai.APIConnectionError,
            "bad_json": json.JSONDecodeError,
        }
        for fault, error in failures.items():
            with pytest.raises(error):
                await client.embeddings.create(
                    model="sim-embed-small", input="hi", extra_headers={"x-mox-fault": fault}
                )
        got = await client.embeddings.with_raw_response.create(
            model="sim-embed-small", input="hi", extra_headers={"x-mox-fault": "no_usage"}
        )
        answer = json.loads(got.content)
        assert len(answer["data"]) == 1
        assert "usage" not in answer
        await http.aclose()

    asyncio.run(main())


def test_a_slow_first_byte_is_late_in_real_seconds() -> None:
    """0.3 s, whatever the time scale."""
    config = {"models": {"m": even(first_s=0.01)}, "time_scale": 0.01}
    began = time.perf_counter()
    asyncio.run(
        asking(
            "slow@0.3", "chat", stream=True, url="http://sim", transport=SimulatedTransport(config)
        )
    )
    assert time.perf_counter() - began >= 0.3


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=60, unique=True),
    st.randoms(use_true_random=False),
)
def test_whom_a_fault_strikes_does_not_depend_on_the_order(
    requests: list[tuple[int, int]], random: Any
) -> None:
    faults = [Fault(kind="server", rate=0.3), Fault(kind="cut", rate=0.5)]

    def kinds(asked: list[tuple[int, int]]) -> dict[tuple[int, int], str | None]:
        found = {
            one: drawn(faults, Who("a", "m", bytes([one[0]]), one[1]), at_s=1) for one in asked
        }
        return {one: fault.kind if fault else None for one, fault in found.items()}

    turned = random.sample(requests, len(requests))
    assert kinds(requests) == kinds(turned)


def test_a_rate_is_a_share_of_the_requests() -> None:
    faults = [Fault(kind="server", rate=0.2)]
    found = Counter(
        drawn(faults, Who("a", "m", number.to_bytes(2), 0), at_s=0) is not None
        for number in range(5000)
    )
    # 1,000 expected; 4 deviations of the binomial, √(5000·0.2·0.8) = 28, are 113
    assert abs(found[True] - 1000) < 113


@pytest.mark.parametrize(
    ("fault", "who", "at_s", "strikes"),
    [
        ({"from_s": 10, "until_s": 20}, {}, 9.9, False),
        ({"from_s": 10, "until_s": 20}, {}, 10.0, True),
        ({"from_s": 10, "until_s": 20}, {}, 20.0, False),
        ({"accounts": ("b",)}, {}, 0, False),
        ({"accounts": ("a",)}, {}, 0, True),
        ({"models": ("n",)}, {}, 0, False),
        ({"attempts": 2}, {"attempt": 1}, 0, True),
        ({"attempts": 2}, {"attempt": 2}, 0, False),
        ({"rate": 0.0}, {}, 0, False),
    ],
)
def test_a_fault_strikes_only_where_it_is_meant(
    fault: dict[str, Any], who: dict[str, int], at_s: float, strikes: bool
) -> None:
    asks = Who("a", "m", b"x", who.get("attempt", 0))
    found = drawn([Fault.model_validate({"kind": "cut", **fault})], asks, at_s=at_s)
    assert (found is not None) == strikes


def test_a_second_attempt_passes_where_only_first_ones_are_struck() -> None:
    config = {**CONFIG, "faults": [{"kind": "server", "attempts": 1}]}

    async def main() -> list[int]:
        async with httpx2.AsyncClient(transport=SimulatedTransport(config)) as http:
            body = {"model": "m", "messages": ASKED, "max_tokens": 3}
            ask: Callable[[], Any] = lambda: http.post(  # noqa: E731
                "http://sim/v1/chat/completions", json=body, headers={"authorization": "Bearer k"}
            )
            return [(await ask()).status_code for _ in range(3)]

    assert asyncio.run(main()) == [500, 200, 200]


def test_an_unknown_fault_is_refused_by_name(struck: Struck) -> None:
    with pytest.raises(openai.BadRequestError, match="x-mox-fault is one of overloaded, server"):
        struck("flood", "chat", stream=True)
