"""What every chunker is held to; subclass `ChunkerContract` for your own."""
# ruff: noqa: S101

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from mox.chunking import chunkers
from mox.chunking.cut import chunk_document, size_of
from mox.chunking.tokenizers import open_tokenizer
from mox.spec import Spec
from mox.types import Chunk, Document, Tokenizer

HOSTILE = {
    "equal-paragraphs": "The same paragraph again, word for word.\n\n" * 12,
    "ab-repeated": "ab " * 300,
    "crlf": "A line, and another.\r\nThen a third.\r\n\r\nA new paragraph.\r\n" * 6,
    "lone-cr": "A line, and another.\rThen a third.\r\rA new paragraph.\r" * 6,
    "nul": "Before\x00after the NUL, and \x00\x00 two more of them. " * 8,
    "zwj-emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466" * 12,
    "emoji-in-prose": "We met \U0001f44b\U0001f3fd in the rain ☔️ and laughed \U0001f602. " * 10,
    "stacked-marks": "Z\u0351\u036b\u0343\u036a\u0302a\u0337\u0321\u033clgo\u0313\u0319\u0347 "
    * 10,
    "nfd-beside-nfc": "Caf\u00e9, cafe\u0301; na\u00efve, nai\u0308ve; \u00c5ngstr\u00f6m. " * 8,
    "flags": "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7\U0001f1ef\U0001f1f5" * 12,
    "chinese": "檢索增強生成把文件切成小塊再找出最相關的段落然後交給模型回答" * 5,
    "bidi": "\u202bמודל מחזיר\u202c نتيجة البحث \u200f(א)\u200e and back. " * 8,
    "thai-devanagari": "การค้นคืนสารสนเทศต้องตัดข้อความ प्रश्नों के उत्तर खोजे जाते हैं " * 4,
    "outside-bmp": "\U0001d4d0\U0001d4d1\U0001d4d2 = \U0001d538\U0001d539 + \U00020000\U00020001 "
    * 10,
    "line-separators": "One\u2028two\u2029three\x85four\x0bfive\x0csix seven. " * 8,
    "odd-spaces": "One\u00a0two\u200bthree\u3000four\u2009five \u00a0 six. " * 8,
    "space-at-edges": " \t\n  \n Text between much white space. \n\n\n \t  ",
    "bom-and-special-token": "\ufeffText<|endoftext|>more<|fim_prefix|> text <|endofprompt|>. " * 5,
    "one-long-word": "abcdefghij" * 200,
    "growing-spaces": "".join(f"word{' ' * length}" for length in range(1, 40)),
}
"""Texts that make chunkers cut characters in half, lose offsets or exceed their size.

A lone surrogate isn't among them: it is no text, and parsers refuse it.
"""


class ChunkerContract:
    """Override `spec`, with the smallest size that makes sense; and what else differs."""

    covers = True
    """Whether every character but white space stands in some chunk."""
    media_type = "text/plain"
    """What the documents are said to be."""

    @pytest.fixture
    def spec(self) -> Spec:
        """The settings of a chunker; some 32 tokens per chunk, so that short texts are cut."""
        raise NotImplementedError("override the fixture `spec`")

    @pytest.fixture
    def tokenizer(self) -> Tokenizer:
        return open_tokenizer("cl100k")

    @pytest.fixture(params=HOSTILE)
    def hostile(self, request: pytest.FixtureRequest) -> Document:
        return self.document(HOSTILE[request.param])

    def document(self, text: str) -> Document:
        return Document("the-document", text, "", self.media_type)

    def cut(self, spec: Spec, document: Document, tokenizer: Tokenizer) -> list[Chunk]:
        """What the chunker itself yields, unchecked."""
        return list(chunkers[spec](spec, document, tokenizer))

    def test_its_settings_survive_being_written_down(self, spec: Spec) -> None:
        assert chunkers.parse(spec.model_dump(mode="json")) == spec

    def test_it_says_what_its_results_depend_on(self, spec: Spec) -> None:
        found = chunkers.fingerprint(spec)
        assert found
        assert all(isinstance(part, str) for pair in found.items() for part in pair)

    def test_spans_are_exact(self, spec: Spec, hostile: Document, tokenizer: Tokenizer) -> None:
        context = chunkers.entry(spec.kind).traits.get("context")
        chunks = self.cut(spec, hostile, tokenizer)
        assert chunks
        for chunk in chunks:
            assert chunk.document == hostile.id
            bounds = [bound for span in chunk.spans for bound in span]
            assert bounds == sorted(bounds)
            assert 0 <= bounds[0] < bounds[-1] <= len(hostile.text)
            assert context or chunk.text == _slices(hostile.text, chunk.spans)

    def test_no_size_is_exceeded(self, spec: Spec, hostile: Document, tokenizer: Tokenizer) -> None:
        size = size_of(spec)
        if size is None:
            pytest.skip(f"{spec.kind} has no size")
        document_tokens = chunkers.entry(spec.kind).traits.get("counts") == "document"
        # A token that ends where another does is a later part of one character.
        ends = np.unique(tokenizer.ends(hostile.text))
        for chunk in self.cut(spec, hostile, tokenizer):
            if document_tokens:
                tokens = sum(
                    int(((ends > start) & (ends <= end)).sum()) for start, end in chunk.spans
                )
            else:
                tokens = tokenizer.count(chunk.text)
            assert tokens <= size

    def test_no_character_is_lost(
        self, spec: Spec, hostile: Document, tokenizer: Tokenizer
    ) -> None:
        if not self.covers:
            pytest.skip(f"{spec.kind} leaves text out on purpose")
        covered = np.zeros(len(hostile.text), dtype=bool)
        for chunk in self.cut(spec, hostile, tokenizer):
            for start, end in chunk.spans:
                covered[start:end] = True
        lost = [c for c, kept in zip(hostile.text, covered, strict=True) if not kept]
        assert not "".join(lost).strip()

    def test_chunks_come_in_the_order_of_the_text(
        self, spec: Spec, hostile: Document, tokenizer: Tokenizer
    ) -> None:
        places = [
            (chunk.spans[0][0], chunk.spans[-1][1]) for chunk in self.cut(spec, hostile, tokenizer)
        ]
        assert all(here <= there for here, there in itertools.pairwise(places))

    def test_what_it_yields_passes_the_check_of_every_run(
        self, spec: Spec, hostile: Document, tokenizer: Tokenizer
    ) -> None:
        assert chunk_document(spec, hostile, tokenizer)

    def test_the_same_text_is_cut_the_same_way(
        self, spec: Spec, hostile: Document, tokenizer: Tokenizer
    ) -> None:
        assert self.cut(spec, hostile, tokenizer) == self.cut(spec, hostile, tokenizer)

    def test_no_text_gives_no_chunk(self, spec: Spec, tokenizer: Tokenizer) -> None:
        assert self.cut(spec, self.document(""), tokenizer) == []

    def test_white_space_gives_no_chunk(self, spec: Spec, tokenizer: Tokenizer) -> None:
        assert chunk_document(spec, self.document(" \r\n\t\n\u3000\n "), tokenizer) == []

    def test_line_ends_are_kept_as_they_are(self, spec: Spec, tokenizer: Tokenizer) -> None:
        document = self.document("First line,\r\nsecond line.\rThird\nline.")
        for chunk in self.cut(spec, document, tokenizer):
            for end in ("\r\n", "\r", "\n"):
                assert chunk.text.count(end) >= _slices(document.text, chunk.spans).count(end)


def _slices(text: str, spans: Sequence[tuple[int, int]]) -> str:
    return "".join(text[start:end] for start, end in spans)
