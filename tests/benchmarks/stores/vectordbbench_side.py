"""VectorDBBench's own clients, in its own environment: its Milvus client, its runners.

    PYTHON_OF_VECTORDBBENCH vectordbbench_side.py JOB.json

What runs in each client process is `MultiProcessingSearchRunner.search`, untouched, and what
connects and searches is its `Milvus`; only the fields' names are told it, since the collection is
Mox'. Its own loop over concurrencies is written out here, since it keeps no client's own time.
Prints one JSON document.
"""

from __future__ import annotations

import concurrent.futures
import json
import logging
import multiprocessing
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

WARM_UP = 20
"""Searches of each client that are taken off: its first waits for imports, and the others warm up
before their clocks run."""


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    queries = np.load(job["queries"]).tolist()
    print(json.dumps(recall(job, queries) if job["what"] == "recall" else under_load(job, queries)))


def client(job: dict[str, Any]) -> Any:
    """Its Milvus client, on a collection that is there already."""
    from vectordb_bench.backend.clients.api import MetricType
    from vectordb_bench.backend.clients.milvus.config import HNSWConfig, MilvusConfig
    from vectordb_bench.backend.clients.milvus.milvus import Milvus

    logging.disable(logging.WARNING - 1)
    case = HNSWConfig(M=job["m"], efConstruction=job["ef_construction"], ef=job["ef"],
                      metric_type=MetricType.COSINE)  # fmt: skip
    config = MilvusConfig(uri=job["uri"]).to_dict()
    made = Milvus(job["dims"], config, case, collection_name=job["collection"], drop_old=False)
    made._primary_field = "id"
    return made


def recall(job: dict[str, Any], queries: list[list[float]]) -> dict[str, Any]:
    """Its serial phase: every query once, recall by id."""
    from vectordb_bench.backend.runner.serial_runner import SerialSearchRunner

    runner = SerialSearchRunner(client(job), queries, np.load(job["truth"]).tolist(), k=job["k"])
    found = runner.search((runner.test_data, runner.ground_truth))
    names = ("vectordb-bench", "pymilvus", "grpcio")
    return {
        "recall": float(found[0]),
        "p95_ms": 1e3 * float(found[3]),
        "versions": {name: metadata.version(name) for name in names},
    }


def under_load(job: dict[str, Any], queries: list[list[float]]) -> dict[str, Any]:
    """Its concurrent phase for one number of clients."""
    from vectordb_bench.backend.runner.mp_runner import MultiProcessingSearchRunner as Runner

    count = job["clients"]
    runner = Runner(client(job), queries, k=job["k"], concurrencies=[count],
                    duration=job["seconds"])  # fmt: skip
    with (
        multiprocessing.Manager() as manager,
        concurrent.futures.ProcessPoolExecutor(
            mp_context=runner.get_mp_context(), max_workers=count
        ) as pool,
    ):
        ready, go = manager.Queue(), manager.Condition()
        asked = [pool.submit(runner.search, queries, ready, go) for _ in range(count)]
        while ready.qsize() < count:
            time.sleep(0.1)
        time.sleep(1)  # till the last of them waits
        with go:
            go.notify_all()
        began = time.perf_counter()
        answers = [future.result() for future in asked]
        took = time.perf_counter() - began
    counted = sum(found for found, _, _ in answers)
    if any(len(latencies) <= WARM_UP for _, _, latencies in answers):
        raise SystemExit(f"a client answered {WARM_UP} searches or fewer: give it more seconds.")
    warmed = [np.array(latencies[WARM_UP:]) for _, _, latencies in answers]
    return {
        "qps": sum(
            len(rest) / (seconds - sum(latencies[:WARM_UP]))
            for rest, (_, seconds, latencies) in zip(warmed, answers, strict=True)
        ),
        "unwarmed_qps": sum(found / seconds for found, seconds, _ in answers),
        "published_qps": counted / took,
        "searched": counted,
        "p95_ms": 1e3 * float(np.percentile(np.concatenate(warmed), 95)),
    }


if __name__ == "__main__":
    # It logs into a folder that it makes where it stands.
    with tempfile.TemporaryDirectory() as folder:
        import os

        os.environ["LOG_FILE"] = f"{folder}/vectordb_bench.log"
        main()
