"""A bare loop over pymilvus in several processes: the least that a load generator can be.

    python bare_side.py JOB.json

Spawned processes with a client each; queries are lists made beforehand, and of an answer only the
ids are read. Prints one JSON document.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

WARM_UP = 20


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    context = multiprocessing.get_context("spawn")
    barrier, found = context.Barrier(job["clients"]), context.Queue()
    clients = [
        context.Process(target=search, args=(job, number, barrier, found))
        for number in range(job["clients"])
    ]
    for client in clients:
        client.start()
    answers = [found.get(timeout=120 + job["seconds"]) for _ in clients]
    for client in clients:
        client.join()
    took = np.concatenate([latencies for *_, latencies in answers])
    print(
        json.dumps(
            {
                "qps": sum(len(latencies) / seconds for seconds, _, latencies in answers),
                "searched": len(took),
                "client_cpu_ms": 1e3 * sum(cpu for _, cpu, _ in answers) / len(took),
                "p95_ms": 1e3 * float(np.percentile(took, 95)),
            }
        )
    )


def search(job: dict[str, Any], number: int, barrier: Any, found: Any) -> None:
    """One client: from the barrier on, for so many seconds, one search after the other."""
    from pymilvus import MilvusClient

    client = MilvusClient(job["uri"], timeout=60)
    queries = [[query] for query in np.load(job["queries"]).tolist()]
    params = {"metric_type": "COSINE", "params": {"ef": job["ef"]}}

    def ask(query: Any) -> list[int]:
        hits = client.search(job["collection"], data=query, anns_field="vector",
                             limit=job["k"], search_params=params)  # fmt: skip
        return [hit["id"] for hit in hits[0]]

    at = number * len(queries) // job["clients"]
    for warm in range(WARM_UP):
        ask(queries[warm % len(queries)])
    took = []
    barrier.wait(timeout=120)
    cpu = time.process_time()
    began = now = time.perf_counter()
    while now < began + job["seconds"]:
        ask(queries[at % len(queries)])
        at += 1
        last, now = now, time.perf_counter()
        took.append(now - last)
    found.put((now - began, time.process_time() - cpu, took))


if __name__ == "__main__":
    main()
