"""Are mixtures as hard to search as real vectors? Dimension by recipe, at each size, and recall.

    python tests/benchmarks/mixture.py FILE [--corpus '{kind: …}' …] [--to 100000]

1. Each recipe's rehearsal: a part of the real vectors grown to as many as there are.
2. The best one's mixtures at each size up to `--to`, beside the real ones.
3. What HNSW and IVF_FLAT (faiss inside Milvus Lite) find at equal settings among real vectors and
   among as many of which all but a part are mixtures: the dimension is a means, this is the end.

It needs an empty MOX_HOME or one of its own, some two minutes of CPU, and no server.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mox.bench.grown import Grower
    from mox.types import Floats

INDEXES: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
    ({"kind": "HNSW", "m": 8, "ef_construction": 100}, [{"ef": 10}, {"ef": 30}, {"ef": 100}]),
    ({"kind": "IVF_FLAT", "nlist": 256}, [{"nprobe": 4}, {"nprobe": 16}, {"nprobe": 64}]),
]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--corpus", action="append", default=[])
    parser.add_argument("--to", type=int, default=100_000)
    asked = parser.parse_args()
    from mox.bench.grown import Grower
    from mox.bench.ladder import ladder
    from mox.bench.vectors import embed_all, read_corpora
    from mox.experiment import load
    from mox.pipeline.progress import Silent
    from mox.pipeline.store import Store
    from mox.settings import settings
    from mox.source import parse_value

    here = settings()
    store = Store(here.root)
    experiment = load(asked.file)
    read = read_corpora(experiment, [parse_value(one) for one in asked.corpus])
    real = embed_all(experiment, read, store, here, Silent())
    grower = Grower(store, real, asked.to, tolerance=10.0)
    print("real chunks:", real.rows(store))
    rehearsals(grower)
    for n in ladder(asked.to):
        if n > grower.rows:
            facts = grower.about(grower.grow(n))["dimension"]
            print(
                f"{n:>9,}  real {said(facts['real'])}  mixed {said(facts['mixed'])}  real in the"
                f" set {said(facts['real_in_set'])}  off {facts['deviation']:.2f}"
            )
    recalls(grower, store.read(*real.queries.ref).arrays["vectors"])


def said(values: Any) -> str:
    return "/".join(f"{value:.1f}" for value in values)


def rehearsals(grower: Grower) -> None:
    for one in grower.rehearsals():
        print(f"towards {one.recipe.towards:<4} across {one.recipe.across:<5}"
              f" mixed {said(one.mixed)}  real {said(one.real)}  off {one.deviation:.2f}"
              f"  ({one.base:,} to {one.rows:,})")  # fmt: skip


def recalls(grower: Grower, queries: Floats) -> None:
    import numpy as np

    from mox.bench.mixture import mixtures, neighbourhoods
    from mox.indexes import indexes
    from mox.indexes.exact import nearest
    from mox.indexes.vectors import directed
    from mox.registry import validate
    from mox.testing.vectors import recall
    from mox.types import Place, Rows

    rehearsal = grower.rehearsal()
    assert rehearsal is not None, "nothing is mixed: grow further"
    vectors = grower.vectors[directed(grower.vectors)]
    part = vectors[: rehearsal.base]
    near = neighbourhoods(part, rehearsal.recipe.neighbours)
    new = mixtures(part, near, rehearsal.recipe, len(vectors) - len(part), seed=1)
    sets = {"real": vectors, "mixed": np.concatenate([part, new])}
    for name, rows in sets.items():
        truth, _ = nearest(rows, queries, 10)
        print(f"{name}: {(truth >= len(part)).mean():.2f} of what is nearest lies beyond the part")
        for plain, efforts in INDEXES:
            spec = indexes.parse(plain)
            with tempfile.TemporaryDirectory() as folder:
                place = Place("mixture", Path(folder))
                indexes[spec].build(spec, Rows(rows), place)
                with indexes[spec].open(spec, place) as searcher:
                    for effort in efforts:
                        settings = validate(spec.Search, effort)
                        ids, _ = searcher.search(queries, k=10, settings=settings)
                        print(f"  {name:<6} {plain['kind']:<9} {effort}  {recall(ids, truth):.3f}")


if __name__ == "__main__":
    main()
