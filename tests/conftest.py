"""What all tests share: where the labelled corpora lie, and a state folder of one's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of labelled corpora beside the repository; absent, a failure in CI only."""
    if not SHARED.is_dir():
        reason = "the labelled corpora (shared/data beside the repository) are not here"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return SHARED


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has a state folder of its own, and no settings of the developer's."""
    for name in [name for name in os.environ if name.startswith(("MOX_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    home = tmp_path / "state"
    monkeypatch.setenv("MOX_HOME", str(home))
    return home


VOCABULARY = (
    "river mountain copper lantern harbour winter violin saddle orchard engine marble"
    " thunder candle falcon meadow anchor silver bridge garden hammer island jacket kettle"
    " ladder mirror needle ocean pencil rabbit spider temple umbrella valley window zebra"
    " barrel canyon desert"
)
WORDS = VOCABULARY.split()


def write_corpus(folder: Path, documents: int = 12, paragraphs: int = 6) -> Path:
    """A small labelled corpus: each question is answered by one paragraph of one document.

    Deterministic, without random numbers: a paragraph is a run of words that its number picks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts, questions = [], []
    for at in range(documents):
        parts = []
        for row in range(paragraphs):
            picked = [WORDS[(at * 7 + row * 11 + n * (at + 3)) % len(WORDS)] for n in range(12)]
            parts.append(f"Paragraph {row} of book {at}: {' '.join(picked)}.")
        text = "\n\n".join(parts)
        texts.append({"id": f"book-{at:02d}", "text": text})
        for row in (1, 4):
            start = text.index(parts[row])
            span = {"document": f"book-{at:02d}", "start": start, "end": start + len(parts[row])}
            asked = " ".join(parts[row].split()[5:9])
            questions.append(
                {
                    "id": f"q-{at:02d}-{row}",
                    "text": f"where are {asked} in book {at}",
                    "evidence": [{**span, "text": parts[row]}],
                    "split": "dev" if at % 2 else "test",
                }
            )
    for name, rows in (("documents", texts), ("questions", questions)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def corpus_writer() -> Callable[..., Path]:
    """`write_corpus`, for fixtures that outlive a test or want another size."""
    return write_corpus


@pytest.fixture
def small_corpus(tmp_path: Path) -> Path:
    """The folder of a labelled corpus of 12 documents and 24 questions."""
    return write_corpus(tmp_path / "corpus")


@pytest.fixture(scope="session")
def install(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Installs a distribution of `tests/plugins` into a folder, to put on a path."""

    def installed(name: str) -> Path:
        source = tmp_path_factory.mktemp(name) / "source"
        shutil.copytree(Path(__file__).parent / "plugins" / name, source)
        target = source.parent / "installed"
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps",
             "--no-build-isolation", "--disable-pip-version-check", "--target", str(target),
             str(source)],
            check=True,
            timeout=120,
            capture_output=True,
        )  # fmt: skip
        return target

    return installed


@pytest.fixture(scope="session")
def toy_plugin(install: Callable[[str], Path]) -> Path:
    """The folder of a third party's distribution."""
    return install("toy")
