"""What can be wrong at a provider or in what a user wrote: one clear error each, the whole way
through the door, over real HTTP."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import mox
from mox.errors import (
    BudgetError,
    EngineError,
    FieldError,
    MissingError,
    MoxError,
    PoolError,
    PriceError,
    ProviderError,
)
from mox.providers import providers
from mox.providers.door import parsed
from mox.providers.ledger import Ledger
from mox.settings import settings
from mox.simulation.naming import even
from mox.simulation.serving import Served, serving
from mox.types.providers import Message, Provider, Request

FREE = {"unlimited": True}
KEY = "sk-ant-pl4nted-0123456789-0123456789"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A simulator behind HTTP, that a header makes fail."""
    with serving({"models": {"sim-swift": even(first_s=0.002, token_s=0.002)}}) as found:
        yield found


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """One key, and it is Anthropic's by its beginning."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SOME_KEY", KEY)
    monkeypatch.setenv("SIMULATED_KEY", "anybody")


def at(served: Served, **more: Any) -> dict[str, Any]:
    return {
        "kind": "compatible", "model": "sim-swift", "base_url": served.openai_base_url,
        "key_env": "SIMULATED_KEY", **more,
    }  # fmt: skip


def refused(error: type[MoxError], said: str, spec: Any, **more: Any) -> MoxError:
    """The error of opening a model, or of its first question."""
    with pytest.raises(error, match=said) as caught, mox.model(spec, **more) as model:
        model.ask("Why?", max_output_tokens=20, timeout_s=20)
    assert caught.value.mend
    assert "pl4nted" not in str(caught.value)
    return caught.value


OPENAI = {"kind": "openai", "model": "gpt-5.4-mini"}
ANTHROPIC = {"kind": "anthropic", "model": "claude-sonnet-5-5"}


@pytest.mark.parametrize(
    ("spec", "more", "error", "said"),
    [
        (OPENAI, {"limits": FREE}, MissingError, "no key, OPENAI_API_KEY is not set"),
        (ANTHROPIC, {"limits": FREE}, MissingError, "no key, ANTHROPIC_API_KEY is not set"),
        ({**OPENAI, "key_env": "SOME_KEY"}, {"limits": FREE}, ProviderError, "as Anthropic's do"),
        ({**OPENAI, "key_env": "SOME_KEY"}, {}, FieldError, "an account states no limits"),
        (
            {**OPENAI, "key_env": "SOME_KEY"},
            {"accounts": [{"name": "a", "limits": FREE}, {"key_env": "B_KEY"}]},
            FieldError,
            "an account states no limits",
        ),
        ({"kind": "simulated", "model": "sim-swift"}, {"budget_usd": 0}, BudgetError, "is 0 USD"),
    ],
)
def test_what_is_wrong_before_anything_is_sent(
    spec: dict[str, Any], more: dict[str, Any], error: type[MoxError], said: str
) -> None:
    refused(error, said, spec, **more)
    assert list(Ledger(settings().root).rows()) == []


def test_a_price_in_the_wrong_unit(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "prices.yaml"
    monkeypatch.setenv("MOX_PRICES", str(file))
    row = "prices:\n  - {provider: compatible, model: sim-swift, per: %s, input: 0.15, output: 1}\n"
    file.write_text(row % "1K")
    refused(PriceError, "prices.yaml:2", at(served), limits=FREE)
    file.write_text(row % "1M")
    with mox.model(at(served), limits=FREE) as model:
        assert model.ask("Why?", max_output_tokens=5).text


STREAM = Request("sim-swift", (Message("user", "Why?"),), max_output_tokens=20)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("html", "server"),  # of status 502
        ("bad_utf8", "malformed"),
        ("bad_json", "malformed"),
        ("truncated", "truncated"),
        ("cut", "connection"),
        ("spend_cap", "quota_exhausted"),
        ("no_usage", "unusable"),
    ],
)
def test_what_a_provider_does_wrong(served: Served, fault: str, kind: str) -> None:
    spec = at(served, headers={"x-mox-fault": fault})
    error = refused(ProviderError, "compatible", spec, limits=FREE)
    assert isinstance(error, ProviderError)
    assert error.kind == kind
    lines = list(Ledger(settings().root).rows())
    assert {line["error"] for line in lines} == {kind}  # each attempt is there, by its name
    # What was refused cost nothing; what was sent, and isn't known to have, the most that it may.
    billed = kind not in ("server", "quota_exhausted")
    for line in lines:
        assert line["usd"] == (line["held_usd"] if billed else "0")
        assert (line["note"] is not None) == billed
    # A whole answer that nobody counted isn't asked for, and paid, again.
    assert len(lines) == {"unusable": 1, "quota_exhausted": 1}.get(kind, 4)

    async def alone() -> str:
        """The same without the door: a provider by itself makes one attempt."""
        read = parsed(spec)
        provider = providers[read](read)
        try:
            with pytest.raises(ProviderError) as caught:
                _ = [event async for event in provider.stream(STREAM, timeout_s=20)]
        finally:
            await provider.aclose()
        return caught.value.kind

    assert asyncio.run(alone()) == kind


def test_half_a_character_across_chunks_is_no_fault(served: Served) -> None:
    told = "Die Überraschung der Größe kostet im März fünf Euro: 5 €."
    question = f"[1] {told}\n\nQuestion: Was kostet die Überraschung der Größe im März?"
    spec = at(served, headers={"x-mox-fault": "split"})
    with mox.model(spec, limits=FREE) as model:
        text = model.ask(question, max_output_tokens=60).text
    assert "Überraschung der Größe kostet im März fünf Euro" in text
    assert "\ufffd" not in text


@contextmanager
def saying(kind: str, body: bytes) -> Iterator[str]:
    """The address of a server that answers all with the same, of status 200."""

    class Same(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Same)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def test_a_page_in_place_of_an_answer(served: Served) -> None:
    with saying("text/html", b"<html><body>Welcome</body></html>") as url:
        spec = at(served, base_url=url)
        error = refused(ProviderError, "no stream of events but text/html", spec, limits=FREE)
    assert isinstance(error, ProviderError)
    assert error.kind == "malformed"


def test_an_answer_that_ends_for_an_unknown_reason_is_asked_once_and_paid(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(
        "prices:\n  - {provider: compatible, model: sim-swift, per: 1M, input: 1, output: 10}\n"
    )
    monkeypatch.setenv("MOX_PRICES", str(file))
    said = (
        b'data: {"choices":[{"index":0,"delta":{"content":"A whole answer."},'
        b'"finish_reason":"daydream"}],"usage":{"prompt_tokens":11,"completion_tokens":7}}\n\n'
        b"data: [DONE]\n\n"
    )
    with saying("text/event-stream", said) as url:
        spec = at(served, base_url=url)
        error = refused(ProviderError, "unknown reason, 'daydream'", spec, limits=FREE)
    assert isinstance(error, ProviderError)
    assert error.kind == "unusable"
    (line,) = Ledger(settings().root).rows()
    # 11 × 1 + 7 × 10, of a million
    assert (line["usd"], line["error"], line["output_tokens"]) == ("0.000081", "unusable", 7)


def test_a_stream_that_its_reader_leaves_counts_in_the_budget(served: Served) -> None:
    """Its provider made some of it, and bills that; how much, nobody here is told."""
    ask = Request("sim-swift", (Message("user", "Why?"),), max_output_tokens=20)

    async def left(model: Provider) -> None:
        async with aclosing(model.stream(ask)) as events:
            async for _ in events:
                break

    async def main() -> None:
        async with mox.model(at(served), limits=FREE, remember=False) as model:
            await left(model)

    asyncio.run(main())
    (line,) = Ledger(settings().root).rows()
    assert line["error"] == "cancelled"
    assert line["usd"] == line["held_usd"] != "0"


def test_a_provider_that_never_answers_costs_its_time_and_no_more(served: Served) -> None:
    spec = at(served, headers={"x-mox-fault": "silent"})
    began = time.monotonic()
    with (
        mox.model(spec, limits=FREE) as model,
        pytest.raises(ProviderError, match="not a byte had come") as caught,
    ):
        model.ask("Why?", timeout_s=0.5)
    assert caught.value.kind == "timeout_total"
    assert time.monotonic() - began < 5


def test_a_model_that_does_not_exist(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = at(served, model="sim-swfit")
    refused(PriceError, "no price is known of compatible/sim-swfit", spec, limits=FREE)
    file = tmp_path / "prices.yaml"
    file.write_text(
        "prices:\n  - {provider: compatible, model: sim-swfit, per: 1M, input: 1, output: 1}\n"
    )
    monkeypatch.setenv("MOX_PRICES", str(file))
    error = refused(ProviderError, "sim-swfit", spec, limits=FREE)
    assert isinstance(error, ProviderError)
    assert error.kind == "model_not_found"


def test_limits_that_a_call_can_never_meet_in_time(served: Served) -> None:
    spec = at(served)
    with mox.model(spec, limits={"tokens_per_min": 60}) as model:
        model.ask("Why?", max_output_tokens=60)  # a minute's worth, on credit
        with pytest.raises(PoolError, match="would be free in"):
            model.ask("Why not?", max_output_tokens=60, timeout_s=2)
    assert len(list(Ledger(settings().root).rows())) == 1


def test_a_redis_that_is_not_there(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOX_REDIS_URL", "redis://127.0.0.1:1/0")
    refused(EngineError, "127.0.0.1:1", at(served), limits=FREE)


@pytest.mark.parametrize("jump_s", [5 * 3600.0, -5 * 3600.0])
@pytest.mark.parametrize("shared", [False, True])
def test_a_wall_clock_that_jumps_in_mid_run_changes_nothing(
    served: Served,
    valkey: str,
    monkeypatch: pytest.MonkeyPatch,
    jump_s: float,
    shared: bool,
) -> None:
    if shared:
        monkeypatch.setenv("MOX_REDIS_URL", valkey)
    limits = {"requests_per_min": 240, "safety": 1.0}  # 4 a second, the first 2 at once
    right = time.time
    with mox.model(at(served), limits=limits, remember=False) as model:
        began = time.monotonic()
        model.ask("1?", max_output_tokens=3)
        monkeypatch.setattr(time, "time", lambda: right() + jump_s)
        found = model.ask_many([f"{n}?" for n in range(4)], max_output_tokens=3, quiet=True)
        took = time.monotonic() - began
    assert not found.errors
    assert 0.5 <= took < 4  # five requests: one or two at once, the others 0.25 s apart
    assert all(0 <= one.waited_s <= one.seconds < 4 for one in found.answered)
