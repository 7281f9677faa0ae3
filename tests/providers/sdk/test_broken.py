"""Connections that break, fall silent or say what is no answer, over real HTTP."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import httpx2
import pytest

from mox.errors import ProviderError, SpecError
from mox.providers import providers
from mox.providers.charging import may_be_billed
from mox.providers.compatible import Compatible
from mox.types.providers import Message

PAGE = b"<!DOCTYPE html><html><body>Sign in first</body></html>"


@pytest.mark.parametrize("cut_at", [0, 40])
def test_a_connection_that_is_cut_in_mid_answer(lab: Any, wire: str, cut_at: int) -> None:
    raw = b"".join(lab.STREAMS[wire]("one", "two"))
    pieces = [raw[:cut_at]] if cut_at else []
    reply = lab.Reply(pieces, headers=lab.OPENAI_HEADERS, ending="cut")
    error = asyncio.run(lab.told(wire, reply))
    assert error.kind == "connection"
    assert may_be_billed(error.kind, error.billable)


def test_nobody_listening_is_a_connection_error(lab: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    spec = Compatible(model="m", base_url=f"http://127.0.0.1:{port}/v1")

    async def main() -> ProviderError:
        provider = providers[spec](spec)
        with pytest.raises(ProviderError, match=str(port)) as caught:
            await provider.complete(lab.ask())
        await provider.aclose()
        return caught.value

    error = asyncio.run(main())
    assert error.kind == "connection"
    assert error.status is None
    assert not may_be_billed(error.kind, error.billable)


def test_an_address_that_takes_no_connection_is_a_timeout_of_its_own(lab: Any) -> None:
    """A listener whose queue is full lets a further client wait; Linux then says nothing."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    port = listener.getsockname()[1]
    waiting = [socket.socket() for _ in range(3)]
    for one in waiting:
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", port))
    spec = Compatible(model="m", base_url=f"http://127.0.0.1:{port}/v1")

    async def main() -> ProviderError:
        provider = providers[spec](spec, patience=lab.Patience(connect_s=0.3))
        with pytest.raises(ProviderError, match=r"no connection in 0\.3 s") as caught:
            await provider.complete(lab.ask())
        await provider.aclose()
        return caught.value

    try:
        assert asyncio.run(main()).kind == "timeout_connect"
    finally:
        for one in (listener, *waiting):
            one.close()


def test_no_free_connection_is_the_clients_own_limit(lab: Any, wire: str) -> None:
    """What httpx2 raises when all connections of a client are taken for too long."""

    def full(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.PoolTimeout("", request=request)

    async def main() -> None:
        spec = lab.spec_of(wire)
        provider = providers[spec](spec, transport=httpx2.MockTransport(full))
        with pytest.raises(ProviderError, match="no connection of this client") as caught:
            await provider.complete(lab.ask())
        assert caught.value.kind == "client_limited"
        await provider.aclose()

    asyncio.run(main())


def test_a_text_that_is_no_unicode_is_refused_by_name(lab: Any, wire: str) -> None:
    request = lab.ask(messages=(Message("user", "half a pair: \ud83d"),))

    async def main() -> None:
        async with lab.serving(lab.good(wire, "a")) as raw:
            provider = lab.open_at(wire, raw)
            with pytest.raises(ProviderError, match="no Unicode") as caught:
                await provider.complete(request)
            assert caught.value.kind == "bad_request"
            assert not raw.asked
            await provider.aclose()

    asyncio.run(main())


def test_silence_before_and_within_an_answer_are_told_apart(lab: Any, wire: str) -> None:
    silent = lab.Reply([], ending="silent")
    head_only = lab.Reply([], headers=lab.OPENAI_HEADERS, ending="hangs")
    half = lab.Reply(lab.STREAMS[wire]("a", "b")[:3], headers=lab.OPENAI_HEADERS, ending="hangs")

    async def main() -> None:
        for reply, kind in (
            (silent, "timeout_first_byte"), (head_only, "timeout_first_byte"),
            (half, "timeout_stall"),
        ):  # fmt: skip
            error = await lab.told(wire, reply, first_byte_s=0.4, stall_s=0.45)
            assert error.kind == kind
            assert "silent for 0.4" in error.message

    asyncio.run(main())


def test_the_whole_answer_has_a_deadline(lab: Any, wire: str) -> None:
    """Bytes that keep coming are no stall; the deadline ends them all the same."""
    drip: list[bytes | float] = list(lab.STREAMS[wire]("a")[:2])
    for _ in range(200):
        drip += [0.02, b": still here\n\n"]
    reply = lab.Reply(drip, headers=lab.OPENAI_HEADERS)

    async def main() -> None:
        error = await lab.told(wire, reply, stall_s=5, timeout_s=0.6)
        assert error.kind == "timeout_total"
        async with lab.serving(lab.Reply([], ending="silent")) as raw:
            provider = lab.open_at(wire, raw)
            with pytest.raises(ProviderError, match="not a byte had come") as caught:
                await provider.complete(lab.ask(), timeout_s=0.2)
            assert caught.value.kind == "timeout_total"
            assert await raw.closed()
            await provider.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("streamed", [True, False])
def test_a_page_of_html_is_malformed(lab: Any, wire: str, streamed: bool) -> None:
    reply = lab.Reply([PAGE], headers={"content-type": "text/html"})

    async def main() -> None:
        async with lab.serving(reply) as raw:
            provider = lab.open_at(wire, raw)
            call = lab.drained(provider, lab.ask()) if streamed else provider.complete(lab.ask())
            with pytest.raises(ProviderError, match="text/html") as caught:
                await call
            assert caught.value.kind == "malformed"
            await provider.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("junk", [b"data: \xff\xfe\n\n", b"data: {not json}\n\n", b"data: [1]\n\n"])
def test_broken_utf8_and_what_is_no_json_are_malformed(lab: Any, wire: str, junk: bytes) -> None:
    named = junk if wire == "chat" else b"event: message_delta\n" + junk
    pieces = [*lab.STREAMS[wire]("a")[:2], named]
    error = asyncio.run(lab.told(wire, lab.Reply(pieces, headers=lab.OPENAI_HEADERS)))
    assert error.kind == "malformed"


@pytest.mark.parametrize("junk", [b"\xff\xfe{}", b"{not json}", b"[1]"])
def test_an_answer_at_once_that_is_no_answer_is_malformed(lab: Any, wire: str, junk: bytes) -> None:
    reply = lab.Reply([junk], headers={"content-type": "application/json"})

    async def main() -> None:
        async with lab.serving(reply) as raw:
            provider = lab.open_at(wire, raw)
            with pytest.raises(ProviderError, match=r".") as caught:
                await provider.complete(lab.ask())
            assert caught.value.kind == "malformed"
            await provider.aclose()

    asyncio.run(main())


def test_cancelling_closes_the_connection(lab: Any, wire: str) -> None:
    reply = lab.Reply(lab.STREAMS[wire]("a", "b")[:4], headers=lab.OPENAI_HEADERS, ending="hangs")

    async def main() -> None:
        async with lab.serving(reply) as raw:
            provider = lab.open_at(wire, raw)
            for call in (lab.drained(provider, lab.ask()), provider.complete(lab.ask())):
                task = asyncio.create_task(call)
                async with asyncio.timeout(30):
                    while not raw.open:
                        await asyncio.sleep(0.01)
                await asyncio.sleep(0.1)  # it reads
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert await raw.closed()
            await provider.aclose()

    asyncio.run(main())


def test_who_stops_reading_closes_the_connection(lab: Any, wire: str) -> None:
    from contextlib import aclosing

    reply = lab.Reply(lab.STREAMS[wire]("a", "b")[:4], headers=lab.OPENAI_HEADERS, ending="hangs")

    async def main() -> None:
        async with lab.serving(reply) as raw:
            provider = lab.open_at(wire, raw)
            async with aclosing(provider.stream(lab.ask())) as events:
                async for _ in events:
                    break
            assert await raw.closed()
            await provider.aclose()

    asyncio.run(main())


@pytest.mark.parametrize(
    "name", ["stream", "model", "n", "max_tokens", "max_completion_tokens", "max_output_tokens"]
)
def test_further_fields_do_not_overrule_the_requests_own(lab: Any, wire: str, name: str) -> None:
    """By no wire's name for it: a budget holds what `max_output_tokens` allows."""

    async def main() -> None:
        async with lab.serving(lab.good(wire, "a")) as raw:
            provider = lab.open_at(wire, raw)
            with pytest.raises(SpecError, match=f"Request.extra sets '{name}'"):
                await provider.complete(lab.ask(extra={name: 2}))
            assert not raw.asked
            await provider.aclose()

    asyncio.run(main())


HOUR = {"type": "ephemeral", "ttl": "1h"}


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        # 10 USD a 1,000 searches, with Anthropic and with OpenAI; the others by the call too.
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search_2025"),
        ({"tools": [{"type": "function"}, {"type": "web_search_preview"}]}, "web_search_preview"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}, "file_search"),
        ({"tools": [{"type": "code_interpreter"}]}, "code_interpreter"),
        ({"web_search_options": {}}, "web_search_options"),
        # Twice the input's price, where five minutes are 1.25 times it.
        ({"cache_control": HOUR}, "for an hour"),
        ({"tools": [{"name": "mine", "input_schema": {}, "cache_control": HOUR}]}, "for an hour"),
    ],
)
def test_what_is_not_paid_by_the_token_is_refused_before_it_is_sent(
    lab: Any, wire: str, extra: dict[str, Any], said: str
) -> None:
    async def main() -> None:
        async with lab.serving(lab.good(wire, "a")) as raw:
            provider = lab.open_at(wire, raw)
            for call in (
                provider.complete(lab.ask(extra=extra)),
                lab.drained(provider, lab.ask(extra=extra)),
            ):
                with pytest.raises(SpecError, match=said):
                    await call
            assert not raw.asked
            tool = {"type": "function", "name": "mine"}
            kept = {"tools": [tool], "cache_control": {"type": "ephemeral"}}
            await provider.complete(lab.ask(extra=kept))
            assert raw.asked[0]["body"]["tools"] == [tool]
            await provider.aclose()

    asyncio.run(main())
