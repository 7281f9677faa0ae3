"""The ledger and a benchmark's records on a disk that fills up; run in its own mount namespace.

`unshare -rm python full_ledger.py FOLDER`: prints one JSON document.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from mox.bench.providers.client import records
from mox.bench.providers.record import Load, Record
from mox.errors import StoreError
from mox.providers.ledger import ABANDONED, Ledger, Purse
from mox.providers.rates import Price
from mox.types.providers import Call, Usage

CALL = Call("compatible", "one", "m", "bench")


def pay(ledger: Ledger) -> None:
    booking = ledger.hold(CALL, Purse("r"), Price(), limit=None)
    ledger.settle(booking, Usage(1), Price())


def until_full(do: Any) -> tuple[int, str]:
    """How often it went well, and what was said then."""
    done = 0
    while True:
        try:
            do(done)
        except StoreError as error:
            return done, error.message
        done += 1


def measured(folder: Path, ballast: Path) -> dict[str, Any]:
    """Records until the disk is full, and some more when there is room again."""
    path = folder / "records.jsonl"

    def record(number: int) -> Record:
        load = Load("closed", 1.0)
        return Record("p", "m", "w", load, 0, number, number, said="x" * 500)

    with records.Writer(path) as writer:
        writer.begin({"cell": "c", "round": 0})
        done, said = until_full(lambda number: writer.record(record(number)))
        after = path.read_bytes()
        ballast.unlink()
        writer.record(record(done))
    return {
        "done": done,
        "said": said,
        "ends_with_a_line": after.endswith(b"\n"),
        "kept": [len(one.records) for one in records.read(path)],
    }


def booked(folder: Path, ballast: Path) -> dict[str, Any]:
    """Calls until the disk is full, and some more when there is room again."""
    ledger = Ledger(folder)
    done, said = until_full(lambda _: pay(ledger))
    there = sum(row["error"] != ABANDONED for row in ledger.rows())
    ballast.unlink()
    for _ in range(3):
        pay(ledger)
    errors = [row["error"] for row in ledger.rows()]
    ledger.close()
    return {"done": done, "said": said, "there": there, "after": errors.count(None)}


def main() -> None:
    place = Path(sys.argv[1])
    found = {}
    for name, tried in (("records", measured), ("ledger", booked)):
        folder = place / name
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], check=True)
        ballast = folder / "ballast"
        ballast.write_bytes(b"x" * 700_000)
        found[name] = tried(folder, ballast)
    print(json.dumps(found))  # noqa: T201  what its caller reads


if __name__ == "__main__":
    main()
