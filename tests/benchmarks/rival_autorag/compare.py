"""Do the two agree? On AutoRAG's own chunks, as far as AutoRAG keeps what it found.

Mox cannot cut as AutoRAG does (llama-index takes the metadata's tokens off the chunk size, and
joins words), so here each of AutoRAG's chunks is a document of its own, labelled with AutoRAG's
own labels. Of 279 fusions a chunk size AutoRAG keeps the best of three kinds; Mox' fusions are
given AutoRAG's own two lists, so that only the fusion can differ.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rival_autorag import ours
from rival_autorag.job import KEEP, questions_of

CLOSE = 1e-5
"""Scores nearer than this are a tie: float32 vectors, summed in another order."""
SCALES = {"mm": "min-max", "tmm": "theoretical"}

Ranking = Mapping[str, Sequence[int]]


class Agreement(NamedTuple):
    """How far two rankings of the same questions agree.

    `same`: questions with the same hits in the same order. `tied`: those that differ only
    where AutoRAG's own scores are equal. `overlap`: mean share of hits that both have.
    """

    what: str
    size: int
    questions: int
    same: int
    tied: int
    overlap: float
    gap: float | None
    """Largest difference of the scores at one place; None where they mean different things."""
    ndcg: tuple[float, float] | None
    """Mean nDCG, Mox' and AutoRAG's; None where Mox' fusion had AutoRAG's lists."""


def agree(
    what: str, size: int, mine: Ranking, kept: Mapping[str, Any], ndcg: float | None
) -> Agreement:
    """Compare Mox' ranking with one that AutoRAG kept."""
    same = tied = 0
    overlap = 0.0
    for question, theirs in kept["hits"].items():
        found = list(mine[question])[: len(theirs)]
        overlap += len(set(found) & set(theirs)) / max(len(theirs), 1)
        if found == theirs:
            same += 1
        elif _only_ties(found, theirs, kept["scores"][question]):
            tied += 1
    asked = len(kept["hits"])
    pair = None if ndcg is None else (ndcg, kept["means"]["retrieval_ndcg"])
    return Agreement(what, size, asked, same, tied, overlap / asked, None, pair)


def _gap(mine: Mapping[str, Sequence[float]], theirs: Mapping[str, Sequence[float]]) -> float:
    pairs = (zip(mine[question], scores, strict=True) for question, scores in theirs.items())
    return max(abs(a - b) for each in pairs for a, b in each)


def _only_ties(mine: Sequence[int], theirs: Sequence[int], scores: Sequence[float]) -> bool:
    """Whether the rankings differ only among hits of equal score.

    A hit that stands elsewhere must stand where the score is the same; one that AutoRAG's list
    lacks can only stand where the score is its last, the place where ties are cut off.
    """
    score = dict(zip(theirs, scores, strict=True))
    last = scores[-1]
    return len(mine) == len(theirs) and all(
        abs(score.get(hit, last) - there) <= CLOSE for hit, there in zip(mine, scores, strict=True)
    )


def compare(work: Path, corpus: Path, sizes: Mapping[str, Any], embed: str) -> list[Agreement]:
    """All comparisons, by chunk size."""
    found = []
    for size, told in sizes.items():
        folder = work / str(size)
        _write_beir(folder / "chunks", told, corpus)
        found += _searches(folder, int(size), told["kept"], embed)
        found += _fusions(int(size), told["kept"])
    return found


def _write_beir(folder: Path, told: Mapping[str, Any], corpus: Path) -> None:
    """Chunks as documents, AutoRAG's labels as qrels."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    chunks = [{"_id": _name(at), "text": row["text"]} for at, row in enumerate(told["chunks"])]
    asked = [
        {"_id": question["id"], "text": question["text"]}
        for question in questions_of(corpus)
        if question["id"] in told["labels"]
    ]
    for name, rows in (("corpus", chunks), ("queries", asked)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    lines = [f"{q}\t{_name(at)}\t1" for q, rows in told["labels"].items() for at in rows]
    head = "query-id\tcorpus-id\tscore\n"
    (folder / "qrels" / "test.tsv").write_text(head + "\n".join(lines) + "\n", encoding="utf-8")


def _name(row: int) -> str:
    return f"{row:06d}"


def _searches(
    folder: Path, size: int, kept: Sequence[Mapping[str, Any]], embed: str
) -> list[Agreement]:
    """Dense and BM25, searched by Mox on the same chunks."""
    k = max(KEEP)
    words = {"porter_stemmer": ours.STEMMED, "space": ours.PLAIN}
    search = [{"kind": "dense", "k": k}, *({**spec, "k": k} for spec in words.values())]
    axes = {"chunk": [{"kind": "whole"}], "search": search}
    settings = ours.experiment({"kind": "beir", "path": str(folder / "chunks")}, embed, axes=axes)
    settings["measure"] = [f"ndcg@{k}"]
    file = str(ours.write(folder / "experiment.yaml", settings))
    run = ours.need(ours.mox(folder, "run", "run", file, "--json", "--quiet", "--offline"))
    trials = dict(zip(("dense", *words), run["trials"], strict=True))
    found = []
    for name, trial in trials.items():
        theirs = next(row for row in kept if _is(row, name, k))
        what = f"{name}, k={k}" if name == "dense" else f"bm25 ({name}), k={k}"
        ndcg = trial["metrics"][f"ndcg@{k}"]["mean"]
        hits, scores = _hits(folder, file, name, trial["id"])
        row = agree(what, size, hits, theirs, ndcg)
        found.append(row._replace(gap=_gap(scores, theirs["scores"])) if name == "dense" else row)
    return found


def _is(row: Mapping[str, Any], name: str, k: int) -> bool:
    params = row["params"]
    wanted = params.get("bm25_tokenizer", "dense")
    return bool(wanted == name and params["top_k"] == k and "hybrid" not in row["node"])


def _hits(folder: Path, file: str, name: str, trial: str) -> tuple[Ranking, dict[str, list[float]]]:
    """Each question's chunks by row number, and their scores."""
    read = ours.mox(folder, name, "results", file, "--questions", trial, "--json")
    asked = ours.need(read)["questions"]
    return (
        {each["id"]: [int(hit["document"]) for hit in each["hits"]] for each in asked},
        {each["id"]: [hit["score"] for hit in each["hits"]] for each in asked},
    )


def _fusions(size: int, kept: Sequence[Mapping[str, Any]]) -> list[Agreement]:
    """Mox' fusions of the two lists that AutoRAG fused, at the settings that it kept."""
    best = {row["node"]: row for row in kept if row["best"]}
    lists = best["semantic_retrieval"], best["lexical_retrieval"]
    found = []
    for row in kept:
        if row["node"] == "hybrid_retrieval":
            spec = _fusion(row["params"])
            what = " ".join(f"{name}={value}" for name, value in spec.items() if name != "kind")
            mine = _fused(spec, lists, row["params"]["top_k"])
            found.append(agree(f"{spec['kind']} {what}", size, mine, row, None))
    return found


def _fusion(params: Mapping[str, Any]) -> dict[str, Any]:
    if "normalize_method" not in params:
        return {"kind": "rrf", "k": int(params["weight"])}
    scale = SCALES[params["normalize_method"]]
    return {"kind": "weighted", "normalise": scale, "weight": float(params["weight"])}


def _fused(spec: Mapping[str, Any], lists: Sequence[Mapping[str, Any]], k: int) -> Ranking:
    import numpy as np

    from mox.retrieval import fusions
    from mox.retrieval.hits import ranked

    questions = list(lists[0]["hits"])
    hits = []
    for side, least in zip(lists, (-1.0, 0.0), strict=True):
        ids = np.array([side["hits"][question] for question in questions])
        scores = np.array([side["scores"][question] for question in questions])
        hits.append(replace(ranked(ids, scores, k=ids.shape[1]), least=least))
    parsed = fusions.parse(dict(spec))
    fused = fusions[parsed](parsed, hits, k=k)
    return dict(zip(questions, fused.ids.tolist(), strict=True))
