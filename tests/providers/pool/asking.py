"""A worker that asks a strict provider through the pool, to be killed: `asking.py REDIS URL NAME`.

Twelve callers ask as fast as they are let. Prints `ready`, then a line of JSON for each answer and
each warning.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import urllib.error
import urllib.request
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mox.providers.pool import Account, Limits, Need, Outcome, redis_pool
from mox.types.providers import Usage

CALLERS = 12
ACCOUNT = Account("strict", Limits(requests_per_min=600, tokens_per_min=1e7, safety=1.0))
"""10 requests a second, 5 of them at once."""


def said(**what: Any) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201  what its test reads


def asked(url: str) -> int:
    body = {"model": "sim-swift", "max_tokens": 4, "messages": [{"role": "user", "content": "a"}]}
    request = urllib.request.Request(  # noqa: S310  our own address
        f"{url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"authorization": "Bearer strict", "content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


async def main(redis_url: str, url: str, name: str) -> None:
    pool = redis_pool(redis_url, name=name)
    threads = ThreadPoolExecutor(CALLERS)
    loop = asyncio.get_running_loop()

    async def caller() -> None:
        while True:
            lease = await pool.acquire([ACCOUNT], Need(input=1, max_output=4))
            at = time.monotonic()
            status = await loop.run_in_executor(threads, asked, url)
            said(at=at, status=status)
            error = "rate_limit_requests" if status == 429 else None
            await pool.settle(lease, Outcome(usage=Usage(1, output_tokens=4), error=error))

    await pool.state([ACCOUNT])
    print("ready", flush=True)  # noqa: T201
    sys.stdin.readline()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))


if __name__ == "__main__":
    warnings.showwarning = lambda text, *_, **__: said(warning=str(text))
    asyncio.run(main(*sys.argv[1:]))
