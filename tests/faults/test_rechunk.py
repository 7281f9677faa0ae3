"""Cutting the same text anew embeds nothing twice: a vector belongs to a text, not to a chunk.

Counted two ways that know nothing of each other: by what the sidecars say was embedded, and by
an embedder of a third party that writes down each text that it is given.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mox.pipeline.codec import unpack_chunks
from mox.pipeline.store import Store

pytestmark = pytest.mark.timeout(400)


class Bench:
    """A corpus of short paragraphs, and what embedding it took so far."""

    def __init__(self, sweep: Any, folder: Path) -> None:
        self.sweep = sweep
        self.witness = folder / "witness.txt"
        self.witness.touch()
        sweep.environment |= {"TOY_COUNTED": str(self.witness), "MOX_WORKERS": "1"}

    def run(self, *chunks: str) -> dict[str, Any]:
        lines = "\n".join(f"    - {chunk}" for chunk in chunks)
        self.sweep.file.write_text(
            f"name: counted\ncorpus: {{kind: evidence, path: corpus}}\naxes:\n  chunk:\n{lines}\n"
            "  embed: [{kind: toy-counted}]\n  index: [{kind: exact}]\n"
            "  search: [{kind: dense, k: 2}]\nmeasure: [recall@2]\n"
        )
        document: dict[str, Any] = self.sweep.run()
        assert all(trial["status"] == "FINISHED" for trial in document["trials"])
        return document

    def embedded(self) -> dict[str, int]:
        """Texts that each embedding says it embedded, by key."""
        store = Store(self.sweep.home)
        held = [ref for ref in store.held() if ref[0] in ("embed", "queries")]
        return {key: store.sidecar(kind, key)["facts"]["embedded"] for kind, key in held}

    def given(self) -> Counter[str]:
        """How often the embedder was given each text."""
        return Counter(self.witness.read_text(encoding="utf-8").splitlines())

    def texts(self) -> set[str]:
        """All distinct texts of all chunks and questions, as the witness writes them."""
        store = Store(self.sweep.home)
        chunks = [store.read(*ref) for ref in store.held() if ref[0] == "chunk"]
        found = {text for made in chunks for text in unpack_chunks(made.arrays).texts}
        lines = (self.sweep.file.parent / "corpus" / "questions.jsonl").read_text().splitlines()
        return {repr(text) for text in (*found, *(json.loads(line)["text"] for line in lines))}


@pytest.fixture
def bench(sweep: Any, toy_plugin: Path, tmp_path: Path) -> Bench:
    sweep.environment["PYTHONPATH"] = str(toy_plugin)
    return Bench(sweep, tmp_path)


def test_the_same_chunks_from_other_chunkers_and_sizes_embed_nothing(bench: Bench) -> None:
    # A document of some 160 tokens is one chunk whoever cuts it, if the size allows for it.
    bench.run("{kind: whole}")
    first, given = bench.embedded(), bench.given()
    assert sum(first.values()) == 12 + 24, "12 documents, 24 questions"
    assert given.total() == 36
    document = bench.run("{kind: recursive, size: [400, 800]}", "{kind: fixed, size: 500}")
    assert document["stages"]["by_kind"]["chunk"]["run"] == 3, "the text was cut anew"
    assert document["stages"]["by_kind"]["embed"]["run"] == 3, "each chunking has its vectors"
    again = {key: made for key, made in bench.embedded().items() if key not in first}
    assert list(again.values()) == [0, 0, 0]
    assert bench.given() == given


def test_only_texts_that_are_new_are_embedded(bench: Bench) -> None:
    bench.run("{kind: toy-lines, group: 2}")
    before = bench.given()
    # Six paragraphs with empty lines between, 11 lines: by two lines each is a chunk, and by ten
    # the sixth is one again.
    bench.run("{kind: toy-lines, group: [2, 10]}", "{kind: whole}")
    assert set(bench.given()) == bench.texts()
    assert max(bench.given().values()) == 1, "no text was given twice"
    assert sum(bench.embedded().values()) == bench.given().total() > before.total()


def test_a_changed_document_pays_for_itself_only(bench: Bench) -> None:
    bench.run("{kind: toy-lines}")
    given = bench.given()
    file = bench.sweep.file.parent / "corpus" / "documents.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[0]["text"] += "\nOne more line."
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    bench.run("{kind: toy-lines}")
    # A chunk is a line with its end, so the line before the new one has gained an end.
    assert bench.given().total() - given.total() == 2


def test_another_embedder_shares_nothing(bench: Bench) -> None:
    bench.run("{kind: whole}")
    bench.sweep.file.write_text(
        bench.sweep.file.read_text().replace("{kind: toy-counted}", "{kind: toy-letters}")
    )
    document = bench.sweep.run()
    assert document["stages"]["by_kind"]["embed"]["run"] == 1
    assert sorted(bench.embedded().values()) == [12, 12, 24, 24]
