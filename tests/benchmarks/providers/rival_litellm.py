"""LiteLLM's Router under the load of pool.py's first scenario, in an environment of its own.

    python -m venv E && E/bin/pip install litellm redis
    python tests/benchmarks/providers/rival_litellm.py --python E/bin/python [--seconds S]

Four processes of eight callers each ask three accounts of 300 requests and 60,000 tokens a minute,
over a Redis that they share. A call that the Router refuses is asked again after a quarter of a
second. Printed: answers, the provider's 429s, failed calls.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

WORKER = """
import asyncio, json, random, sys, time
given = json.loads(sys.argv[1])
import litellm
from litellm import Router
litellm.suppress_debug_info = True
host = given["redis"]
router = Router(
    model_list=[
        {"model_name": "bench", "litellm_params": {
            "model": "openai/bench", "api_base": given["url"] + "/v1", "api_key": f"key-{at}",
            "rpm": 300, "tpm": 60000, "max_retries": 0}}
        for at in range(3)],
    routing_strategy="usage-based-routing-v2", redis_host="127.0.0.1", redis_port=given["port"],
    num_retries=3, timeout=60,
)
async def caller(number):
    draws, ok, failed = random.Random(number), 0, 0
    while time.monotonic() < until:
        text = f"{number} {time.monotonic()} ".ljust(draws.randint(200, 1600), "x")
        try:
            await router.acompletion(model="bench", max_tokens=512,
                                     messages=[{"role": "user", "content": text}])
            ok += 1
        except Exception:
            failed += 1
            await asyncio.sleep(0.25)
    return ok, failed
async def main():
    found = await asyncio.gather(*(caller(given["first"] + at) for at in range(8)))
    print(json.dumps([sum(each[0] for each in found), sum(each[1] for each in found)]))
until = time.monotonic() + given["seconds"]
asyncio.run(main())
"""


def beside(python: Path, *, seconds: float, rows: list[dict[str, Any]]) -> None:
    """Run it, and print it beside our own row of the same scenario; says so where it can't."""
    found = subprocess.run([str(python), "-c", "import litellm"], capture_output=True, check=False)
    if found.returncode:
        print(f"skipped: LiteLLM's Router ({python} has no litellm)")
        return
    answers, denied, failed = measure(python, seconds=seconds)
    ours = next((row for row in rows if row["scenario"] == "openai"), None)
    beside_ours = f"; ours {ours['answers']} and {ours['429']}" if ours else ""
    print(f"LiteLLM's Router: {answers} answers, {denied} × 429, {failed} failed{beside_ours}")


def measure(python: Path, *, seconds: float) -> tuple[int, int, int]:
    """Answers, the provider's 429s, failed calls."""
    from pool import SCENARIOS, simulation

    from mox.services import valkey
    from mox.services.ports import free
    from mox.simulation.serving import serving

    (port,) = free([0])
    with tempfile.TemporaryDirectory() as folder, serving(simulation(SCENARIOS[0])) as served:
        server = subprocess.Popen(
            [str(valkey.program()), "--port", str(port), "--bind", "127.0.0.1", "--save", "",
             "--dir", folder],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        given = {"redis": "127.0.0.1", "port": port, "url": served.url, "seconds": seconds}
        processes = [
            subprocess.Popen(
                [str(python), "-c", WORKER, json.dumps({**given, "first": 8 * at})],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )
            for at in range(4)
        ]  # fmt: skip
        try:
            said = [each.communicate(timeout=seconds + 120)[0] for each in processes]
        finally:
            for each in [*processes, server]:
                each.kill()
                each.wait()
        counts = [json.loads(each.strip().splitlines()[-1]) for each in said]
        denied = sum(sum(row["rate_limited"].values()) for row in served.stats()["accounts"])
    return sum(each[0] for each in counts), denied, sum(each[1] for each in counts)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    beside(given.python, seconds=given.seconds, rows=[])
    return 0


if __name__ == "__main__":
    sys.exit(main())
