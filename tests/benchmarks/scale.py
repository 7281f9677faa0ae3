"""How planning, running and reading a sweep grow with its trials and its questions.

Goals: 2,000 trials × 1,000 questions plan in under 5 s, are read back in under 3 s, and hold
under 1 GiB. Each figure is a process of its own, imports inside: `plan`, `run` and `results` are
the commands with `--json`; `read` is only what is read from the store for a leaderboard (run,
scores, costs), without intervals and choice; `peak` is the largest process of the four.

    python tests/benchmarks/scale.py [TRIALS,… [QUESTIONS,…]]
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

WORDS = [
    f"{a}{b}{c}" for a in ("ka", "lo", "mi", "tu", "re") for b in "bdfgklmnprst" for c in "aeiou"
]
READ = """
import sys, mox
results = mox.load(sys.argv[1])
for measure in results.run.measures:
    results.values(measure)
len(results.costs), len(results.questions_asked)
"""


class Took(NamedTuple):
    wall_s: float
    cpu_s: float
    peak_mb: float
    out: str


def write_corpus(folder: Path, questions: int, documents: int = 300, paragraphs: int = 8) -> None:
    """Documents of random words; each question is half the words of one paragraph."""
    dice = random.Random(5)  # noqa: S311  the same corpus each time
    texts, asked = [], []
    for at in range(documents):
        parts = [" ".join(dice.choices(WORDS, k=40)) + "." for _ in range(paragraphs)]
        texts.append({"id": f"d{at:04d}", "text": "\n\n".join(parts)})
    for at in range(questions):
        document = texts[at % documents]
        part = dice.choice(document["text"].split("\n\n"))
        start = document["text"].index(part)
        words = part.rstrip(".").split()
        asked.append(
            {
                "id": f"q{at:05d}",
                "text": " ".join(dice.sample(words, 8) + dice.choices(WORDS, k=8)),
                "split": "dev" if at % 2 else "test",
                "evidence": [
                    {"document": document["id"], "start": start, "end": start + len(part),
                     "text": part}
                ],
            }
        )  # fmt: skip
    folder.mkdir(parents=True)
    for name, rows in (("documents", texts), ("questions", asked)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")


def experiment(corpus: Path, trials: int) -> str:
    """A quarter of the trials fuse by rank, the others by weights on two scales."""
    weighted = 3 * trials // 8
    weights = [round(at / (weighted - 1), 5) for at in range(weighted)]
    fusions = [
        {"kind": "rrf", "k": list(range(trials - 2 * weighted))},
        {"kind": "weighted", "normalise": ["min-max", "theoretical"], "weight": weights},
    ]
    settings = {
        "name": "scale",
        "corpus": {"kind": "evidence", "path": str(corpus)},
        "axes": {
            "chunk": [{"kind": "recursive", "size": 100}],
            "embed": [{"kind": "hashing", "dims": 256}],
            "index": [{"kind": "exact"}],
            "search": [{"kind": "hybrid", "k": 10, "depth": 20, "fusion": f} for f in fusions],
        },
        "measure": ["recall@400t", "ndcg@400t", "recall@5"],
        "choose": {"maximise": "recall@400t", "within": 0.05},
    }
    return json.dumps(settings)  # YAML too


def timed(words: Sequence[str], home: Path) -> Took:
    """A process' figures, those of its children inside (peak: the largest of them)."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            words, stdout=out, stderr=err, env={**os.environ, "MOX_HOME": str(home)}
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        if process.returncode:
            raise SystemExit(err.read().decode()[-3000:])
        return Took(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, out.read().decode())


def measure(folder: Path, trials: int, questions: int) -> str:
    write_corpus(folder / "corpus", questions)
    file, home = folder / "e.yaml", folder / "home"
    file.write_text(experiment(folder / "corpus", trials), encoding="utf-8")
    mox = [sys.executable, "-m", "mox"]
    plan = timed([*mox, "plan", str(file), "--json"], home)
    run = timed([*mox, "run", str(file), "--offline", "--quiet", "--json"], home)
    document = json.loads(run.out)
    finished = sum(trial["status"] == "FINISHED" for trial in document["trials"])
    assert finished == trials, f"{finished} of {trials} trials finished"
    again = timed([*mox, "run", str(file), "--offline", "--quiet", "--json"], home)
    read = timed([sys.executable, "-c", READ, document["run_id"]], home)
    results = timed([*mox, "results", document["run_id"], "--json"], home)
    every = (plan, run, again, read, results)
    figures = "".join(f"{t.wall_s:>8.2f} {t.cpu_s:>6.2f}" for t in every)
    return f"{trials:>6} × {questions:<6}{figures}{max(t.peak_mb for t in every):>8.0f}"


def main() -> None:
    trials, questions = (
        [int(part) for part in (sys.argv[at] if len(sys.argv) > at else given).split(",")]
        for at, given in ((1, "500,1000,2000"), (2, "250,500,1000"))
    )
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; wall and CPU seconds, peak MB")
    heads = "".join(f"{name:>15}" for name in ("plan", "run", "run again", "read", "results"))
    print(f"trials × questions{heads[3:]}{'peak':>8}")
    for n in trials:
        for q in questions:
            with tempfile.TemporaryDirectory() as folder:
                print(measure(Path(folder), n, q), flush=True)


if __name__ == "__main__":
    main()
