"""The unique stages of the 120-trial SciFact sweep, done plainly with the same libraries.

No plan, no store, no verification, no statistics, no MLflow: what a careful engineer would
write once for this one sweep. The yardstick of `scifact_sweep.py`.

    python tests/benchmarks/scifact_bare.py CORPUS_FOLDER
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import bpe_openai
import numpy as np
import semchunk
import wordllama
from milvus_lite.server_manager import server_manager_instance
from pymilvus import DataType, MilvusClient
from sklearn.feature_extraction.text import HashingVectorizer

BUILDS = [
    *(("HNSW", {"M": m, "efConstruction": 100}, "ef", (30, 48, 64, 96, 128)) for m in (8, 16)),
    *((kind, {"nlist": 64}, "nprobe", (1, 2, 4, 8, 16)) for kind in ("IVF_FLAT", "IVF_SQ8")),
]
K = 30


def read(folder: Path):
    corpus = [json.loads(line) for line in (folder / "corpus.jsonl").open()]
    texts = [f"{d['title']} {d['text']}" if d["title"] else d["text"] for d in corpus]
    queries = {q["_id"]: q["text"] for q in map(json.loads, (folder / "queries.jsonl").open())}
    grades: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels" / "test.tsv").open().readlines()[1:]:
        query, document, grade = line.split("\t")
        grades.setdefault(query, {})[document] = int(grade)
    return [d["_id"] for d in corpus], texts, queries, grades


def chunkings(texts):
    encoding = bpe_openai.get_encoding("cl100k_base")
    for size in (100, 200):
        splitter = semchunk.chunkerify(lambda t: len(encoding.encode_ordinary(t)), size)
        parts = splitter(texts)
        yield [c for p in parts for c in p], [i for i, p in enumerate(parts) for _ in p]
    yield texts, list(range(len(texts)))


def embedders():
    model = wordllama.WordLlama.load(
        cache_dir=Path(wordllama.__file__).parent, disable_download=True
    )
    yield lambda texts: model.embed(texts, norm=True)
    hashing = HashingVectorizer(n_features=512, norm="l2")
    yield lambda texts: hashing.transform(texts).toarray().astype(np.float32)


def ndcg10(rows, owner, ids, grades, names) -> float:
    total = 0.0
    for query, hits in zip(grades, rows, strict=True):
        documents = list(dict.fromkeys(ids[owner[row]] for row in hits))[:10]
        gains = [grades[query].get(document, 0) for document in documents]
        ideal = sorted(grades[query].values(), reverse=True)[:10]
        discounts = 1 / np.log2(np.arange(2, 12))
        total += (gains @ discounts[: len(gains)]) / (ideal @ discounts[: len(ideal)])
    return total / len(names)


def sweep_index(folder: Path, name, vectors, asked, kind, params, setting, efforts):
    path = str(folder / f"{name}.db")
    client = MilvusClient(path)
    schema = MilvusClient.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
    client.create_collection("c", schema=schema)
    for at in range(0, len(vectors), 2000):
        rows = [{"id": i, "v": vectors[i]} for i in range(at, min(at + 2000, len(vectors)))]
        client.insert("c", rows)
    client.flush("c")
    index = client.prepare_index_params()
    nested = {**params, "params": params}
    index.add_index("v", index_type=kind, metric_type="COSINE", params=nested)
    client.create_index("c", index)
    client.load_collection("c")
    for effort in efforts:
        found = client.search(
            "c", data=asked, anns_field="v", limit=K, search_params={"params": {setting: effort}}
        )
        yield effort, [[hit["id"] for hit in hits] for hits in found]
    client.close()
    server_manager_instance.release_server(path)


def main() -> None:
    began = time.perf_counter()
    ids, texts, queries, grades = read(Path(sys.argv[1]))
    names = list(grades)
    models = list(embedders())
    asked = [model([queries[name] for name in names]).astype(np.float32) for model in models]
    scores = []
    with tempfile.TemporaryDirectory() as folder:
        for c, (chunks, owner) in enumerate(chunkings(texts)):
            for e, model in enumerate(models):
                vectors = np.ascontiguousarray(model(chunks), dtype=np.float32)
                exact = np.argsort(-(asked[e] @ vectors.T), axis=1)[:, :K]
                for b, (kind, params, setting, efforts) in enumerate(BUILDS):
                    name = f"c{c}{e}{b}"
                    for effort, rows in sweep_index(
                        Path(folder), name, vectors, asked[e], kind, params, setting, efforts
                    ):
                        agreement = np.mean(
                            [
                                len({*a} & {*b}) / K
                                for a, b in zip(rows, exact.tolist(), strict=True)
                            ]
                        )
                        quality = ndcg10(rows, owner, ids, grades, names)
                        scores.append((quality, agreement, c, e, kind, effort))
    print(len(scores), "trials; best nDCG@10", max(scores)[:1], file=sys.stderr)
    print(json.dumps({"seconds": time.perf_counter() - began, "trials": len(scores)}))


if __name__ == "__main__":
    main()
