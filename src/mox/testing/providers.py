"""What every provider of language models is held to, ours and third parties'.

class TestMine(ProviderContract):
    @pytest.fixture
    def opened(self):
        return lambda: providers[spec](spec)
"""
# ruff: noqa: S101

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

import pytest

from mox.errors import ProviderError
from mox.types.providers import Answer, Delta, ErrorKind, Finish, Message, Request

if TYPE_CHECKING:
    from mox.types.providers import Event, Provider

Opened = Callable[[], "Provider"]
"""Opens a provider; called inside a running event loop."""
PROMPT = "List the first twenty even numbers, each as a word, one on each line."


class ProviderContract:
    """Override the fixture `opened`; the others where the other end can be made to fail, or its
    connections can be counted."""

    @pytest.fixture
    def opened(self) -> Opened:
        """The provider under test, answering well."""
        raise NotImplementedError

    @pytest.fixture
    def asked(self) -> Request:
        """What it is asked: something that a stream answers in several pieces."""
        return Request("model", (Message("user", PROMPT),), max_output_tokens=200)

    @pytest.fixture
    def failing(self) -> Mapping[ErrorKind, Opened]:
        """The provider under test, the other end failing in a way; the ways that can be made."""
        return {}

    @pytest.fixture
    def in_flight(self) -> Callable[[], int] | None:
        """How many answers the other end is giving just now; None where it can't be counted."""
        return None

    def test_a_stream_is_deltas_and_one_answer_last(self, opened: Opened, asked: Request) -> None:
        *deltas, answer = _run(opened, lambda provider: _drained(provider, asked))
        assert len(deltas) > 1
        assert all(isinstance(delta, Delta) and delta.text for delta in deltas)
        assert isinstance(answer, Answer)
        texts = [d.text for d in deltas if isinstance(d, Delta) and d.kind == "text"]
        thoughts = [d.text for d in deltas if isinstance(d, Delta) and d.kind == "reasoning"]
        assert answer.text == "".join(texts)
        assert answer.reasoning == "".join(thoughts)

    def test_complete_answers_as_a_stream_does(self, opened: Opened, asked: Request) -> None:
        """For providers that answer the same to the same when they are opened anew."""
        streamed = _run(opened, lambda provider: _drained(provider, asked))[-1]
        whole = _run(opened, lambda provider: provider.complete(asked))
        assert isinstance(streamed, Answer)
        for field in ("text", "finish", "usage", "model", "reasoning", "simulated"):
            assert getattr(streamed, field) == getattr(whole, field), field

    def test_tokens_are_counted(self, opened: Opened, asked: Request) -> None:
        usage = _run(opened, lambda provider: provider.complete(asked)).usage
        assert usage.input_tokens > 0
        assert usage.output_tokens > 0
        assert 0 <= usage.cached_tokens <= usage.input_tokens
        assert 0 <= usage.reasoning_tokens <= usage.output_tokens

    def test_no_answer_is_longer_than_it_may_be(self, opened: Opened, asked: Request) -> None:
        short = replace(asked, max_output_tokens=16)  # the least that OpenAI's Responses takes
        answer = _run(opened, lambda provider: provider.complete(short))
        assert answer.finish in get_args(Finish)
        assert 0 < answer.usage.output_tokens <= 16

    def test_moments_follow_each_other(self, opened: Opened, asked: Request) -> None:
        *deltas, answer = _run(opened, lambda provider: _drained(provider, asked))
        times = [delta.at for delta in deltas if isinstance(delta, Delta)]
        assert times == sorted(times)
        assert times[0] < times[-1]
        assert isinstance(answer, Answer)
        said = answer.timings
        assert said.headers is not None
        assert said.first_text is not None
        assert said.last_text is not None
        assert said.done is not None
        assert 0 < said.sent <= said.headers <= times[0] <= said.first_text
        assert said.first_text <= said.last_text <= said.done

    def test_many_at_once_do_not_disturb_each_other(self, opened: Opened, asked: Request) -> None:
        async def many(provider: Provider) -> list[list[Event]]:
            return await asyncio.gather(*(_drained(provider, asked) for _ in range(4)))

        for events in _run(opened, many):
            *deltas, answer = events
            assert isinstance(answer, Answer)
            texts = [d.text for d in deltas if isinstance(d, Delta) and d.kind == "text"]
            assert answer.text == "".join(texts)

    def test_cancelling_ends_it_at_the_other_end(
        self, opened: Opened, asked: Request, in_flight: Callable[[], int] | None
    ) -> None:
        async def cancelled(provider: Provider) -> None:
            begun = asyncio.Event()

            async def read() -> None:
                async with aclosing(provider.stream(asked)) as events:  # type: ignore[type-var]
                    async for _ in events:
                        begun.set()
                        await asyncio.sleep(0)

            task = asyncio.create_task(read())
            await asyncio.wait_for(begun.wait(), 60)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            if in_flight is not None:
                async with asyncio.timeout(10):
                    while in_flight():
                        await asyncio.sleep(0.01)
            # And it goes on answering.
            assert (await provider.complete(asked)).text

        _run(opened, cancelled)

    def test_a_deadline_ends_it_by_name(self, opened: Opened, asked: Request) -> None:
        soon = 1e-4
        streamed = _failed(opened, lambda provider: _drained(provider, asked, soon))
        whole = _failed(opened, lambda provider: provider.complete(asked, timeout_s=soon))
        assert streamed.kind == whole.kind == "timeout_total"

    def test_each_failure_has_its_name_and_nothing_is_returned(
        self, failing: Mapping[ErrorKind, Opened], asked: Request
    ) -> None:
        for kind, opened in failing.items():
            assert kind in get_args(ErrorKind)
            error = _failed(opened, lambda provider: _drained(provider, asked))
            assert error.kind == kind, error
            assert error.message
            assert error.mend


def _run(opened: Opened, does: Callable[[Provider], Coroutine[Any, Any, Any]]) -> Any:
    """What a coroutine gives of a provider that is opened for it, and closed."""

    async def main() -> Any:
        provider = opened()
        try:
            return await does(provider)
        finally:
            await provider.aclose()

    return asyncio.run(main())


def _failed(opened: Opened, does: Callable[[Provider], Coroutine[Any, Any, Any]]) -> ProviderError:
    with pytest.raises(ProviderError, match=r".") as caught:
        _run(opened, does)
    return caught.value


async def _drained(provider: Provider, asked: Request, timeout_s: float = 60.0) -> list[Event]:
    return [event async for event in provider.stream(asked, timeout_s=timeout_s)]
