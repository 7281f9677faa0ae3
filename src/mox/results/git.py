"""The commit of the working tree that something was run from."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Commit:
    """A commit, and whether tracked files differed from it."""

    sha: str
    dirty: bool


def commit(folder: Path) -> Commit | None:
    """The commit that a folder's working tree stands on; None where there is no git."""
    git = shutil.which("git")
    if git is None or not folder.is_dir():
        return None
    sha = _say(git, folder, "rev-parse", "--verify", "HEAD")
    if not sha:
        return None
    return Commit(sha, bool(_say(git, folder, "status", "--porcelain", "--untracked-files=no")))


def _say(git: str, folder: Path, *words: str) -> str:
    """What git prints; nothing where it fails: no repository, no commit yet, not ours to read."""
    try:
        done = subprocess.run(  # noqa: S603  git itself, by its path, with words of ours
            [git, "--no-optional-locks", *words],
            cwd=folder, capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
