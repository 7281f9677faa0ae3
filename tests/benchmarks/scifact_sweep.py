"""Wall time of the 120-trial SciFact sweep against a bare script that does the same stages.

Goal: ≤ 1.10 with MLflow and imports inside; a second run under 3 s; one chunking changed
redoes its branch only. Prints ratios from one run; A and B take turns, so that a machine whose
speed drifts favours neither.

    python tests/benchmarks/scifact_sweep.py CORPUS_FOLDER [PAIRS]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent


def timed(command: list[str], **environment: str) -> tuple[float, str]:
    began = time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return time.perf_counter() - began, done.stdout


def mox(home: str, corpus: str, *options: str) -> tuple[float, dict]:
    seconds, out = timed(
        [sys.executable, "-m", "mox", "run", str(HERE / "scifact.yaml"), "--json", "--quiet",
         "--set", f"corpus.path={corpus}", *options],
        MOX_HOME=home,
    )  # fmt: skip
    return seconds, json.loads(out)


def main() -> None:
    corpus = str(Path(sys.argv[1]).absolute())
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for pair in range(pairs):
        bare, _ = timed([sys.executable, str(HERE / "scifact_bare.py"), corpus])
        with tempfile.TemporaryDirectory() as home:
            ours, first = mox(home, corpus)
            again, second = mox(home, corpus)
            changed, third = mox(home, corpus, "--set", "axes.chunk.0.size=[100, 220]")
        kinds = {kind: row["run"] for kind, row in first["stages"]["by_kind"].items()}
        print(
            f"pair {pair}: bare {bare:.1f} s, mox {ours:.1f} s, ratio {ours / bare:.2f};"
            f" again {again:.2f} s ({second['stages']['run']} stages run);"
            f" one chunking changed {changed:.1f} s"
        )
        print("  stages run at first:", kinds)
        print("  after the change:", {k: r["run"] for k, r in third["stages"]["by_kind"].items()})
    print(f"load after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
