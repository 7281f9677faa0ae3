"""The simulator over real HTTP, as the official SDKs see it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import anthropic
import openai
import pytest

from mox.simulation.serving import Served


@pytest.fixture
def chat(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=served.openai_base_url, api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(served: Served) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        base_url=served.anthropic_base_url, api_key="any", max_retries=0
    ) as client:
        yield client


def test_a_chat_streams_its_tokens_and_then_its_usage(chat: openai.OpenAI) -> None:
    stream = chat.chat.completions.create(
        model="steady", max_tokens=12, messages=[{"role": "user", "content": "hi"}], stream=True,
        stream_options={"include_usage": True},
    )  # fmt: skip
    chunks = list(stream)
    assert sum(bool(one.choices and one.choices[0].delta.content) for one in chunks) == 12
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 12
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_a_message_streams_its_tokens_and_its_usage(claude: anthropic.Anthropic) -> None:
    asked = {"role": "user", "content": "hi"}
    with claude.messages.stream(model="steady", max_tokens=12, messages=[asked]) as stream:
        assert len(list(stream.text_stream)) == 12
        last = stream.get_final_message()
    assert last.usage.output_tokens == 12
    assert last.stop_reason == "end_turn"
    assert stream.response.headers["x-mox-simulated"] == "1"


def test_sent_times_are_on_the_clients_own_clock(served: Served, chat: openai.OpenAI) -> None:
    began = time.perf_counter_ns()
    raw = chat.chat.completions.with_raw_response.create(
        model="steady", max_tokens=12, messages=[{"role": "user", "content": "hi"}], stream=True
    )
    arrived = [time.perf_counter_ns() for one in raw.parse() if one.choices[0].delta.content]
    sent = served.sent(raw.headers["x-request-id"])
    wrote = [
        at for at, holds in zip(sent["sent_ns"], sent["holds"], strict=True) if holds == "text"
    ]
    assert len(wrote) == len(arrived) == 12
    assert began < sent["admitted_ns"] < wrote[0]
    assert all(a > w for a, w in zip(arrived, wrote, strict=True))
    # 12 tokens, the first after 0.1 s and each 20 ms: none before, none long after
    late_ms = [
        (at - sent["admitted_ns"]) / 1e6 - (100 + 20 * number) for number, at in enumerate(wrote)
    ]
    assert -1 < min(late_ms) <= max(late_ms) < 2000
