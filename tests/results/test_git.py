"""The commit of a working tree."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mox.results.git import commit


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "file").write_text("one")
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    for words in (["init", "-q"], ["add", "file"], [*identity, "commit", "-qm", "one"]):
        subprocess.run(["git", *words], cwd=folder, check=True, timeout=20)
    return folder


def test_a_tree_is_named_by_its_commit_and_whether_it_differs(tree: Path) -> None:
    clean = commit(tree)
    assert clean is not None
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=tree, capture_output=True, text=True, check=True,
        timeout=20,
    )  # fmt: skip
    assert clean.sha == head.stdout.strip()
    assert not clean.dirty
    (tree / "file").write_text("two")
    dirty = commit(tree)
    assert dirty is not None
    assert dirty.dirty


def test_no_repository_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit(tmp_path) is None
    assert commit(tmp_path / "absent") is None
