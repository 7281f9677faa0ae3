"""How much of a sweep's time the engine works: 5 index types × 3 builds × 6 searches.

Goals: 15 builds, one ground truth, ≥ 85 % of the wall time inside the engine. The corpus is the
standard library's own source, in chunks of 100 tokens. `mox run` as a user has it, mirror and
imports inside, on Milvus 2.3.5; inside the engine is when at least one process has a call of
Milvus' client under way, or waits for Milvus to index or to load.

    python tests/benchmarks/stores/sweep.py [--chunks N] [--questions N]

Some 5 minutes. Starts Milvus for itself (extra `milvus-server`), unless `--milvus URI` names one.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from measuring import head, load, milvus, say, table, verdict

HERE = Path(__file__).parent
LEAST = 0.85
CHARACTERS = 330
"""Of a chunk of source, roughly."""
CELLS = [64, 128, 256]
INDEX = [
    {"kind": "HNSW", "m": [8, 16, 32], "ef_construction": 100},
    {"kind": "IVF_FLAT", "nlist": CELLS},
    {"kind": "IVF_SQ8", "nlist": CELLS},
    {"kind": "IVF_PQ", "nlist": 128, "pq_m": [8, 16, 32]},
    {"kind": "SCANN", "nlist": CELLS},
]
SEARCH = {"kind": "dense", "k": 10, "ef": [10, 16, 32, 64, 128, 256],
          "nprobe": [1, 2, 4, 8, 16, 32]}  # fmt: skip
EXPECTED = {"build": 15, "exact": 1, "search": 90}


def main() -> None:
    arguments = parsed()
    head(
        f"a sweep of 15 builds × 6 searches: some {arguments.chunks:,} chunks,"
        f" {arguments.questions} questions",
        "pymilvus", "grpcio", "numpy",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_corpus(folder / "corpus", arguments.chunks * CHARACTERS, arguments.questions)
        (folder / "experiment.yaml").write_text(json.dumps(experiment()), encoding="utf-8")
        (folder / "calls").mkdir()
        with milvus(folder / "milvus", arguments.milvus) as uri:
            say("running")
            began, ended, run = ran(folder, uri, offline=arguments.offline)
            show(began, ended, run, calls(folder / "calls"))
            forget(folder, uri)
    load("at the end")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chunks", type=int, default=10_000)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--offline", action="store_true", help="without the mirror to MLflow")
    parser.add_argument("--milvus", metavar="URI", help="a server that runs already")
    return parser.parse_args()


def write_corpus(folder: Path, characters: int, questions: int) -> None:
    """Source files until there is enough; a question is every other word of some lines of one."""
    dice = random.Random(0)  # noqa: S311  the same corpus each time
    root = Path(sysconfig.get_paths()["stdlib"])
    documents: list[dict[str, str]] = []
    held = 0
    for path in sorted(root.rglob("*.py")):
        name = str(path.relative_to(root))
        if "site-packages" in name or "test" in name or "idlelib" in name:
            continue
        text = path.read_text(encoding="utf-8", errors="ignore")
        if len(text) < 2_000:
            continue
        documents.append({"id": name, "text": text})
        held += len(text)
        if held > characters:
            break
    asked = [question(dice, dice.choice(documents), at) for at in range(questions)]
    folder.mkdir(parents=True)
    for name, rows in (("documents", documents), ("questions", asked)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")


def question(dice: random.Random, document: dict[str, str], at: int) -> dict[str, Any]:
    text = document["text"]
    words: list[str] = []
    while len(words) < 8:
        start = dice.randrange(len(text) - 400)
        part = text[start : start + 300]
        words = part.split()[::2]
    evidence = {"document": document["id"], "start": start, "end": start + 300, "text": part}
    return {"id": f"q{at:04d}", "text": " ".join(words), "split": "dev" if at % 2 else "test",
            "evidence": [evidence]}  # fmt: skip


def experiment() -> dict[str, Any]:
    return {
        "name": "engine share",
        "corpus": {"kind": "evidence", "path": "corpus"},
        "axes": {
            "chunk": [{"kind": "recursive", "size": 100}],
            "embed": [{"kind": "wordllama"}],
            "index": INDEX,
            "search": [SEARCH],
        },
        "measure": ["recall@10", "ndcg@10"],
    }


def ran(folder: Path, uri: str, *, offline: bool) -> tuple[float, float, dict[str, Any]]:
    """When the command began and ended, and what it printed."""
    words = [sys.executable, "-m", "mox", "run", "experiment.yaml", "--json", "--quiet"]
    path = os.pathsep.join(filter(None, [str(HERE / "hook"), os.environ.get("PYTHONPATH")]))
    environment = {
        **os.environ,
        "MOX_HOME": str(folder / "state"),
        "MOX_MILVUS_URI": uri,
        "MOX_ENGINE_CALLS": str(folder / "calls"),
        "PYTHONPATH": path,
    }
    began = time.monotonic()
    done = subprocess.run(
        [*words, *(["--offline"] if offline else [])],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=1800,
    )  # fmt: skip
    ended = time.monotonic()
    if not done.stdout:
        raise SystemExit(done.stderr[-3000:])
    return began, ended, json.loads(done.stdout)


def forget(folder: Path, uri: str) -> None:
    """Drop the run's collections: the server may be somebody's."""
    from pymilvus import MilvusClient

    store = next((folder / "state").glob("store.json"), None)
    prefix = f"mox_{json.loads(store.read_text())['id']}_" if store else None
    client = MilvusClient(uri, timeout=10)
    for name in client.list_collections():
        if prefix and name.startswith(prefix):
            client.drop_collection(name)


Call = tuple[float, float, str]


def calls(folder: Path) -> list[Call]:
    lines = (line for path in folder.iterdir() for line in path.read_text().splitlines())
    return sorted((float(a), float(b), name) for a, b, name in map(str.split, lines))


def covered(found: Iterable[Call]) -> float:
    """Seconds in which at least one of them is under way."""
    total = 0.0
    until = float("-inf")
    for began, ended, _ in sorted(found):
        total += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return total


def show(began: float, ended: float, run: dict[str, Any], found: Sequence[Call]) -> None:
    wall = ended - began
    inside = covered(found)
    first, last = found[0][0], max(end for _, end, _ in found)
    between = last - first - inside
    parts = [
        ("inside the engine", inside),
        ("before its first call (start, chunks, vectors)", first - began),
        ("between its calls", between),
        ("after its last call (scores, mirror)", ended - last),
    ]
    rows = [[name, f"{seconds:.1f}", f"{100 * seconds / wall:.1f} %"] for name, seconds in parts]
    table([*rows, ["all", f"{wall:.1f}", "100.0 %"]], ("", "s", "of the wall time"))
    print(f"≥ {100 * LEAST:.0f} % inside the engine: {verdict(inside / wall >= LEAST)}")
    by_name: dict[str, list[Call]] = defaultdict(list)
    for call in found:
        by_name[call[2]].append(call)
    spent = sorted(((covered(c), len(c), name) for name, c in by_name.items()), reverse=True)[:8]
    print("calls:", ", ".join(f"{name} {s:.1f} s ({n})" for s, n, name in spent))
    kinds = run["stages"]["by_kind"]
    counts = {kind: kinds.get(kind, {"run": 0})["run"] for kind in EXPECTED}
    finished = sum(trial["status"] == "FINISHED" for trial in run["trials"])
    print(f"stages run: {counts}: {verdict(counts == EXPECTED)}; {finished} of"
          f" {len(run['trials'])} trials FINISHED")  # fmt: skip
    for said in {trial["error"] for trial in run["trials"] if trial["error"]}:
        print(f"  {said}")


if __name__ == "__main__":
    main()
