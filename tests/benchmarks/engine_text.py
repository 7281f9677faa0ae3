"""nDCG@10 on SciFact of what engines find by text and fuse themselves, beside Mox' own BM25 and
fusion: the same texts, the same vectors (wordllama), the same questions.

    python tests/benchmarks/engine_text.py CORPUS_FOLDER [QUESTIONS]

Prints a table with 95 % intervals over the questions, and of each hybrid the share of questions
on which the engine's first ten are those that Mox' own `rrf` makes of the same engine's two lists.
Some 3 minutes of CPU for all 300 questions.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import mox
from mox.results import Results, TrialRun
from mox.retrieval.rrf import Rrf, fuse
from mox.services import postgres

DEPTH = 50
SPARSE = {"kind": "SPARSE_INVERTED_INDEX", "stopwords": [None, "english"]}
FTS = {"kind": "postgres_fts", "config": ["english", "simple"]}
INDEX = [
    {"kind": "exact"},
    SPARSE,
    FTS,
    {
        "kind": "milvus_hybrid",
        "vector": {"kind": "FLAT"},
        "text": {**SPARSE, "stopwords": "english"},
    },
    {"kind": "postgres_hybrid", "vector": {"kind": "pgvector"}, "text": {"kind": "postgres_fts"}},
]
SEARCH = [
    {"kind": "dense", "k": DEPTH},
    {"kind": "bm25", "k": DEPTH},
    {"kind": "bm25", "k": DEPTH, "k1": 1.2, "stemmer": None},
    {"kind": "hybrid", "k": 10, "depth": DEPTH},
    {"kind": "full_text", "k": DEPTH, "rank": ["ts_rank", "ts_rank_cd"], "normalization": [0, 1]},
    {"kind": "full_text", "k": DEPTH, "words": "all"},
    {"kind": "engine_hybrid", "k": 10, "depth": DEPTH},
    {"kind": "engine_hybrid", "k": 10, "depth": DEPTH, "fusion": {"kind": "weighted"}},
]


def experiment(corpus: str, questions: int | None) -> dict[str, Any]:
    return {
        "name": "engine-text",
        "corpus": {"kind": "beir", "path": corpus},
        "questions": {"limit": questions, "split": "test"},
        "axes": {
            "chunk": [{"kind": "whole"}],
            "embed": [{"kind": "wordllama"}],
            "index": INDEX,
            "search": SEARCH,
        },
        "measure": ["ndcg@10", "recall@10"],
    }


def label(trial: TrialRun) -> tuple[str, str]:
    """Engine and search, in words."""
    index, search = trial.config.get("index", {}), trial.config["search"]
    kind = search["kind"]
    text = index.get("text", index)
    how = {
        "dense": "vectors, exact",
        "bm25": f"bm25, k1 {search.get('k1')}, stemmer {search.get('stemmer') or 'none'}",
        "hybrid": "vectors + bm25, rrf",
        "engine_hybrid": f"vectors + texts, {search.get('fusion', {}).get('kind')}",
        "full_text": "BM25"
        if "analyzer" in text
        else f"{search.get('rank')}"
        f" normalization {search.get('normalization')}, {search.get('words')} words",
    }[kind]
    if "analyzer" in text and kind == "full_text":
        how += f", stop words {text['stopwords'] or 'kept'}"
    if "config" in text and kind == "full_text":
        how += f", {text['config']}"
    engine = {"S": "Milvus Lite", "m": "Milvus Lite", "p": "PostgreSQL"}
    return engine.get(index.get("kind", "")[:1], "Mox"), how


def agreement(results: Results, trial: TrialRun) -> str:
    """Share of questions on which Mox' rrf of the engine's two lists gives the same ten rows."""
    config = trial.config
    if config["search"].get("fusion", {}).get("kind") != "rrf":
        return ""
    if config["search"]["kind"] != "engine_hybrid":
        return ""
    texts, given = config["index"]["text"], config["search"]
    ranked_by = ("rank", "normalization", "words")

    def is_lexical(one: TrialRun) -> bool:
        search = one.config["search"]
        same = all(search.get(name) == given.get(name) for name in ranked_by)
        return search["kind"] == "full_text" and one.config["index"] == texts and same

    [dense] = [one for one in results.finished if one.config["search"]["kind"] == "dense"]
    [lexical] = [one for one in results.finished if is_lexical(one)]
    ours = fuse(Rrf(k=60), [results.hits(dense), results.hits(lexical)], k=10)
    pairs = zip(ours.ids.tolist(), results.hits(trial).ids.tolist(), strict=True)
    return f"{100 * np.mean([set(a) == set(b) for a, b in pairs]):.1f} %"


def main() -> None:
    corpus = str(Path(sys.argv[1]).absolute())
    questions = int(sys.argv[2]) if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory() as home:
        os.environ["MOX_HOME"] = home
        began = time.perf_counter()
        results = mox.run(experiment(corpus, questions), offline=True, quiet=True)
        for trial in results.run.trials:
            if trial.status != "FINISHED":
                print("FAILED", trial.config, trial.error)
        print("| engine | search | nDCG@10 | 95 % | recall@10 | as Mox fuses |")
        print("|---|---|---|---|---|---|")
        rows = []
        for trial in results.finished:
            summary = results.summary[trial.id]["all"]
            ndcg, recall = summary["ndcg@10"], summary["recall@10"]
            engine, how = label(trial)
            rows.append(
                f"| {engine} | {how} | {ndcg.mean:.3f} | {ndcg.low:.3f} – {ndcg.high:.3f}"
                f" | {recall.mean:.3f} | {agreement(results, trial)} |"
            )
        print("\n".join(sorted(rows)))
        spent = [
            resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        ]
        cpu = sum(one.ru_utime + one.ru_stime for one in spent)
        wall = time.perf_counter() - began
        print(f"\n{ndcg.n} questions; {cpu:.0f} s of CPU beside PostgreSQL's, {wall:.0f} s in all")
        postgres.stop(Path(home) / "services" / "indexes" / "postgres")


if __name__ == "__main__":
    main()
