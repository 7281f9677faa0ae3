"""CPU time of mirroring a sweep to a new MLflow store. Goal: ≤ 50 ms a trial.

Trials are made of few artifacts, so that only the mirror is measured: 120 of them, with 300
questions and three measures. Prints its parts, and beside them what one-by-one logging costs.

    python tests/benchmarks/mlflow_mirror.py [TRIALS]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mox.chunking import chunkers
from mox.chunking.cut import chunk_corpus
from mox.chunking.tokenizers import open_tokenizer
from mox.pipeline import codec
from mox.pipeline.stages import Ref
from mox.pipeline.store import Store
from mox.results import Results, Run, TrialRun
from mox.tracking import mirror, server
from mox.types import Document, Evidence, Question, Span

QUESTIONS = 300
MEASURES = ("recall@1000t", "ndcg@1000t", "recall@10")
COUNTS = {"total": 9, "run": 9, "stored": 0, "failed": 0, "left": 0, "by_kind": {}}
T = TypeVar("T")


def made(folder: Path, trials: int) -> Results:
    """A run whose trials have the artifacts of a dense search each; ten score differently."""
    store = Store(folder)
    questions = [
        Question(f"q{at}", f"question number {at} of many, of a usual length?", f"g{at // 3}",
                 Evidence(((Span("d", 0, 9),),)), "dev" if at % 2 else "test")
        for at in range(QUESTIONS)
    ]  # fmt: skip
    draw = np.random.default_rng(0)

    def write(kind: str, key: str, arrays: Any, **facts: Any) -> Ref:
        store.write(kind, key, arrays, facts, {"seconds": 0.5, "spec": {}, "inputs": {}})
        return Ref(kind, key)

    write("questions", "q", codec.pack_questions(questions))
    documents = [Document("d", "nine text and then some more of it.", "0" * 64)]
    write("documents", "d", codec.pack_documents(documents))
    table = chunk_corpus(chunkers.parse({"kind": "whole"}), documents, open_tokenizer())
    hits = {
        "ids": np.zeros((QUESTIONS, 1), dtype=np.int32),
        "scores": np.ones((QUESTIONS, 1), dtype=np.float32),
        "recall_of_exact": np.ones(QUESTIONS),
    }
    common = {
        "chunk": write("chunk", "c", codec.pack_chunks(table), chunks=5000),
        "embed": write("embed", "e", {}, unread=0.0),
        "build": write("build", "b", {}, index_bytes=5_000_000, bytes_are="measured", build_s=1.0),
        "search": write("search", "s", hits, short_answers=0),
    }
    scores = [
        write("score", f"s{at}", {m: draw.random(QUESTIONS) for m in MEASURES}, short={})
        for at in range(10)
    ]
    found = []
    for at in range(trials):
        config = {
            "tokenizer": "cl100k",
            "chunk": {"kind": "recursive", "size": 200 + at % 3, "overlap": 0},
            "embed": {"kind": "wordllama", "dims": 256, "truncate": False},
            "index": {"kind": "HNSW", "m": 8, "ef_construction": 100 + at // 15},
            "search": {"kind": "dense", "k": 10, "ef": 16 + at},
        }
        roles = {**common, "hits": common["search"], "score": scores[at % 10]}
        found.append(TrialRun(f"t{at:04d}", config, roles, "FINISHED"))
    run = Run(
        id="benchmark000", name="benchmark", settings={"corpus": {"kind": "card"}}, file=None,
        measures=MEASURES,
        choose={"maximise": MEASURES[0], "within": 0.05, "prefer": {"minimise": "index_mb",
                                                                    "maximise": None}},
        baseline="t0000", seed=0,
        corpus={"name": "made", "fingerprint": "f" * 64, "questions_fingerprint": "q",
                "documents": 0, "questions": QUESTIONS, "unanswerable": 0, "about": {},
                "left_out": {}},
        documents=Ref("documents", "d"), questions=Ref("questions", "q"),
        varying=("chunk.size", "search.ef"), trials=tuple(found), stages=COUNTS, seconds=60.0,
        stopped=None, started="2026-01-01T00:00:00Z", environment={},
    )  # fmt: skip
    return Results(run, store)


def timed(name: str, do: Callable[[], T], per: int = 1) -> T:
    cpu, wall = time.process_time(), time.perf_counter()
    found = do()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    each = f"{1000 * cpu / per:8.1f} ms CPU each" if per > 1 else ""
    print(f"{name:<44} {cpu:6.2f} s CPU  {wall:6.2f} s wall  {each}")
    return found


def one_by_one(uri: str, results: Results) -> None:
    """The same numbers and params, logged as MLflow's tutorials do."""
    from mox.tracking import trials

    client = server.client(uri)
    experiment = client.create_experiment("one by one")
    for trial in results.run.trials[:10]:
        said = trials.content(results, trial, "none")
        run = client.create_run(experiment)
        for name, number in said.metrics.items():
            client.log_metric(run.info.run_id, name, number)
        for name, text in said.params.items():
            client.log_param(run.info.run_id, name, text)
        client.set_terminated(run.info.run_id)


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 120
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {trials} trials,"
          f" {QUESTIONS} questions, {len(MEASURES)} measures")  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        results = made(Path(name), trials)
        timed("means, intervals, choice", lambda: (results.summary, results.choice))
        timed("import mlflow", lambda: server.client("sqlite:///:memory:"))
        uri = server.tracking_uri(Path(name))
        run = results.run
        begun = timed("a new store, experiment and parent",
                      lambda: mirror.begin(results.store, run.id, run.name, uri))  # fmt: skip
        results.pareto().save(Path(name) / "warm.html")  # draws once, so that trials are measured
        children = len(results.run.trials)
        timed("the parent and its trials", lambda: mirror.finish(results, uri, begun), children)
        again = Results(replace(run, stopped="budget"), results.store)
        _ = again.choice, again.summary
        timed("once more, nothing of the trials changed", lambda: mirror.finish(again, uri))
        timed("mirrored already", lambda: mirror.finish(again, uri))
        timed("one by one, for comparison", lambda: one_by_one(uri, results), 10)


if __name__ == "__main__":
    main()
