"""AutoRAG's half as this side sees it: run in its own Python, measured from outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from rival_autorag import parts
from rival_autorag.job import Job, subset
from rival_autorag.processes import Ran, run
from rival_autorag.servers import free_port, kill_when, milvus

HERE = Path(__file__).parent


class Rival(NamedTuple):
    """Where AutoRAG is installed, and where it works."""

    python: str
    work: Path
    corpus: Path

    def call(self, command: str, work: Path, corpus: Path, *extra: str, **options: Any) -> Ran:
        """Run a command of autorag_half.py."""
        script = str(HERE / "autorag_half.py")
        environment = {
            "PYTHONPATH": str(HERE / "probe"),
            "RIVAL_PROBE": str(work / f"{command}.jsonl"),
            **options.pop("environment", {}),
        }
        arguments = [self.python, script, command, str(work), str(corpus), *(extra or ("101",))]
        return run(arguments, work / f"log-{command}", environment, **options)

    def version(self) -> str:
        """Which AutoRAG that Python has.

        Raises:
            SystemExit: none, by name.
        """
        code = "from importlib.metadata import version; print(version('AutoRAG'))"
        try:
            ran = run([self.python, "-c", code], self.work / "log-version")
        except OSError as error:
            raise SystemExit(f"{self.python} cannot be run: {error.strerror}.") from None
        if ran.code:
            raise SystemExit(f"{self.python} has no AutoRAG: {ran.err.strip()[-200:]}")
        return ran.out.strip()


def answer(ran: Ran, work: Path, command: str) -> dict[str, Any]:
    """What a command wrote that had to succeed."""
    if ran.code:
        raise SystemExit(
            f"AutoRAG's {command} ended with {ran.code}: {(ran.err or ran.out)[-3000:]}"
        )
    return dict(json.loads((work / f"{command}.json").read_text(encoding="utf-8")))


def taken(ran: Ran, said: dict[str, Any], noted: list[parts.Note], corpus: Path) -> parts.Taken:
    """A run's parts; what the script itself does between them (labels, records) is left out."""
    first, other, embedded = parts.embeddings(noted, corpus)
    start = said["parts"]["start and imports"]
    loading = parts.of_kind(noted, "load", "import sentence_transformers")
    late = parts.covered(note for note in loading if note["so_far"] > start)
    trials = sum(value for name, value in said["parts"].items() if name.startswith("trial"))
    found = {
        parts.CORPUS: first,
        parts.AGAIN: other,
        parts.START: start + late,
        parts.CHUNKING: said["parts"].get("chunking", 0.0),
        parts.SWEEP: trials - first - other - late,
        parts.REST: 0.0,
    }
    return parts.Taken(found, embedded, ran.peak_mb, ran.wall_s)


def measure(rival: Rival, job: Job) -> dict[str, Any]:
    """The job once, and again with its chunks, labels and vector store kept."""
    found: dict[str, Any] = {}
    for name, command in (("first", "sweep"), ("again", "again")):
        ran = rival.call(command, rival.work, rival.corpus, str(job.weights))
        said = answer(ran, rival.work, command)
        noted = parts.read(rival.work / f"{command}.jsonl")
        found[name] = taken(ran, said, noted, rival.corpus).document()
    sizes = answer(rival.call("results", rival.work, rival.corpus), rival.work, "results")["sizes"]
    return {**found, "sizes": sizes, "chunks": [len(told["chunks"]) for told in sizes.values()]}


def faults(rival: Rival, documents: int, questions: int) -> dict[str, Any]:
    """The four faults on a small corpus."""
    work = rival.work / "faults"
    corpus = subset(rival.corpus, work / "corpus", documents, questions)
    found = answer(rival.call("still", work, corpus), work, "still")
    found["midway"] = _midway(rival, work / "midway", corpus)
    found["resumed"] = _resumed(rival, work / "killed", corpus)
    return found


def _midway(rival: Rival, work: Path, corpus: Path) -> dict[str, Any]:
    port = free_port()
    lexical_done = work / "midway" / "0" / "line" / "lexical_retrieval" / "summary.csv"
    with milvus(work / "milvus", port) as server:
        ran = rival.call(
            "midway",
            work,
            corpus,
            environment={"RIVAL_MILVUS": f"http://127.0.0.1:{port}"},
            watch=kill_when(server, lexical_done.exists),
        )
        killed = server.poll() is not None
    return {**answer(ran, work, "midway"), "killed": killed}


def _resumed(rival: Rival, work: Path, corpus: Path) -> dict[str, Any]:
    fusing = work / "killed" / "0" / "line" / "hybrid_retrieval"
    ran = rival.call(
        "interrupted",
        work,
        corpus,
        watch=lambda process: kill_when(process, fusing.exists, after_s=0.5)(process),
    )
    if ran.code != -9:
        raise SystemExit(f"AutoRAG was to be killed in mid-run and ended with {ran.code}.")
    return answer(rival.call("resumed", work, corpus), work, "resumed")
