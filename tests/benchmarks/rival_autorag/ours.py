"""Mox' half: the job as an experiment, run by the command line in a subprocess."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rival_autorag import parts
from rival_autorag.job import CONSTANTS, FUSED, KEEP, OVERLAP, SIZES, Job
from rival_autorag.processes import Ran, run

PROBE = Path(__file__).parent / "probe"
MEASURES = ["hit@5", "ndcg@5", "mrr@5"]
STEMMED = {"kind": "bm25", "stemmer": "porter", "stopwords": "english"}
PLAIN = {"kind": "bm25", "stemmer": None, "stopwords": None}
"""The two ways to words, as near as Mox has them to AutoRAG's `porter_stemmer` and `space`."""
MODEL = ("load", "import sentence_transformers", "import wordllama.inference")
NORMALISE = ["min-max", "theoretical"]


def searches(job: Job) -> list[dict[str, Any]]:
    """The search axis: 4 BM25, 2 dense, 77 RRF, and the weighted fusions of two normalisations.

    AutoRAG fuses the best of its BM25 and of its dense lists; of the known-item job these are
    plain words and 10 hits, so that is what is fused here.
    """
    fused = {"kind": "hybrid", "k": FUSED, "depth": max(KEEP), "lexical": PLAIN}
    weighted = {"kind": "weighted", "normalise": NORMALISE, "weight": job.weight_values()}
    return [
        {**STEMMED, "k": list(KEEP)},
        {**PLAIN, "k": list(KEEP)},
        {"kind": "dense", "k": list(KEEP)},
        {**fused, "fusion": {"kind": "rrf", "k": list(CONSTANTS)}},
        {**fused, "fusion": weighted},
    ]


def experiment(corpus: Mapping[str, Any], embed: str, **more: Any) -> dict[str, Any]:
    """An experiment in which only axes differ from case to case."""
    axes = {
        "chunk": [{"kind": "fixed", "size": list(SIZES), "overlap": OVERLAP}],
        "embed": [embedder(embed)],
        "index": [{"kind": "exact"}],
    }
    given = more.pop("axes", {})
    return {
        "name": "rival-autorag",
        "corpus": dict(corpus),
        "axes": {**axes, **given},
        "measure": MEASURES,
        **more,
    }


def embedder(kind: str) -> dict[str, Any]:
    """MiniLM leaves unread what is past its 256 tokens, as AutoRAG lets it without a word."""
    return {"kind": kind, "truncate": True} if kind == "minilm" else {"kind": kind}


def write(path: Path, settings: Mapping[str, Any]) -> Path:
    """An experiment's file; JSON is YAML."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings, indent=1), encoding="utf-8")
    return path


def mox(work: Path, name: str, *arguments: str, **options: Any) -> Ran:
    """A `mox` command whose state lies in `work/state`; the probe notes in `work/NAME.jsonl`."""
    environment = {
        "MOX_HOME": str(work / "state"),
        "PYTHONPATH": os.pathsep.join([str(PROBE), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "RIVAL_PROBE": str(notes(work, name)),
        **options.pop("environment", {}),
    }
    return run(
        [sys.executable, "-m", "mox", *arguments], work / f"log-{name}", environment, **options
    )


def notes(work: Path, name: str) -> Path:
    return work / f"{name}.jsonl"


def need(ran: Ran) -> dict[str, Any]:
    """The JSON of a command that had to succeed."""
    if ran.code:
        raise SystemExit(f"mox ended with {ran.code}: {(ran.err or ran.out)[-3000:]}")
    return dict(json.loads(ran.out))


def taken(ran: Ran, noted: list[parts.Note], corpus: Path) -> parts.Taken:
    """A run's parts. The process that was started plans, hands out, and reads the results back;
    its workers do the stages, and what they do besides (storing) is counted with the sweep. What
    they are forked from does nothing but import."""
    first, other, embedded = parts.embeddings(noted, corpus)
    model = parts.covered(parts.of_kind(noted, *MODEL))
    embed = parts.covered(parts.of_kind(noted, "stage embed", "stage queries"))
    chunking = parts.covered(parts.of_kind(noted, "stage chunk", "stage tokens"))
    workers = {note["pid"] for note in noted if note["what"].startswith(("stage ", "job"))}
    main = {note["pid"] for note in noted if note["what"].startswith("api ")}
    forked_from = {note["pid"] for note in noted} - workers - main
    begun = _before_first(noted, workers)
    found = {
        parts.CORPUS: first,
        parts.AGAIN: other,
        parts.START: begun + _before_first(noted, main) + _until_last(noted, forked_from) + model,
        parts.CHUNKING: chunking,
        parts.SWEEP: _until_last(noted, workers) - begun - chunking - first - other - model,
    }
    assert embed >= first + other, "embedding outside of an embedding stage"
    found[parts.REST] = ran.cpu_s - sum(found.values())
    return parts.Taken(found, embedded, ran.peak_mb, ran.wall_s)


def _before_first(noted: list[parts.Note], processes: set[int]) -> float:
    """CPU seconds of processes before their first stage, or before the plan: their imports."""
    begins: dict[int, float] = {}
    for note in noted:
        if note["pid"] in processes and note["what"].startswith(("stage ", "api ")):
            begin = note["so_far"] - note["cpu"]
            begins[note["pid"]] = min(begin, begins.get(note["pid"], begin))
    return sum(begins.values())


def _until_last(noted: list[parts.Note], processes: set[int]) -> float:
    """CPU seconds of processes until each one's last note."""
    ends: dict[int, float] = {}
    for note in noted:
        if note["pid"] in processes:
            ends[note["pid"]] = max(note["so_far"], ends.get(note["pid"], 0.0))
    return sum(ends.values())


def measure(work: Path, corpus: Path, job: Job, embed: str) -> dict[str, Any]:
    """The job once, its mirror, and the job again."""
    settings = experiment(
        {"kind": "evidence", "path": str(corpus)}, embed, axes={"search": searches(job)}
    )
    settings["questions"] = {"limit": job.questions}
    file = str(write(work / "experiment.yaml", settings))
    first = mox(work, "first", "run", file, "--json", "--quiet", "--offline")
    document = need(first)
    mirror = mox(work, "mirror", "sync", "--json")
    need(mirror)
    again = mox(work, "again", "run", file, "--json", "--quiet")
    repeated = need(again)
    trials = document["trials"]
    return {
        "first": taken(first, parts.read(notes(work, "first")), corpus).document(),
        "again": taken(again, parts.read(notes(work, "again")), corpus).document(),
        "mirror_cpu_s": mirror.cpu_s,
        "configurations": len(trials),
        "stages_again": repeated["stages"]["run"],
        "chunks": sorted({trial["costs"]["chunks"] for trial in trials}, reverse=True),
    }
