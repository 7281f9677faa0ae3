"""The four faults, tried on Mox through its command line.

The model is wordllama: none of the faults depends on which one embeds, and it is in the core.
"""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rival_autorag import ours, parts
from rival_autorag.job import SIZES, subset
from rival_autorag.processes import Ran
from rival_autorag.servers import DEAD, free_port, kill_when, milvus

HNSW = [{"kind": "HNSW", "m": [4, 8, 16, 32], "ef_construction": 100}]
KILLS = (0.15, 0.45, 0.75)
"""How much of the artifacts is stored when the run is killed."""


def faults(work: Path, corpus: Path, documents: int, questions: int) -> dict[str, Any]:
    """The four faults on a small corpus."""
    small = subset(corpus, work / "corpus", documents, questions)
    return {
        "away": _away(work / "away", small),
        "midway": _midway(work / "midway", small),
        "killed": _killed(work / "killed", small),
        "chunked again": _chunked_again(work / "again", small, corpus, documents),
        "labels_lost": _labels_lost(work / "labels", small),
    }


def _file(work: Path, corpus: Path, **more: Any) -> str:
    settings = ours.experiment({"kind": "evidence", "path": str(corpus)}, "wordllama", **more)
    return str(ours.write(work / "experiment.yaml", settings))


def _run(work: Path, name: str, file: str, **options: Any) -> Ran:
    return ours.mox(work, name, "run", file, "--json", "--quiet", "--offline", **options)


def _on_milvus(work: Path, corpus: Path) -> str:
    search = [{"kind": "bm25", "k": 5}, {"kind": "dense", "k": 5, "ef": [16, 64]}]
    return _file(work, corpus, axes={"index": HNSW, "search": search})


def _away(work: Path, corpus: Path) -> dict[str, Any]:
    """Milvus isn't there when the run starts."""
    ran = _run(work, "away", _on_milvus(work, corpus), environment={"MOX_MILVUS_URI": DEAD})
    return {
        "code": ran.code,
        "said": (ran.err.strip() or ran.out.strip())[:400],
        "scored": len(_artifacts(work, "score")),
    }


def _midway(work: Path, corpus: Path) -> dict[str, Any]:
    """Milvus is killed once the first index was searched; then it is back, and `run` again."""
    port, file = free_port(), _on_milvus(work, corpus)
    uri = {"MOX_MILVUS_URI": f"http://127.0.0.1:{port}"}
    with milvus(work / "milvus", port) as server:
        searched: Callable[[], bool] = lambda: bool(_artifacts(work, "search"))  # noqa: E731
        ran = _run(work, "midway", file, environment=uri, watch=kill_when(server, searched))
        killed = server.poll() is not None
    broken = json.loads(ran.out)
    with milvus(work / "milvus", port):
        resumed = ours.need(_run(work, "resumed", file, environment=uri))
    with milvus(work / "whole" / "milvus", port):
        whole = ours.need(_run(work / "whole", "whole", file, environment=uri))
    failed = [trial for trial in broken["trials"] if trial["status"] == "FAILED"]
    truth = _values(whole)
    scored = [trial for trial in broken["trials"] if trial["metrics"]]
    return {
        "code": ran.code,
        "killed": killed,
        "trials": len(broken["trials"]),
        "failed": len(failed),
        "named": sum("Milvus" in trial["error"] for trial in failed),
        "said": failed[0]["error"][:300] if failed else "",
        "scored": len(scored),
        "scored_wrong": sum(_means(trial) != truth[trial["id"]] for trial in scored),
        "resumed_equal": _values(resumed) == _values(whole),
    }


def _killed(work: Path, corpus: Path) -> dict[str, Any]:
    """The run is killed (-9) three times, and then left to end."""
    search = [
        {"kind": "bm25", "k": 5},
        {"kind": "dense", "k": 5},
        {"kind": "hybrid", "k": 5, "depth": 10, "fusion": {"kind": "rrf", "k": list(range(4, 24))}},
    ]
    file = _file(work, corpus, axes={"search": search})
    whole = ours.need(_run(work / "whole", "whole", file))
    every = len(_artifacts(work / "whole"))
    codes = [_kill_at(work, f"kill{at}", file, share * every) for at, share in enumerate(KILLS)]
    resumed_run = _run(work, "resumed", file)
    resumed = ours.need(resumed_run)
    return {
        "codes": codes,
        "stages": resumed["stages"]["total"],
        "left_for_the_end": resumed["stages"]["run"],
        "equal": _values(resumed) == _values(whole),
        "same_bytes": _checksums(work) == _checksums(work / "whole"),
    }


def _kill_at(work: Path, name: str, file: str, artifacts: float) -> int:
    def watch(process: subprocess.Popen[bytes]) -> None:
        kill_when(process, lambda: len(_artifacts(work)) >= artifacts)(process)

    return _run(work, name, file, watch=watch).code


def _chunked_again(work: Path, small: Path, corpus: Path, documents: int) -> dict[str, Any]:
    """The same texts cut anew, with the chunks' artifacts and all above them gone; then the
    corpus with one more document."""
    search = [{"kind": "dense", "k": 5}]
    file = _file(work, small, axes={"search": search})
    ours.need(_run(work, "first", file))
    for kind in ("chunk", "embed", "exact", "score"):
        shutil.rmtree(work / "state" / "artifacts" / kind)
    again = ours.need(_run(work, "again", file))
    before = sum(trial["costs"]["chunks"] for trial in again["trials"])
    larger = subset(corpus, work / "larger", documents + 1, 10_000)
    (larger / "questions.jsonl").write_bytes((small / "questions.jsonl").read_bytes())
    more = ours.need(_run(work, "more", _file(work / "more", larger, axes={"search": search})))
    return {
        "chunks": before,
        "cut_again": again["stages"]["by_kind"]["chunk"]["run"],
        "embedded": _embedded(work, "again"),
        "new_chunks": sum(trial["costs"]["chunks"] for trial in more["trials"]) - before,
        "embedded_for_them": _embedded(work, "more"),
    }


def _embedded(work: Path, name: str) -> int:
    noted = parts.of_kind(parts.read(ours.notes(work, name)), "encode")
    return sum(len(note["texts"]) for note in noted)


def _labels_lost(work: Path, corpus: Path) -> dict[str, Any]:
    """Each 512-token chunk's span as evidence, found again in 128-token chunks.

    Every chunk is among a question's hits, and recall is measured after each of them: a chunk
    that overlaps the span is lost where recall doesn't grow by the characters that it adds.
    """
    hits = _all_hits(work / "large", corpus, 512)[0]["hits"]
    spans = sorted({(hit["document"], *hit["spans"][0]) for hit in hits})
    moved = subset(corpus, work / "corpus", 10_000, 0)
    rows = [
        {"id": f"s{at}", "text": "x", "evidence": [{"document": name, "start": a, "end": b}]}
        for at, (name, a, b) in enumerate(spans)
    ]
    (moved / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    overlapping = lost = touched = 0
    for question, span in zip(_all_hits(work / "small", moved, SIZES[0]), spans, strict=True):
        grown = _growth(question["scores"])
        wanted = _adds(question["hits"], span)
        missing = sum(abs(a - b) > 1e-9 for a, b in zip(grown, wanted, strict=True))
        overlapping += sum(share > 0 for share in wanted)
        lost, touched = lost + missing, touched + bool(missing)
    return {"overlapping": overlapping, "lost": lost, "of": len(spans), "touched": touched}


def _growth(scores: dict[str, float]) -> list[float]:
    """By how much each hit raises recall, best hit first."""
    recalls = [0.0, *(scores[f"recall@{at}"] for at in range(1, len(scores) + 1))]
    return [after - before for before, after in itertools.pairwise(recalls)]


def _adds(hits: list[dict[str, Any]], span: tuple[str, int, int]) -> list[float]:
    """The share of a span that each hit brings and no earlier one has, character by character."""
    name, first, end = span
    had: set[int] = set()
    found = []
    for hit in hits:
        brought = set(range(*hit["spans"][0])) & set(range(first, end)) - had
        brought = brought if hit["document"] == name else set()
        had |= brought
        found.append(len(brought) / (end - first))
    return found


def _all_hits(work: Path, corpus: Path, size: int) -> list[dict[str, Any]]:
    """Each question's scores with every chunk among its hits."""
    chunk = [{"kind": "fixed", "size": size, "overlap": 16}]
    counted = _run(work, "count", _file(work, corpus, axes=_dense(chunk, 1)))
    rows = ours.need(counted)["trials"][0]["costs"]["chunks"]
    file = _file(work, corpus, axes=_dense(chunk, rows))
    settings = json.loads(Path(file).read_text(encoding="utf-8"))
    settings["measure"] = [f"recall@{at}" for at in range(1, rows + 1)]
    ours.write(Path(file), settings)
    trial = ours.need(_run(work, "all", file))["trials"][0]["id"]
    read = ours.mox(work, "read", "results", file, "--questions", trial, "--json")
    return list(ours.need(read)["questions"])


def _dense(chunk: list[dict[str, Any]], k: int) -> dict[str, Any]:
    return {"chunk": chunk, "search": [{"kind": "dense", "k": k}]}


def _values(document: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Each finished trial's means. Intervals are left out: their last bits depend on which
    trials are resampled together."""
    return {trial["id"]: _means(trial) for trial in document["trials"] if trial["metrics"]}


def _means(trial: dict[str, Any]) -> dict[str, float]:
    return {name: values["mean"] for name, values in trial["metrics"].items()}


def _artifacts(work: Path, kind: str = "*") -> list[Path]:
    return list((work / "state" / "artifacts").glob(f"{kind}/[!.]*"))


def _checksums(work: Path) -> dict[str, str]:
    """Of each artifact's arrays, by stage and key."""
    return {
        f"{folder.parent.name}/{folder.name}": json.loads(
            (folder / "artifact.json").read_text(encoding="utf-8")
        )["sha256"]
        for folder in _artifacts(work)
    }
