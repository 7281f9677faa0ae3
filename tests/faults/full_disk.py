"""A sweep on a server whose disk fills up; run in a mount namespace of its own.

`unshare -rm python full_disk.py HOME CORPUS`: prints one JSON document.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import mox
from mox.services import running
from mox.services.process import born

DISK = "320m"
"""etcd alone takes 130 MB of an empty server, and rocksdb 65 MB with the first build."""


def experiment(corpus: str, sizes: list[int]) -> dict[str, Any]:
    return {
        "name": "full",
        "corpus": {"kind": "evidence", "path": corpus},
        "axes": {
            "chunk": [{"kind": "fixed", "size": sizes}],
            "embed": [{"kind": "hashing", "dims": 64}],
            "index": [{"kind": "exact"}, {"kind": "FLAT"}],
            "search": [{"kind": "dense", "k": 5}],
        },
        "measure": "recall@5",
    }


def ends(results: Any) -> list[dict[str, Any]]:
    return [
        {"kind": results.params(trial)["index.kind"], "status": trial.status, "error": trial.error}
        for trial in results.run.trials
    ]


def fill(folder: Path) -> Path:
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return ballast


def main() -> None:
    home, corpus = Path(sys.argv[1]), sys.argv[2]
    os.environ.update(MOX_HOME=str(home), MOX_WORKERS="1")
    disk = home / "services" / "milvus"
    disk.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", str(disk)], check=True)
    try:
        found = mox.up("milvus")
        said: dict[str, Any] = {"pid": found.pid}
        said["before"] = ends(mox.run(experiment(corpus, [24]), offline=True, quiet=True))
        plan = mox.plan(experiment(corpus, [20, 22]))
        ballast = fill(disk)
        said["full"] = ends(mox.run(plan, offline=True, quiet=True))
        said["alive"] = born(found.pid) is not None
        ballast.unlink()
        said["again"] = mox.up("milvus").pid
        said["after"] = ends(mox.run(plan, offline=True, quiet=True))
        said["stored"] = len(mox.plan(experiment(corpus, [24])).pending())
    finally:
        mox.down("milvus")
    said["left"] = [server.pid for server in running.servers(home)]
    print(json.dumps(said))  # noqa: T201  what its caller reads


if __name__ == "__main__":
    main()
