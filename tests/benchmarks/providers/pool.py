"""How well the token pool uses what strict providers allow, and what it costs.

Four worker processes share the pool over Redis; 32 callers in all ask three accounts in a closed
loop. The provider is the simulator's server with strict buckets of 2 s; the pool is told 1 s, its
default. Goals: no 429 at ≥ 98 % of the allowed rate (≥ 90 % with 30,000 tokens of output a minute);
p99/p50 of wait + call ≤ 1.5; ≤ 2 Redis round trips for an acquire and a settle; ≥ 2,000 of both for
a second of the client's CPU at 32 callers.

    python tests/benchmarks/providers/pool.py [--seconds S] [--only NAME,…] [--rival PYTHON]

Some 3 minutes. `--rival` puts LiteLLM's Router beside it (see rival_litellm.py).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WORKERS, CALLERS, ACCOUNTS = 4, 32, 3
BURST_S = 2.0
MOST = 512
"""Tokens of output that a request allows."""
MODEL = "bench"
PROFILE = {
    "first_s": 0.15, "token_s": 0.003, "first_sigma": 0.2, "network_s": 0.0, "slots": 512,
    "slowdown": 0.0, "fills": False, "stall_share": 0.0, "chunk_shares": [1.0],
}  # fmt: skip


@dataclass(frozen=True)
class Scenario:
    """Limits of each account, as the pool's fields name them."""

    name: str
    limits: dict[str, float]
    wire: str
    least: float
    """Utilisation to be reached."""
    callers: int = CALLERS
    seconds: float = 1.0
    """By how much longer it runs than asked for."""
    length: int = 150
    """Median tokens of an answer. Where the answers' own times differ more than waits do, p99/p50
    says nothing of the pool."""


SCENARIOS = (
    Scenario("openai", {"requests_per_min": 300, "tokens_per_min": 60_000}, "chat", 0.98),
    Scenario("requests", {"requests_per_min": 600, "tokens_per_min": 6e6}, "chat", 0.98, length=30),
    Scenario(
        "anthropic",
        {"requests_per_min": 6000, "input_per_min": 6e6, "output_per_min": 120_000},
        "messages", 0.98, callers=64,
    ),
    Scenario(
        "otpm-30k",
        {"requests_per_min": 600, "input_per_min": 6e6, "output_per_min": 30_000},
        "messages", 0.90, seconds=2.0,
    ),
)  # fmt: skip


@dataclass
class Tally:
    """What one worker saw."""

    answers: int = 0
    refused: int = 0
    took_s: list[float] = field(default_factory=list)
    cpu_s: float = 0.0


def simulation(scenario: Scenario) -> dict[str, Any]:
    """The strict provider of a scenario."""
    said = scenario.limits
    if scenario.wire == "chat":
        limits = {
            "accounting": "openai",
            "rpm": said["requests_per_min"],
            "tpm": said["tokens_per_min"],
        }
    else:
        limits = {"accounting": "anthropic", "rpm": said["requests_per_min"],
                  "itpm": said["input_per_min"], "otpm": said["output_per_min"]}  # fmt: skip
    limits["burst_s"] = BURST_S
    return {
        "models": {MODEL: {"profile": PROFILE, "median_tokens": scenario.length, "sigma": 0.5}},
        "accounts": {f"key-{at}": {"limits": limits} for at in range(ACCOUNTS)},
    }


class Line:
    """One kept connection that asks and waits for a whole answer: no SDK, little CPU."""

    def __init__(self, url: str, wire: str) -> None:
        self._host, _, self._port = url.removeprefix("http://").partition(":")
        self._path = "/v1/chat/completions" if wire == "chat" else "/v1/messages"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, key: str, text: str) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Status, headers in lower case, body."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, int(self._port))
        reader, writer = self._streams
        asked = {
            "model": MODEL,
            "max_tokens": MOST,
            "messages": [{"role": "user", "content": text}],
        }
        body = json.dumps(asked).encode()
        writer.write(
            f"POST {self._path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
            f"anthropic-version: 2023-06-01\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {}
        for line in head[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        said = await reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, json.loads(said)


async def work(scenario: Scenario, given: dict[str, Any]) -> Tally:
    """One worker process: its share of the callers."""
    from mox.providers.pool import Account, Limits, redis_pool

    limits = Limits(**scenario.limits)
    accounts = [Account(f"key-{at}", limits, "bench") for at in range(ACCOUNTS)]
    pool = redis_pool(given["redis"], name=scenario.name)
    tally = Tally()
    await asyncio.sleep(max(0.0, given["at"] - time.monotonic()))
    until = time.monotonic() + given["seconds"]
    await asyncio.gather(
        *(
            _caller(scenario, given, number, (pool, accounts, tally, until))
            for number in range(given["first"], given["first"] + given["callers"])
        )
    )
    await pool.aclose()
    tally.cpu_s = time.process_time()
    return tally


async def _caller(
    scenario: Scenario, given: dict[str, Any], number: int, shared: tuple[Any, ...]
) -> None:
    from mox.errors import PoolError
    from mox.providers.pool import Need, Outcome
    from mox.providers.standing import retry_after_s, standing

    pool, accounts, tally, until = shared
    draws, line = random.Random(number), Line(given["simulator"], scenario.wire)  # noqa: S311
    outputs, speed = given.setdefault("outputs", []), given.setdefault("speed", [0.0])
    while (began := time.monotonic()) < until:
        text = f"{number} {began} ".ljust(draws.randint(200, 1600), "x")
        expected = sum(outputs[-64:]) / len(outputs[-64:]) if len(outputs) >= 3 else MOST
        need = Need(
            input=len(text) / 4, output=expected, max_output=MOST,
            tokens_per_s=speed[0] or None,
        )  # fmt: skip
        try:
            lease = await pool.acquire(accounts, need, deadline_s=until - began)
        except PoolError:
            return  # its turn would come after the end
        sent = time.monotonic()
        status, headers, body = await line.ask(lease.account.name, text)
        done = time.monotonic()
        if status == 429:
            tally.refused += 1
            kind = "rate_limit_output" if scenario.wire == "messages" else "rate_limit_tokens"
            wait = retry_after_s(headers)
            await pool.settle(lease, Outcome(error=kind, retry_after_s=wait))
            continue
        usage = _usage(body["usage"])
        await pool.settle(lease, Outcome(usage=usage, standing=standing(headers)))
        outputs.append(usage.output_tokens)
        new = usage.output_tokens / (done - sent)
        speed[0] = speed[0] + 0.2 * (new - speed[0]) if speed[0] else new
        tally.answers += 1
        tally.took_s.append(done - began)


def _usage(said: dict[str, int]) -> Any:
    from mox.types.providers import Usage

    return Usage(
        said.get("prompt_tokens") or said.get("input_tokens", 0),
        output_tokens=said.get("completion_tokens") or said.get("output_tokens", 0),
    )


def run(scenario: Scenario, *, seconds: float, redis_url: str) -> dict[str, Any]:
    """A scenario's row."""
    import redis

    from mox.simulation.serving import serving

    seconds *= scenario.seconds
    with serving(simulation(scenario)) as served, redis.Redis.from_url(redis_url) as client:
        before = _calls(client)
        given = {
            "redis": redis_url, "simulator": served.url, "seconds": seconds,
            "at": time.monotonic() + 4.0, "callers": scenario.callers // WORKERS,
        }  # fmt: skip
        processes = [
            subprocess.Popen(
                [sys.executable, __file__, "--worker", scenario.name, "--given",
                 json.dumps({**given, "first": at * given["callers"]})],
                stdout=subprocess.PIPE, text=True,
            )
            for at in range(WORKERS)
        ]  # fmt: skip
        try:
            # The first quarter learns what answers need and fills the queue.
            time.sleep(max(0.0, given["at"] + seconds / 4 - time.monotonic()))
            first = time.monotonic(), served.stats()
            time.sleep(max(0.0, given["at"] + seconds - 0.5 - time.monotonic()))
            last = time.monotonic(), served.stats()
            said = [json.loads(each.communicate(timeout=90)[0]) for each in processes]
        finally:
            for each in processes:
                each.kill()
        calls = _calls(client) - before
        denied = sum(sum(row["rate_limited"].values()) for row in served.stats()["accounts"])
    return {**_row(scenario, said, calls), "429": denied, "used": _used(scenario, first, last)}


def _used(scenario: Scenario, first: tuple[float, Any], last: tuple[float, Any]) -> float:
    """Share of the allowed rate that was charged between two looks, of the scarcest resource."""
    names = {"requests": "requests_per_min", "tokens": "tokens_per_min",
             "input": "input_per_min", "output": "output_per_min"}  # fmt: skip
    charged = [
        {name: sum(row["charged"][name] for row in stats["accounts"]) for name in names
         if names[name] in scenario.limits}
        for _, stats in (first, last)
    ]  # fmt: skip
    return max(
        (charged[1][name] - charged[0][name])
        / (ACCOUNTS * scenario.limits[names[name]] / 60 * (last[0] - first[0]))
        for name in charged[0]
    )


def _row(scenario: Scenario, said: Sequence[dict[str, Any]], calls: int) -> dict[str, Any]:
    answers, refused = (sum(each[name] for each in said) for name in ("answers", "refused"))
    took = sorted(each for one in said for each in one["took_s"][len(one["took_s"]) // 4 :])
    p50, p99 = took[len(took) // 2], took[int(0.99 * len(took))]
    return {
        "scenario": scenario.name, "answers": answers, "least": scenario.least, "p50_s": p50,
        "p99_s": p99, "p99/p50": p99 / p50, "trips": calls / max(1, answers + refused),
    }  # fmt: skip


def _calls(client: Any) -> int:
    stats = client.info("commandstats")
    return sum(said["calls"] for name, said in stats.items() if "evalsha" in name)


def cycles(redis_url: str, *, seconds: float) -> dict[str, tuple[float, float]]:
    """Acquire and settle for a second of CPU, and the round trips of one: at 32 callers of one
    process, who never wait."""
    import redis

    from mox.providers.pool import Account, Limits, Need, Outcome, redis_pool
    from mox.types.providers import Usage

    done = Outcome(usage=Usage(100, output_tokens=100))
    found = {}
    for name, stated in (
        ("openai", {"requests_per_min": 6e7, "tokens_per_min": 6e10}),
        ("anthropic", {"requests_per_min": 6e7, "input_per_min": 6e10, "output_per_min": 6e10}),
    ):
        accounts = [Account(f"{name}-{at}", Limits(**stated), name) for at in range(ACCOUNTS)]

        async def whole(accounts: list[Account] = accounts) -> tuple[float, int]:
            pool, count, need = redis_pool(redis_url, name="cycles"), 0, Need(100, 100, 512)
            until = time.monotonic() + seconds

            async def caller() -> None:
                nonlocal count
                while time.monotonic() < until:
                    await pool.settle(await pool.acquire(accounts, need), done)
                    count += 1

            await pool.acquire(accounts, need)
            began = time.process_time()
            await asyncio.gather(*(caller() for _ in range(CALLERS)))
            rate = count / (time.process_time() - began)
            await pool.aclose()
            return rate, count

        with redis.Redis.from_url(redis_url) as client:
            before = _calls(client)
            rate, count = asyncio.run(whole())
            found[name] = rate, (_calls(client) - before) / count
    return found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--only", default=",".join(each.name for each in SCENARIOS))
    parser.add_argument("--rival", type=Path)
    parser.add_argument("--worker")
    parser.add_argument("--given")
    given = parser.parse_args()
    named = {each.name: each for each in SCENARIOS}
    if given.worker:
        tally = asyncio.run(work(named[given.worker], json.loads(given.given)))
        print(json.dumps(vars(tally)))
        return 0
    from mox.services import valkey

    kept, rows = True, []
    with tempfile.TemporaryDirectory() as folder, valkey.serving(Path(folder) / "v") as url:
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        rates = cycles(url, seconds=3.0)
        for name, (rate, trips) in rates.items():
            print(
                f"{name}: {rate:.0f} cycles for a second of CPU ({rate / 2000:.2f} of the goal), "
                f" {trips:.3f} round trips each"
            )
        print("trips: of a cycle, with beats and with what is refused at the end")
        print("scenario      answers  429    used    p50 s   p99/p50     trips")
        for name in filter(None, given.only.split(",")):
            row = run(named[name], seconds=given.seconds, redis_url=url)
            rows.append(row)
            print(
                f"{name:12} {row['answers']:8} {row['429']:4} {row['used']:7.3f}"
                f" {row['p50_s']:8.2f} {row['p99/p50']:9.2f} {row['trips']:9.2f}"
                f"   load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
        kept = all(
            row["429"] == 0 and row["used"] >= row["least"] and row["p99/p50"] <= 1.5
            for row in rows
        )
        kept = kept and all(rate >= 2000 and trips <= 2.01 for rate, trips in rates.values())
        valkey.stop(Path(folder) / "v")
    if given.rival:
        from rival_litellm import beside

        beside(given.rival, seconds=given.seconds, rows=rows)
    print("reached" if kept else "NOT reached")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
