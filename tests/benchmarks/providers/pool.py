"""How well the token pool uses what strict providers allow, and what it costs.

Four worker processes share the pool over Redis; 32 callers in all (64 where the limit is large)
ask three accounts in a closed loop, through `Pooled` and its estimates, as all of Mox asks: only
the way to the provider is a thin one instead of an SDK's. The provider is the simulator's server
with strict buckets of 2 s; the pool is told 1 s, its default. Goals: no 429 at ≥ 98 % of what is
allowed (≥ 90 % with 30,000 tokens of output a minute, where two or three answers at once are all
that the limit carries); p99/p50 of wait + call ≤ 1.5, beside which that of the calls alone is
printed; ≤ 2 Redis round trips for an acquire and a settle; ≥ 2,000 of both for a second of the
client's CPU at 32 callers.

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
EVEN = 1.5
"""p99/p50 of wait + call, at most."""
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
    """Median tokens of an answer."""
    trips: float = 2.05
    """Round trips of an attempt, at most: two, and what is booked anew where a machine was busy.
    Where output has a limit of its own, an answer of more than half a second is reported of each
    half second, too."""


SCENARIOS = (
    Scenario("openai", {"requests_per_min": 300, "tokens_per_min": 60_000}, "chat", 0.98),
    Scenario("requests", {"requests_per_min": 600, "tokens_per_min": 6e6}, "chat", 0.98, length=30),
    Scenario(
        "anthropic",
        # The limit carries so many answers at once that few wait: p99/p50 is that of their lengths.
        {"requests_per_min": 6000, "input_per_min": 6e6, "output_per_min": 120_000},
        "messages", 0.98, callers=64, trips=4.0,
    ),
    Scenario(
        "queue",
        # Forty answers at once are in the provider's bucket, and most of the time is a wait for it.
        {"requests_per_min": 6000, "input_per_min": 6e6, "output_per_min": 36_000},
        "messages", 0.98, length=30,
    ),
    Scenario(
        "otpm-30k",
        {"requests_per_min": 600, "input_per_min": 6e6, "output_per_min": 30_000},
        # The answers' own times differ more than the waits do.
        "messages", 0.90, seconds=2.0, trips=4.0,
    ),
)  # fmt: skip


@dataclass
class Tally:
    """What one worker saw."""

    answers: int = 0
    refused: int = 0
    attempts: int = 0
    ended: int = 0
    """Callers whose turn would have come after the end."""
    took_s: list[float] = field(default_factory=list)
    alone_s: list[float] = field(default_factory=list)
    """Without the wait for the pool."""
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


async def work(scenario: Scenario, given: dict[str, Any]) -> Tally:
    """One worker process: its share of the callers."""
    from thin import Thin

    from mox.providers.pool import Account, Limits, redis_pool
    from mox.providers.pooled import Pooled

    limits = Limits(**scenario.limits)
    keys = [f"key-{at}" for at in range(ACCOUNTS)]
    pool = redis_pool(given["redis"], name=scenario.name)
    pooled = Pooled(
        {
            Account(key, limits, "bench"): Thin(given["simulator"], scenario.wire, key)
            for key in keys
        },
        pool,
    )
    tally = Tally()
    await asyncio.sleep(max(0.0, given["at"] - time.monotonic()))
    until = time.monotonic() + given["seconds"]
    numbers = range(given["first"], given["first"] + given["callers"])
    await asyncio.gather(*(_caller(pooled, tally, number, until) for number in numbers))
    await pooled.aclose()
    await pool.aclose()
    tally.cpu_s = time.process_time()
    return tally


async def _caller(pooled: Any, tally: Tally, number: int, until: float) -> None:
    from mox.errors import PoolError, ProviderError
    from mox.providers.pooled import Trip
    from mox.types.providers import Message, Request

    draws = random.Random(number)  # noqa: S311
    while (began := time.monotonic()) < until:
        text = f"{number} {began} ".ljust(draws.randint(200, 1600), "x")
        request = Request(MODEL, (Message("user", text),), max_output_tokens=MOST)
        trip = Trip()
        try:
            await pooled.complete(request, timeout_s=until - began, trip=trip)
        except PoolError:
            tally.ended += 1  # its turn would come after the end
            return
        except ProviderError:
            continue
        finally:
            tally.attempts += trip.attempts
            tally.refused += sum(kind.startswith("rate_limit") for kind in trip.errors)
        took = time.monotonic() - began
        tally.answers += 1
        tally.took_s.append(took)
        tally.alone_s.append(took - trip.waited_s)


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
    calls -= WORKERS * (
        2 + int(seconds / 3)
    )  # it says that it is here each 3 s, at first and at last
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
    answers, attempts, ended = (
        sum(each[name] for each in said) for name in ("answers", "attempts", "ended")
    )
    (p50, p99), (alone50, alone99) = (
        _quantiles([each for one in said for each in one[name][len(one[name]) // 4 :]])
        for name in ("took_s", "alone_s")
    )
    return {
        "scenario": scenario.name, "answers": answers, "p50_s": p50, "p99_s": p99,
        "p99/p50": p99 / p50, "alone": alone99 / alone50,
        "trips": (calls - ended) / max(1, attempts),
    }  # fmt: skip


def _quantiles(values: list[float]) -> tuple[float, float]:
    """p50 and p99."""
    values.sort()
    return values[len(values) // 2], values[int(0.99 * len(values))]


def _reached(scenario: Scenario, row: dict[str, Any]) -> bool:
    return bool(
        row["429"] == 0
        and row["used"] >= scenario.least
        and row["p99/p50"] <= EVEN
        and row["trips"] <= scenario.trips
    )


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
        print("p99/p50 of wait + call, and of the calls alone; trips: of an attempt")
        print("scenario      answers  429    used    p50 s   p99/p50     alone     trips")
        for name in filter(None, given.only.split(",")):
            row = run(named[name], seconds=given.seconds, redis_url=url)
            rows.append(row)
            print(
                f"{name:12} {row['answers']:8} {row['429']:4} {row['used']:7.3f}"
                f" {row['p50_s']:8.2f} {row['p99/p50']:9.2f} {row['alone']:9.2f}"
                f" {row['trips']:9.2f}"
                f"   load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
        kept = all(_reached(named[row["scenario"]], row) for row in rows)
        kept = kept and all(rate >= 2000 and trips <= 2.01 for rate, trips in rates.values())
        valkey.stop(Path(folder) / "v")
    if given.rival:
        from rival_litellm import beside

        beside(given.rival, seconds=given.seconds, rows=rows)
    print("reached" if kept else "NOT reached")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
