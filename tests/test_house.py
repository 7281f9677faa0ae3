"""The house rules, executable: layers, style, types, light imports, the README's commands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent

HEAVY = [
    "mlflow",
    "pandas",
    "pymilvus",
    "ragas",
    "openai",
    "anthropic",
    "sklearn",
    "altair",
    "torch",
]


def run(*command: str, seconds: int = 170) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
    )


@pytest.mark.parametrize(
    "command",
    [
        ("lint-imports", "--no-cache"),
        ("ruff", "check", "--no-cache", "."),
        ("ruff", "format", "--no-cache", "--check", "."),
        ("mypy", "--cache-dir", "/dev/null"),
    ],
    ids=["layers", "style", "format", "types"],
)
@pytest.mark.timeout(300)  # types from nothing are a minute on a quiet machine
def test_the_rules_hold(command: tuple[str, ...]) -> None:
    done = run(str(BIN / command[0]), *command[1:], seconds=290)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "statement",
    [
        "import mox",
        "import mox.registry, mox.types",
        "import mox.corpus, mox.chunking, mox.embedding, mox.indexes, mox.loadgen, mox.retrieval",
        "import mox.cli",
    ],
)
def test_imports_stay_light(statement: str) -> None:
    code = f"{statement}; import sys; print(*[m for m in {HEAVY} if m in sys.modules])"
    done = run(sys.executable, "-c", code, seconds=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_the_command_sets_up_numpys_threads_before_numpy_is_there() -> None:
    """They spin else, for a fifth of all the CPU time of a run in which all is stored."""
    code = (
        "import os, sys; from mox.cli import main\n"
        "os.environ.pop('OPENBLAS_THREAD_TIMEOUT', None); sys.argv = ['mox', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(os.environ.get('OPENBLAS_THREAD_TIMEOUT'), 'numpy' in sys.modules)"
    )
    done = run(sys.executable, "-c", code)
    assert done.stdout.strip().endswith("10 False"), done.stdout + done.stderr


def test_a_worker_imports_nothing_that_only_loads_and_experiments_need() -> None:
    code = (
        "import sys, mox.pipeline.worker, mox.pipeline.work, mox.pipeline.together\n"
        "rooms = ('mox.loadgen', 'mox.experiment', 'mox.providers', 'mox.results')\n"
        "print(*[name for name in rooms if name in sys.modules])"
    )
    done = run(sys.executable, "-c", code)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_a_kind_is_found_without_importing_the_rooms_of_others() -> None:
    code = (
        "import sys; from mox.indexes import indexes\n"
        "assert indexes.known('exact')\n"
        "print(*[m for m in sys.modules if m.startswith(('mox.indexes.mil', 'mox.indexes.pg'))])\n"
        "assert indexes.known('pgvector_hnsw') and indexes.known('HNSW')\n"
        "assert indexes.known('no such kind') is None"
    )
    done = run(sys.executable, "-c", code, seconds=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_every_public_name_of_mox_is_there() -> None:
    import mox

    for name in mox.__all__:
        assert callable(getattr(mox, name))
    # A room of the same name would be found in its place once it is imported.
    assert not {path.stem for path in (ROOT / "src/mox").iterdir()} & set(mox.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mox.nothing  # noqa: B018


def test_the_top_level_is_what_was_agreed() -> None:
    agreed = {"pyproject.toml", "notebooks", "src", "experiments", "datasets", "tests", "README.md"}
    tracked = run("git", "ls-files").stdout.split("\n")
    found = {name.split("/")[0] for name in tracked if name and not name.startswith(".")}
    assert found - {"LICENSE"} == agreed


def test_nothing_names_an_index_host_or_a_machines_path() -> None:
    hosts = re.compile(r"py[p]i\.org|python[h]osted|registry\.npm[j]s|deb[.]debian\.org")
    paths = re.compile(r"(?<![\w.])/(?:work|farm)/")
    for name in run("git", "ls-files").stdout.split():
        path = ROOT / name
        if path.suffix == ".png" or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        assert not hosts.search(text), name
        assert not paths.search(text), name


def test_ci_runs_exactly_the_readmes_test_command() -> None:
    readme = (ROOT / "README.md").read_text()
    commands = re.findall(r"^ *(python3 -m venv .*)$", readme, flags=re.MULTILINE)
    assert len(commands) == 2
    assert commands[0].endswith("mox run experiments/quickstart.yaml")
    assert commands[1].endswith("pytest")
    assert "grep -m1 -o 'python3 -m venv .*pytest$' README.md" in (ROOT / ".ci/run").read_text()
