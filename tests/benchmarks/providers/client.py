"""How many streams of 50 tokens a second one core can follow, and how far off its times are.

The client runs on one core, the simulator on another. Each token's time is held against that at
which the simulator handed it to its socket, paired by request: *added error*, in ms. Goals: at
400 streams a median of ≤ 1 ms for the first token and ≤ 0.5 ms for later ones; at half of the
limit a median of ≤ 1 ms and a p99 of ≤ 5 ms. The limit is the most streams whose round the
self-check lets stand. Beside it, in the same run, the official SDK of OpenAI at a few streams, and
the ratio of what a chunk costs.

    python tests/benchmarks/providers/client.py [--streams 50,100,…] [--seconds S] [--sdk 10,25,50]

Some 3 minutes. Two cores; anything else that runs on them is seen as error.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from mox.bench.providers.client.instrument import (
    MODEL,
    Errors,
    Setting,
    instrument,
    simulation,
)
from mox.bench.providers.client.selfcheck import MOST_CPU, at, doubt
from mox.simulation.serving import serving

FIRST_MS, LATER_MS, STREAMS = 1.0, 0.5, 400
HALF_P50_MS, HALF_P99_MS = 1.0, 5.0
TOKENS = 150


@dataclass(frozen=True)
class Line:
    """One row of the table."""

    streams: int
    chunks_s: float
    cpu: float
    chunk_us: float
    first: tuple[float, float]
    later: tuple[float, float]
    lag_ms: float
    why: str | None

    def text(self) -> str:
        return (
            f"{self.streams:>7} {self.chunks_s:>9,.0f} {self.cpu:>6.0%} {self.chunk_us:>9.1f}"
            f" {self.first[0]:>8.3f} {self.first[1]:>8.2f} {self.later[0]:>8.3f}"
            f" {self.later[1]:>8.2f} {self.lag_ms:>8.2f}  {self.why or ''}"
        )


HEAD = (
    f"{'streams':>7} {'chunks/s':>9} {'CPU':>6} {'us/chunk':>9} {'first':>8} {'p99':>8}"
    f" {'later':>8} {'p99':>8} {'lag p99':>8}"
)


def main() -> None:
    arguments = parsed()
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        sys.exit("two cores are needed: one for the client, one for the simulator.")
    pair = (cores[0], cores[1])
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"one core for the client, one for the simulator; load before {load}")
    # What reads the answers is no client: it stays off the client's core.
    os.sched_setaffinity(0, {pair[1]})
    print(f"\nMox' client: added error in ms, medians and p99\n{HEAD}")
    ours = []
    for streams in arguments.streams:
        ours.append(line(instrument(Setting(streams, arguments.seconds, TOKENS, pair))))
        print(ours[-1].text(), flush=True)
    print(f"\nopenai's SDK (AsyncOpenAI)\n{HEAD}")
    theirs = []
    for streams in arguments.sdk:
        theirs.append(sdk(streams, arguments.seconds, pair))
        print(theirs[-1].text(), flush=True)
    verdict(ours, theirs)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    many = lambda text: [int(part) for part in text.split(",") if part]  # noqa: E731
    parser.add_argument("--streams", type=many, default=[50, 100, 200, 300, 400, 500, 600])
    parser.add_argument("--sdk", type=many, default=[10, 25, 50])
    parser.add_argument("--seconds", type=float, default=8.0)
    return parser.parse_args()


def line(found: Errors) -> Line:
    """What the instrument says, and whether the self-check lets it stand (TTFT some 300 ms)."""
    rate = found.chunks / found.seconds
    return Line(
        found.streams, rate, found.check.cpu_share, 1e6 * found.check.cpu_share / rate,
        (found.first_p50_ms, found.first_p99_ms), (found.later_p50_ms, found.later_p99_ms),
        found.check.loop_lag_p99_ms, doubt(found.check, ttft_p50_ms=300.0),
    )  # fmt: skip


def sdk(streams: int, seconds: float, pair: tuple[int, int]) -> Line:
    """The same streams through the SDK, in a process of its own."""
    with serving(simulation(streams), pin=pair[1]) as served:
        found = subprocess.run(
            [sys.executable, __file__, "sdk", served.openai_base_url, str(streams), str(seconds)],
            preexec_fn=lambda: os.sched_setaffinity(0, {pair[0]}),
            stdout=subprocess.PIPE,
            check=True,
            timeout=seconds + 120,
        )
        told = json.loads(found.stdout)
        sent = served.all_sent()
    first: list[float] = []
    later: list[float] = []
    for name, moments in told["chunks"].items():
        went = [at_ns for at_ns, holds in zip(sent[name]["sent_ns"], sent[name]["holds"],
                                              strict=True) if holds]  # fmt: skip
        lags = [(came - gone) / 1e6 for came, gone in zip(moments, went, strict=True)]
        first += lags[:1]
        later += lags[1:]
    rate = (len(first) + len(later)) / told["wall_s"]
    cpu = told["cpu_s"] / told["wall_s"]
    return Line(
        streams, rate, cpu, 1e6 * cpu / rate, (at(first, 0.5), at(first, 0.99)),
        (at(later, 0.5), at(later, 0.99)), float("nan"),
        f"{cpu:.0%} of a core" if cpu > MOST_CPU else None,
    )  # fmt: skip


async def sdk_side(url: str, streams: int, seconds: float) -> dict[str, Any]:
    """So many callers of the SDK; when each chunk with text was there."""
    import openai

    client = openai.AsyncOpenAI(base_url=url, api_key="any", max_retries=0)
    chunks: dict[str, list[int]] = {}

    async def ask(*, kept: bool = True) -> None:
        raw = await client.chat.completions.with_raw_response.create(
            model=MODEL, messages=[{"role": "user", "content": "Go on."}], stream=True,
            max_completion_tokens=TOKENS,
        )  # fmt: skip
        moments = [
            time.perf_counter_ns()
            async for chunk in raw.parse()
            if chunk.choices and chunk.choices[0].delta.content
        ]
        if kept:
            chunks[raw.headers["x-request-id"]] = moments

    await asyncio.gather(*(ask(kept=False) for _ in range(streams)))
    began, cpu = time.perf_counter(), time.process_time()

    async def caller() -> None:
        while time.perf_counter() < began + seconds:
            await ask()

    await asyncio.gather(*(caller() for _ in range(streams)))
    found = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - began}
    await client.close()
    return {**found, "chunks": chunks}


def verdict(ours: Sequence[Line], theirs: Sequence[Line]) -> None:
    print()
    stand = list(takewhile(lambda one: one.why is None, ours))
    if not stand:
        print("no round stands: the machine was too busy for any.")
        return
    limit = stand[-1]
    print(f"limit: {limit.streams} streams on one core (the most that the self-check lets stand)")
    for one in ours:
        if one.streams == STREAMS:
            met = one.why is None and one.first[0] <= FIRST_MS and one.later[0] <= LATER_MS
            say(met, f"{STREAMS} streams: median added error {one.first[0]:.3f} ms first,"
                f" {one.later[0]:.3f} ms later (at most {FIRST_MS} and {LATER_MS})")  # fmt: skip
    half = [one for one in ours if one.streams <= limit.streams / 2]
    if half:
        one = half[-1]
        p50, p99 = (max(one.first[at], one.later[at]) for at in (0, 1))
        say(p50 <= HALF_P50_MS and p99 <= HALF_P99_MS,
            f"half of it ({one.streams} streams): median {p50:.3f} ms, p99 {p99:.2f} ms"
            f" (at most {HALF_P50_MS} and {HALF_P99_MS})")  # fmt: skip
    if theirs:
        ratio = statistics.median(one.chunk_us for one in theirs) / statistics.median(
            one.chunk_us for one in stand
        )
        print(f"a chunk through the SDK costs {ratio:.1f} times as much of the client's core")


def say(met: bool, what: str) -> None:
    print(f"{'met   ' if met else 'NOT MET'} {what}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["sdk"]:
        print(json.dumps(asyncio.run(sdk_side(sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))))
    else:
        main()
