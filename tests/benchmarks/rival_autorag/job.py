"""The job that both sides do: known-item questions over texts of Python's own manual.

Each question is a sentence of one text with about half of its words left out, so that no
language model and no person is needed to label it: the sentence is the evidence. Deterministic
for one Python release; `pydoc_data.topics` differs between patch releases, so both sides read
the files that this writes and neither reads the topics itself.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from pathlib import Path
from typing import Any, NamedTuple

SIZES = (128, 256)
"""Tokens per chunk."""
OVERLAP = 16
KEEP = (5, 10)
"""How many hits BM25 and dense search keep."""
FUSED = 5
"""How many hits are kept after fusion."""
CONSTANTS = range(4, 81)
"""Of reciprocal rank fusion."""
ENOUGH = 1900
"""Characters after which a text ends with its paragraph."""


class Job(NamedTuple):
    """How large a job: the issue's own, or a small one to try the script with."""

    documents: int = 200
    questions: int = 100
    weights: int = 101

    def weight_values(self) -> list[float]:
        """The weights of dense search in a weighted fusion, 0 to 1."""
        if self.weights == 1:
            return [0.5]
        return [round(at / (self.weights - 1), 6) for at in range(self.weights)]

    @property
    def configurations(self) -> int:
        return len(SIZES) * (4 + 2 + len(CONSTANTS) + 2 * self.weights)


def write(folder: Path, job: Job) -> None:
    """Write documents.jsonl and questions.jsonl, in the layout of Mox' `evidence` corpora."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(7)  # noqa: S311  the same questions each time
    texts = _texts()
    chance.shuffle(texts)
    texts = texts[: job.documents]
    questions = []
    for name, text in texts:
        sentences = list(re.finditer(r"[A-Z][^.!?\n]{60,260}[.!?]", text))
        if sentences and len(questions) < job.questions:
            questions.append(_question(len(questions), name, chance.choice(sentences), chance))
    _write(folder / "documents.jsonl", [{"id": name, "text": text} for name, text in texts])
    _write(folder / "questions.jsonl", questions)


def subset(corpus: Path, folder: Path, documents: int, questions: int) -> Path:
    """The first documents of a corpus and the first questions about them, for the faults."""
    kept = _read(corpus / "documents.jsonl")[:documents]
    names = {document["id"] for document in kept}
    asked = [q for q in questions_of(corpus) if q["evidence"][0]["document"] in names]
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "documents.jsonl", kept)
    _write(folder / "questions.jsonl", asked[:questions])
    return folder


def questions_of(folder: Path) -> list[dict[str, Any]]:
    return _read(folder / "questions.jsonl")


def question_hashes(folder: Path) -> set[str]:
    """The questions' texts as the probe notes them."""
    return {
        hashlib.blake2b(question["text"].encode(), digest_size=8).hexdigest()
        for question in questions_of(folder)
    }


def _texts() -> list[tuple[str, str]]:
    """Each topic in pieces of whole paragraphs, white space made single."""
    from pydoc_data.topics import topics

    found: list[tuple[str, str]] = []

    def close(name: str, paragraphs: list[str]) -> None:
        found.append((f"{name}-{len(found)}.txt", "\n\n".join(paragraphs)))

    for name in sorted(topics):
        held: list[str] = []
        for paragraph in re.split(r"\n\s*\n", topics[name]):
            if len(paragraph.strip()) > 60:
                held.append(re.sub(r"\s+", " ", paragraph.strip()))
            if sum(map(len, held)) > ENOUGH:
                close(name, held)
                held = []
        if sum(map(len, held)) > 400:
            close(name, held)
    return found


def _question(at: int, name: str, place: re.Match[str], chance: random.Random) -> dict[str, Any]:
    words = re.findall(r"[A-Za-z_]+", place.group())
    kept = [word for word in words if chance.random() < 0.55] or words
    evidence = {"document": name, "start": place.start(), "end": place.end()}
    return {
        "id": f"q{at:03d}",
        "text": " ".join(kept),
        "evidence": [evidence],
        "answer": place.group(),
    }


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
