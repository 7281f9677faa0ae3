"""Throughput by Mox' load generator, by VectorDBBench's clients, and by a bare loop.

On one Milvus 2.3.5 server, one collection and index, the same queries, settings and number of
client processes; rounds interleaved in an order drawn anew. Goals: Mox ≥ VectorDBBench, ≥ 0.98 of
the bare loop, and recall equal to VectorDBBench's. A side's throughput is the sum of its clients'
own rates after 20 searches each that warm it up, from the first question to the last answer; `as
published` is VectorDBBench's own figure, which has its clients' connecting and warming in it.

    python tests/benchmarks/stores/against_vectordbbench.py --vectordbbench-python PATH
        [--clients N] [--rounds N] [--seconds S]

Some 7 minutes. VectorDBBench wants an environment of its own (it pins another pymilvus):

    uv venv VENV && uv pip install --python VENV vectordb-bench

Without it only the bare loop is compared, and the table says so. Starts Milvus for itself
(extra `milvus-server`), unless `--milvus URI` names one.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from measuring import DIMS, head, load, made, milvus, ratio, say, spread, table, verdict

from mox.indexes import indexes
from mox.indexes.exact import nearest
from mox.indexes.milvus import build
from mox.indexes.milvus.client import connected
from mox.indexes.milvus.specs import EfSearch, Hnsw
from mox.loadgen import Ask, Cell, Subject, find, measure, summary
from mox.types import Place, Rows

if TYPE_CHECKING:
    from measuring import Floats

    from mox.types import Ints

HERE = Path(__file__).parent
K = 10
SPEC = Hnsw(m=16, ef_construction=100)
SETTINGS = EfSearch(ef=16)
LEAST = {"VectorDBBench": 1.0, "bare loop": 0.98}
SAME_RECALL = 1e-4
"""VectorDBBench rounds its recall to so many places."""
WARM_UP = 200
ENDS_WITHIN_S = 300

Found = dict[str, Any]
Side = Callable[[int], Found]


class Bench(NamedTuple):
    """What all sides measure."""

    place: Place
    queries: Floats
    truth: Ints
    clients: int
    seconds: float
    folder: Path

    @property
    def job(self) -> dict[str, Any]:
        """The same, for a process of another environment."""
        return {
            "uri": self.place.uri,
            "collection": self.place.name,
            "queries": str(self.folder / "queries.npy"),
            "truth": str(self.folder / "truth.npy"),
            "dims": DIMS,
            "k": K,
            "m": SPEC.m,
            "ef_construction": SPEC.ef_construction,
            "ef": SETTINGS.ef,
            "clients": self.clients,
            "seconds": self.seconds,
        }


def main() -> None:
    arguments = parsed()
    head(
        f"throughput, {arguments.clients} clients, {arguments.rounds} rounds of"
        f" {arguments.seconds:.0f} s; {arguments.rows:,} × {DIMS}, HNSW m={SPEC.m}"
        f" ef_construction={SPEC.ef_construction}, ef={SETTINGS.ef}, k={K}",
        "pymilvus", "grpcio", "numpy",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with milvus(folder / "state", arguments.milvus) as uri:
            bench = prepared(folder, uri, arguments)
            try:
                show(*compared(bench, arguments))
            finally:
                indexes[SPEC].drop(bench.place)
    load("at the end")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vectordbbench-python", metavar="PATH")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each round")
    parser.add_argument("--milvus", metavar="URI", help="a server that runs already")
    return parser.parse_args()


def prepared(folder: Path, uri: str, arguments: argparse.Namespace) -> Bench:
    """The collection, its queries and their exact neighbours."""
    import numpy as np

    vectors, queries = made(arguments.rows, arguments.queries)
    truth, _ = nearest(vectors, queries, K)
    np.save(folder / "queries.npy", queries)
    np.save(folder / "truth.npy", truth)
    place = Place("mox_against", folder, uri)
    say("building")
    indexes[SPEC].drop(place)
    indexes[SPEC].build(SPEC, Rows(vectors), place)
    return Bench(place, queries, truth, arguments.clients, arguments.seconds, folder)


def compared(bench: Bench, arguments: argparse.Namespace) -> tuple[dict[str, list[Found]], Found]:
    """Each side's rounds, and VectorDBBench's recall."""
    python = arguments.vectordbbench_python
    sides: dict[str, Side] = {
        "Mox": partial(by_mox, bench),
        "bare loop": lambda _: by_script(bench, sys.executable, "bare_side.py", "load"),
    }
    told: Found = {}
    if python:
        script = "vectordbbench_side.py"
        sides["VectorDBBench"] = lambda _: by_script(bench, python, script, "load")
        say("recall")
        warm(bench)
        told = by_script(bench, python, script, "recall")
        told["mox_recall"] = recall(bench)
    found: dict[str, list[Found]] = {name: [] for name in sides}
    dice = random.Random(0)  # noqa: S311  the order of the sides
    for at in range(arguments.rounds):
        order = list(sides)
        dice.shuffle(order)
        for name in order:
            # Who searched before has released the collection, and its memory is cold.
            warm(bench)
            found[name].append(sides[name](at))
            say(f"round {at + 1}: {name} {found[name][-1]['qps']:.0f} a second")
    return found, told


def warm(bench: Bench) -> None:
    """Have the collection loaded, and searched."""
    with connected(bench.place) as link:
        build.load(link, build.held_rows(link))
        for query in bench.queries[:WARM_UP].tolist():
            link.client.search(
                link.name, data=[query], anns_field=build.FIELD, limit=K,
                search_params={"params": SETTINGS.model_dump()}, timeout=15,
            )  # fmt: skip


def by_mox(bench: Bench, seed: int) -> Found:
    """One round of `mox.loadgen`, as `mox bench stores` runs it."""
    subject = Subject(
        "mox", partial(indexes[SPEC].open, SPEC, bench.place), bench.queries,
        pid=find(bench.place.uri or ""),
    )  # fmt: skip
    cell = Cell("mox", subject, Ask(K, SETTINGS), bench.clients, bench.seconds, rounds=1)
    (measured,) = measure([cell], seed=seed)
    if measured.failed is not None:
        raise measured.failed
    (one,) = measured.rounds
    if one.errors:
        raise SystemExit(f"failed searches: {dict(one.errors)}")
    said = summary(measured, cores=os.cpu_count() or 1)
    return {
        "qps": one.qps,
        "p95_ms": said["p95_ms"]["median"],
        "client_cpu_ms": said["client_cpu_ms"],
        "engine_cpu_ms": said["engine_cpu_ms"],
    }


def recall(bench: Bench) -> float:
    """Every query once, one by one, as VectorDBBench's serial phase asks; by id.

    Of a collection that was just loaded: the HNSW of 2.3.5 remembers what it was asked and starts
    there when it is asked the same again, so that a second pass finds other neighbours.
    """
    import numpy as np

    with connected(bench.place) as link:
        build.release(link)
    warm(bench)
    with indexes[SPEC].open(SPEC, bench.place) as searcher:
        ids = [
            searcher.search(bench.queries[at : at + 1], k=K, settings=SETTINGS)[0]
            for at in range(len(bench.queries))
        ]
    found = np.concatenate(ids)
    return float((found[:, :, None] == bench.truth[:, None, :]).any(axis=2).mean())


def by_script(bench: Bench, python: str, script: str, what: str) -> Found:
    """What a script of this folder prints, run by some Python."""
    path = bench.folder / "job.json"
    path.write_text(json.dumps({**bench.job, "what": what}), encoding="utf-8")
    done = subprocess.run(
        [python, str(HERE / script), str(path)],
        capture_output=True, text=True, check=False, timeout=ENDS_WITHIN_S, cwd=bench.folder,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{script}:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def mean(rounds: Sequence[Found], name: str) -> float:
    return sum(float(one[name] or "nan") for one in rounds) / len(rounds)


def show(found: Mapping[str, list[Found]], told: Found) -> None:
    ours = found["Mox"]
    mine = [one["qps"] for one in ours]
    recalls = {"Mox": told["mox_recall"], "VectorDBBench": told["recall"]} if told else {}
    rows = []
    for name, rounds in found.items():
        theirs = [one["qps"] for one in rounds]
        row = [name, spread(theirs), spread([one["p95_ms"] for one in rounds], 1)]
        row += [f"{recalls[name]:.4f}" if name in recalls else "–"]
        if name in LEAST:
            r = ratio(mine, theirs)
            row += [str(r), verdict(r.mean >= LEAST[name])]
        rows.append(row + [""] * (6 - len(row)))
    table(rows, ("", "a second", "p95 ms", "recall@10", "Mox over it", ""))
    print(
        "CPU ms a search: engine under Mox {:.2f}; clients: Mox {:.2f}, bare loop {:.2f}".format(
            mean(ours, "engine_cpu_ms"),
            mean(ours, "client_cpu_ms"),
            mean(found["bare loop"], "client_cpu_ms"),
        )
    )
    if told:
        published = [one["published_qps"] for one in found["VectorDBBench"]]
        print(f"VectorDBBench as published: {spread(published)} a second;"
              f" Mox over it {ratio(mine, published)}")  # fmt: skip
        same = abs(recalls["Mox"] - told["recall"]) <= SAME_RECALL
        print(f"recall equal: {verdict(same)}")
        named = (f"{name} {version}" for name, version in told["versions"].items())
        print(f"VectorDBBench's environment: {', '.join(named)}")
    else:
        print("VectorDBBench was not run: --vectordbbench-python names no environment with it.")


if __name__ == "__main__":
    main()
