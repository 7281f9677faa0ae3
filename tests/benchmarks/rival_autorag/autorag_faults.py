"""The four faults, tried on AutoRAG in its own Python; `autorag_half.py CASE` runs one.

`still` needs nobody's help; in `midway` another process kills the vector store, and
`interrupted` is killed itself, to be taken up by `resumed`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import autorag_half as half

DEAD = "http://127.0.0.1:9"
"""The discard port: nothing listens there."""


def embedded():
    """How many texts were embedded in this process so far, as the probe noted them."""
    path = Path(os.environ["RIVAL_PROBE"])
    found = half.rows(path) if path.exists() else []
    return sum(
        len(note["texts"])
        for note in found
        if note["what"] == "encode" and note["pid"] == os.getpid()
    )


def prepared(work, corpus, name="chunks", sizes=(128,)):
    """Chunks and labels of the small corpus."""
    chunks = half.chunk(half.write_raw(corpus, work), work / name, sizes)
    questions = half.label(chunks[0], corpus, work / f"{name}.questions.parquet")
    return chunks, questions


def tried(action):
    """What came of it: `finished`, or the error by name."""
    try:
        action()
    except Exception as error:  # noqa: BLE001  whatever it raises is the finding
        return f"raised {type(error).__name__}: {str(error)[:300]}"
    return "finished"


def dense_means(project, trial=0):
    """The dense node's means as its summary states them (a NaN as the text that JSON lacks);
    None where there is no summary."""
    import pandas as pd

    path = project / str(trial) / "line" / "semantic_retrieval" / "summary.csv"
    if not path.exists():
        return None
    row = pd.read_csv(path).iloc[0]
    return {name: "NaN" if pd.isna(row[name]) else float(row[name]) for name in half.METRICS}


def dense_trial(work, name, store, chunks, questions, *, lexical=False):
    settings = half.config(
        work / f"{name}.yaml",
        store,
        lexical={"top_k": 5, "modules": [{"module_type": "bm25"}]} if lexical else None,
        dense={
            "top_k": 5,
            "modules": [{"module_type": "vectordb", "vectordb": store["name"]}],
        },
    )
    project = work / name
    outcome = tried(lambda: half.start(project, chunks, questions, settings))
    return {"outcome": outcome, "means": dense_means(project)}


def still(work, corpus):
    """Faults that this process can bring about alone."""
    chunks, questions = prepared(work, corpus)
    answer = {"labels_lost": labels_lost(work, corpus)}
    true = half.chroma(work / "chroma")
    answer["true"] = dense_trial(work, "true", true, chunks[0], questions)
    answer["away"] = dense_trial(work, "away", half.milvus(DEAD), chunks[0], questions)
    random = {**half.milvus(DEAD, "random"), "embedding_model": "mock"}
    answer["away, random vectors"] = dense_trial(work, "random", random, chunks[0], questions)
    answer["chunked again"] = chunked_again(work, corpus, chunks[0], true)
    return answer


def chunked_again(work, corpus, chunks, store):
    """The same texts cut again, and the same trial on them in the same project and store."""
    import pandas as pd

    before = embedded()
    again, questions = prepared(work, corpus, name="chunks again")
    first, second = pd.read_parquet(chunks), pd.read_parquet(again[0])
    settings = half.config(
        work / "again.yaml",
        store,
        dense={"top_k": 5, "modules": [{"module_type": "vectordb", "vectordb": store["name"]}]},
    )
    outcome = tried(lambda: half.start(work / "true", again[0], questions, settings))
    return {
        "chunks": len(first),
        "same_texts": first.contents.tolist() == second.contents.tolist(),
        "same_ids": first.doc_id.tolist() == second.doc_id.tolist(),
        "embedded": embedded() - before,
        "questions": len(pd.read_parquet(questions)),
        "outcome": outcome,
        "means": dense_means(work / "true", 1),
    }


def labels_lost(work, corpus):
    """Labels on 512-token chunks, moved to 128-token chunks by AutoRAG's own update_corpus."""
    import pandas as pd
    from autorag.data.qa.schema import QA, Corpus, Raw

    (large, small), _ = prepared(work, corpus, name="two sizes", sizes=(512, 128))
    large, small = pd.read_parquet(large), pd.read_parquet(small)
    raw = Raw(pd.read_parquet(work / "raw.parquet"))
    labels = pd.DataFrame(
        {
            "qid": large.doc_id,
            "query": "x",
            "retrieval_gt": [[[name]] for name in large.doc_id],
            "generation_gt": [["x"]] * len(large),
        }
    )
    moved = QA(labels, Corpus(large, raw)).update_corpus(Corpus(small, raw)).data
    overlapping = lost = touched = 0
    for got, path, (first, last) in zip(
        moved.retrieval_gt, large.path, large.start_end_idx, strict=True
    ):
        there = small[small.path == path]
        want = {
            name for name, (a, b) in zip(there.doc_id, there.start_end_idx, strict=True)
            if a <= last and b >= first
        }  # fmt: skip
        missing = want - set(got[0])
        overlapping, lost = overlapping + len(want), lost + len(missing)
        touched += bool(missing)
    return {"overlapping": overlapping, "lost": lost, "of": len(large), "touched": touched}


def midway(work, corpus):
    """A trial whose Milvus is killed by another process once the lexical node is done."""
    chunks, questions = prepared(work, corpus)
    store = half.milvus(os.environ["RIVAL_MILVUS"])
    return dense_trial(work, "midway", store, chunks[0], questions, lexical=True)


def interrupted(work, corpus):
    """A trial that another process kills in its hybrid node."""
    chunks, questions = prepared(work, corpus)
    store = half.chroma(work / "killed" / "resources" / "chroma")
    settings = half.full_config(work / "killed.yaml", store, 101, keep=(5,))
    half.start(work / "killed", chunks[0], questions, settings)
    return {"outcome": "finished before it could be killed"}


def resumed(work, corpus):
    """The killed trial taken up by restart_trial, and the same one undisturbed."""
    from autorag.evaluator import Evaluator

    chunks, questions = work / "chunks" / "0.parquet", work / "chunks.questions.parquet"
    evaluator = Evaluator(str(questions), str(chunks), project_dir=str(work / "killed"))
    outcome = tried(lambda: evaluator.restart_trial(str(work / "killed" / "0")))
    store = half.chroma(work / "whole" / "resources" / "chroma")
    settings = half.full_config(work / "whole.yaml", store, 101, keep=(5,))
    half.start(work / "whole", chunks, questions, settings)
    return {
        "outcome": outcome,
        "resumed": summaries(work / "killed"),
        "whole": summaries(work / "whole"),
    }


def summaries(project):
    """Rows of the trial's summary, and each node's means (-1 for a NaN), sorted: the order of
    AutoRAG's modules changes from process to process, with Python's hash seed."""
    import pandas as pd

    trial = project / "0"
    found = {"trial": len(pd.read_csv(trial / "summary.csv"))}
    for node in half.NODES:
        path = trial / "line" / node / "summary.csv"
        found[node] = sorted(pd.read_csv(path)[half.METRICS].fillna(-1.0).values.tolist())
    return found


CASES = {"still": still, "midway": midway, "interrupted": interrupted, "resumed": resumed}

if __name__ == "__main__":
    sys.exit("run autorag_half.py CASE")
