"""CPU time of one simulated answer, in milliseconds and in units of a BLAKE2b over 1 MB.

Goals: filler of 300 tokens well under 1 ms, an answer from passages seen before a few.

python tests/benchmarks/simulator_core.py [--runs 200]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from hashlib import blake2b
from pydoc_data.topics import topics

from mox.simulation.core import script, warm
from mox.simulation.models import MODELS
from mox.simulation.script import Asked
from mox.types.providers import Message

PASSAGE = 900
TEXT = "\n\n".join(topics[name] for name in sorted(topics))


def passage(number: int) -> str:
    start = number * PASSAGE % (len(TEXT) - PASSAGE)
    return TEXT[start : start + PASSAGE]


def rag(number: int, *, seen: bool) -> str:
    first = 0 if seen else 5 * number
    passages = "\n\n".join(f"[{at + 1}] {passage(first + at)}" for at in range(5))
    return f"{passages}\n\nQuestion: What does the name number {number} refer to?"


def judgement(number: int) -> str:
    given = {"context": passage(number), "statements": [f"A name is bound {number} times."] * 3}
    return f"input: {json.dumps(given)}\nOutput: "


def answered(
    prompt: Callable[[int], str], *, limit: int, model: str = "sim-swift"
) -> Callable[[int], None]:
    def ask(number: int) -> None:
        message = Message("user", prompt(number))
        script(Asked("chat", "one", model, (message,), limit), MODELS[model], seed=0)

    return ask


def cpu_ms(work: Callable[[int], object], runs: int) -> float:
    """Median over five rounds of the mean CPU time of one."""
    taken = []
    for round_ in range(5):
        began = time.process_time()
        for number in range(runs):
            work(round_ * runs + number)
        taken.append(1000 * (time.process_time() - began) / runs)
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    warm()
    block = b"x" * 1_000_000
    unit = cpu_ms(lambda _: blake2b(block).digest(), 20)
    words = " word" * 1_000
    rows = {
        "filler, 100 tokens in, 300 out": answered(lambda n: f"{n}{words[:500]}", limit=300),
        "filler, 1,000 in, 1,000 out": answered(lambda n: f"{n}{words}", limit=1_000),
        "… with reasoning": answered(lambda n: f"{n}{words}", limit=1_000, model="sim-thinking"),
        "from 5 passages, new": answered(lambda n: rag(n, seen=False), limit=300),
        "from 5 passages, seen before": answered(lambda n: rag(n, seen=True), limit=300),
        "a judge's 3 statements": answered(judgement, limit=1_000),
    }
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; one unit is {unit:.2f} ms")
    for name, work in rows.items():
        work(0)
        taken = cpu_ms(work, max(runs // 10, 5) if "passages, new" in name else runs)
        print(f"{name:<32} {taken:7.3f} ms {taken / unit:6.2f} ×")


if __name__ == "__main__":
    main()
