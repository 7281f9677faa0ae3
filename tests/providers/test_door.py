"""`mox.model` and `mox call`: all the parts of the providers behind one door."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import mox
from mox.errors import BudgetError, FieldError, MissingError, PriceError, ProviderError, SpecError
from mox.providers.ledger import Ledger
from mox.providers.reply import Reply
from mox.settings import settings
from mox.simulation.naming import even
from mox.simulation.serving import Served, serving
from mox.types.providers import Answer, Delta, Message, Request

FAST = {"kind": "simulated", "model": "sim-swift", "time_scale": 0.001}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a simulator's account is called by those who ask it with a key."""
    monkeypatch.setenv("SIMULATED_KEY", "anybody")


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A simulator behind HTTP, all of whose accounts are let in."""
    with serving({"models": {"sim-swift": even(first_s=0.002, token_s=0.0001)}}) as found:
        yield found


def lines() -> list[dict[str, Any]]:
    """The ledger's."""
    return list(Ledger(settings().root).rows())


def test_a_question_is_answered_with_what_it_took() -> None:
    with mox.model(FAST, purpose="try") as model:
        reply = model.ask("Why is the sky blue?", max_output_tokens=20)
    assert isinstance(reply, Reply)
    assert reply.text == reply.answer.text == str(reply) != ""
    usage = reply.answer.usage
    # experiments/prices.yaml: 0.15 USD of 1M input tokens, 0.60 of output.
    by_hand = (Decimal("0.15") * usage.input_tokens + Decimal("0.60") * usage.output_tokens) / 10**6
    assert reply.usd == by_hand
    assert reply.simulated
    assert (reply.attempts, reply.account, reply.remembered) == (1, "simulated", False)
    assert 0 <= reply.waited_s <= reply.seconds
    [line] = lines()
    assert (line["provider"], line["account"], line["model"]) == (
        "simulated", "simulated", "sim-swift",
    )  # fmt: skip
    assert (line["purpose"], line["simulated"], Decimal(line["usd"])) == ("try", 1, by_hand)


def test_the_same_question_costs_nothing_the_second_time_unless_it_shall() -> None:
    with mox.model(FAST) as model:
        first, again = model.ask("Why?"), model.ask("Why?")
    assert (again.text, again.remembered, again.usd) == (first.text, True, 0)
    assert len(lines()) == 1
    with mox.model(FAST, remember=False) as model:
        assert not model.ask("Why?").remembered
    assert len(lines()) == 2


def test_a_reply_shows_all_of_it_and_never_as_markup() -> None:
    with mox.model(FAST) as model:
        reply = model.ask([{"role": "user", "content": "<b>?"}], max_output_tokens=20)
        many = model.ask_many(["<i>why</i>?"], max_output_tokens=20, quiet=True)
    shown = reply._repr_html_()
    for part in (reply.text, "tokens in", " out", " s (first text", "waited", "USD", "SIMULATED"):
        assert part in shown
    assert "&lt;i&gt;why&lt;/i&gt;?" in many._repr_html_()
    assert "<i>" not in many._repr_html_()
    assert "SIMULATED" in many._repr_html_()


def test_it_works_inside_a_running_loop_as_in_a_notebooks_cell() -> None:
    async def cell() -> Reply:
        with mox.model(FAST) as model:
            return model.ask("Why?", max_output_tokens=5)

    assert asyncio.run(cell()).text


def test_asynchronously_it_is_a_provider() -> None:
    request = Request("sim-swift", (Message("user", "Why?"),), max_output_tokens=10)

    async def work() -> tuple[list[Any], Answer, Reply]:
        async with mox.model(FAST) as model:
            events = [event async for event in model.stream(request)]
            return events, await model.complete(request), await model.reply(request)

    events, answer, reply = asyncio.run(work())
    assert all(isinstance(event, Delta) for event in events[:-1])
    assert events[-1].text == answer.text == reply.text
    assert reply.remembered


def test_it_belongs_to_the_loop_that_used_it_first() -> None:
    model = mox.model(FAST)

    async def first() -> None:
        await model.reply("Why?", max_output_tokens=5)
        with pytest.raises(SpecError, match="another event loop"):
            model.ask("Why?")
        await model.aclose()

    asyncio.run(first())
    with pytest.raises(SpecError, match="is closed"):
        model.ask("Why?")


def test_several_questions_keep_their_order_and_a_failure_its_place() -> None:
    questions = [f"What is {n}?" for n in range(8)]
    asked: list[Any] = [*questions, ["no message"], "And the last?"]
    with mox.model(FAST) as model:
        found = model.ask_many(asked, max_output_tokens=8, at_once=3, quiet=True)
        alone = [model.ask(question, max_output_tokens=8).text for question in questions]
    assert [one.text for one in found.answered][:8] == alone
    assert list(found.errors) == [8]
    assert isinstance(found.errors[8], SpecError)
    assert list(found.frame()["question"][:8]) == questions
    assert found.usd == sum(one.usd for one in found.answered if one.usd is not None)
    assert "9 of 10 answered" in repr(found)


def test_a_budget_stops_before_the_call_that_would_exceed_it_and_keeps_the_rest() -> None:
    # 10 output tokens cost 6e-6 USD and the input some 0.15e-6 a token, at most 50 tokens: two
    # of such calls fit into 3e-5, and not ten.
    with mox.model(FAST, budget_usd="0.00003") as model:
        found = model.ask_many([f"{n}?" for n in range(10)], max_output_tokens=10, quiet=True)
    assert len(found.answered) >= 2
    assert found.errors
    assert all(isinstance(error, BudgetError) for error in found.errors.values())
    assert found.usd is not None
    assert found.usd <= Decimal("0.00003")


def test_accounts_share_the_load_by_their_limits(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.reset()
    monkeypatch.setenv("FIRST_KEY", "one-of-two")
    monkeypatch.setenv("SECOND_KEY", "two-of-two")
    spec = {"kind": "compatible", "model": "sim-swift", "base_url": served.openai_base_url}
    slow = {"requests_per_min": 60, "tokens_per_min": 1_000_000}  # one a second, half of it at once
    accounts = [
        {"name": "a", "key_env": "FIRST_KEY", "limits": slow},
        {"name": "b", "key_env": "SECOND_KEY", **slow},
    ]
    with mox.model(spec, accounts=accounts) as model:
        found = model.ask_many(["1?", "2?", "3?"], max_output_tokens=5, quiet=True)
    assert not found.errors
    assert {one.account for one in found.answered} == {"a", "b"}
    assert max(one.waited_s for one in found.answered) > 0.5
    assert {(line["provider"], line["account"]) for line in lines()} == {
        ("compatible", "a"), ("compatible", "b"),
    }  # fmt: skip
    assert len(served.stats()["accounts"]) == 2  # each was asked with its own key


WORKER = """
import json, sys
import mox
spec = {"kind": "simulated", "model": "sim-swift", "url": sys.argv[1]}
with mox.model(spec, limits={"requests_per_min": 6000}) as model:
    reply = model.ask("What does a second worker pay?", max_output_tokens=10)
print(json.dumps([reply.text, str(reply.usd), reply.attempts]))
"""


def test_a_second_worker_pays_nothing(served: Served, valkey: str, tmp_path: Path) -> None:
    served.reset()
    said = []
    for worker in ("one", "two"):  # each with a state folder of its own, as on two machines
        env = {**os.environ, "MOX_REDIS_URL": valkey, "MOX_HOME": str(tmp_path / worker)}
        done = subprocess.run(
            [sys.executable, "-c", WORKER, served.url],
            capture_output=True, text=True, timeout=60, check=False, env=env,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        said.append(json.loads(done.stdout))
    (first, paid, asked), (second, nothing, again) = said
    assert first == second
    assert (asked, again) == (1, 0)
    assert Decimal(paid) > 0 == Decimal(nothing)
    assert [one["answered"] for one in served.stats()["accounts"]] == [1]


def test_without_redis_processes_may_share_mox_own_server(served: Served, own_state: Path) -> None:
    from mox.services import valkey

    spec = {"kind": "simulated", "model": "sim-swift", "url": served.url}
    try:
        with mox.model(spec, limits={"requests_per_min": 6000}, shared=True) as model:
            assert model.ask("Why?", max_output_tokens=5).attempts == 1
            assert valkey.running(own_state / "services" / "valkey")
    finally:
        valkey.stop(own_state / "services" / "valkey")


@pytest.mark.parametrize(
    ("spec", "more", "error", "said"),
    [
        ("sim-swift", {}, SpecError, "names no model"),
        ("openia/gpt", {}, SpecError, "did you mean 'openai'"),
        (FAST, {"priority": "urgent"}, FieldError, "priority"),
        (FAST, {"budget_usd": -1}, SpecError, "budget of -1"),
        (FAST, {"budget_usd": "much"}, SpecError, "no number"),
        (FAST, {"limits": {"rpm": 5}}, FieldError, "no field 'rpm'"),
        ({**FAST, "model": "nobodys"}, {}, PriceError, "no price is known of simulated/nobodys"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_it_is_opened(
    spec: Any, more: dict[str, Any], error: type[mox.MoxError], said: str
) -> None:
    with pytest.raises(error, match=said):
        mox.model(spec, **more)


def test_a_request_for_another_model_is_refused() -> None:
    with mox.model(FAST) as model, pytest.raises(SpecError, match="was given to sim-swift"):
        model.ask(Request("sim-careful", (Message("user", "Why?"),)))


def test_the_door_is_light_until_it_is_opened() -> None:
    code = "import mox, sys; mox.model; print(*[m for m in ('openai', 'anthropic', 'redis',"
    code += " 'genai_prices', 'httpx2', 'numpy', 'pandas', 'mlflow') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def called(*words: str) -> Any:
    from mox.cli.app import app

    return CliRunner().invoke(app, ["call", *words])


def test_call_tries_a_model_and_shows_what_it_took() -> None:
    small = ["--max-output-tokens", "5", "--set", "time_scale=0.001"]
    done = called("simulated/sim-swift", "hello", *small)
    assert done.exit_code == 0
    assert "SIMULATED" in done.stdout
    assert " USD" in done.stdout
    document = json.loads(called("simulated/sim-swift", "hello", *small, "--json").stdout)
    assert (document["schema"], document["simulated"], document["attempts"]) == (1, True, 1)
    assert document["usage"]["output_tokens"] == 5
    assert [line["purpose"] for line in lines()] == ["call", "call"]


def test_call_says_how_it_failed(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    refused = called("openai/gpt-5.4-mini", "hello")
    assert refused.exit_code == 2
    assert "OPENAI_API_KEY is not set" in refused.stderr
    html = ["base_url=" + served.openai_base_url, "key_env=SIMULATED_KEY"]
    html = [f"--set={one}" for one in (*html, "headers={x-mox-fault: html}")]
    failed = called("compatible/sim-swift", "hello", *html, "--json")
    assert failed.exit_code == 1
    assert json.loads(failed.stdout)["error"]["provider_error"] in {"malformed", "server"}
    assert "mend:" in failed.stderr


def test_a_relative_key_file_of_the_door_is_read_at_once(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="can't be read"):
        mox.model({**FAST, "key_file": str(tmp_path / "none")})
    (tmp_path / "key").write_text("a-key-of-tests\n")
    with mox.model({**FAST, "key_file": str(tmp_path / "key")}) as model:
        assert model.ask("Why?", max_output_tokens=3).text


def test_an_error_of_a_provider_reaches_who_asks(served: Served) -> None:
    spec = {"kind": "compatible", "model": "sim-swift", "base_url": served.openai_base_url,
            "key_env": "SIMULATED_KEY", "headers": {"x-mox-fault": "spend_cap"}}  # fmt: skip
    with (
        mox.model(spec, limits={"unlimited": True}) as model,
        pytest.raises(ProviderError) as caught,
    ):
        model.ask("Why?")
    assert caught.value.kind == "quota_exhausted"
    assert [line["error"] for line in lines()] == ["quota_exhausted"]


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_shown_where_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)  # a plugin of pytest's has it
    monkeypatch.setattr(sys, "stderr", screen)
    with mox.model(FAST) as model:
        model.ask_many(["1?", "2?", ["no question"]], max_output_tokens=5)
        assert "3/3" in screen.getvalue()
        assert "1 failed" in screen.getvalue()
        shown = screen.getvalue()
        model.ask_many(["1?"], max_output_tokens=5, quiet=True)
    assert screen.getvalue() == shown


FORGETS = """
import mox
model = mox.model({"kind": "simulated", "model": "sim-swift", "time_scale": 0.001})
print(model.ask("Why?", max_output_tokens=5).attempts)
"""


def test_who_forgets_to_close_it_leaves_nothing_open() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORGETS],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
