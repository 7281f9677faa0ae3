"""CPU time of importing Mox, in units of `import pydantic`. Goal: `import mox` ≤ 2.

python tests/benchmarks/imports.py
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

RUNS = 7
STATEMENTS = ("import pydantic.main", "import mox", "import mox.api", "import mox.cli")


def cpu_s(statement: str) -> float:
    code = f"import time; b = time.process_time(); {statement}; print(time.process_time() - b)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, median of {RUNS}")
    taken: dict[str, list[float]] = {statement: [] for statement in STATEMENTS}
    for _ in range(RUNS):
        for statement in STATEMENTS:
            taken[statement].append(cpu_s(statement))
    unit = statistics.median(taken[STATEMENTS[0]])
    for statement, seconds in taken.items():
        middle = statistics.median(seconds)
        print(f"{statement:<22} {1000 * middle:6.0f} ms  {middle / unit:5.2f} ×")


if __name__ == "__main__":
    main()
