"""What every embedder is held to, ours and third parties'.

class TestMine(EmbedderContract):
    @pytest.fixture
    def spec(self):
        return MySpec()
"""
# ruff: noqa: S101

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

from mox.embedding import embedders
from mox.embedding.check import verify

if TYPE_CHECKING:
    from mox.spec import Spec
    from mox.types import Embedder, Floats, Ints
    from mox.types.providers import Call, ErrorKind, Usage

TEXTS = (
    "",
    " ",
    "\n\t\r\n",
    "\x00",
    "\ufeff\u200b\u2060",
    "e\u0301 is \u00e9",
    "Z\u0351\u036b\u0343a\u0321l\u0358g\u031co\u033c",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 and \U0001f1ea\U0001f1fa",
    "\u05e9\u05dc\u05d5\u05dd \u202eolleh\u202c",
    "\u6771\u4eac\u90fd\u306e\u5929\u6c17",
    "\U0010ffff\ue000\ufffd",
    "x" * 3000,
    "The cat sat on the mat.",
    "Interest rates rose by half a point.",
    "word " * 700,
)
"""Texts that a corpus may hold: empty, blank, controls, every kind of Unicode, very long."""


def opened(spec: Spec) -> Embedder:
    """A loaded embedder; one that is paid is asked through a book in which nothing costs."""
    found = embedders[spec](spec)
    paid = embedders.entry(spec.kind).traits.get("paid")
    return _Free(found, paid(spec)) if paid else found


class _Free:
    """A `PaidEmbedder` asked as any other is, request by request."""

    def __init__(self, embedder: Any, call: Call) -> None:
        self._embedder, self._call = embedder, call
        self.dims: int = embedder.dims

    def embed(self, texts: Sequence[str]) -> Floats:
        import numpy as np

        parts = [np.empty((0, self.dims), dtype=np.float32)]
        while left := texts[sum(map(len, parts)) :]:
            parts.append(self._embedder.buy(left, self, self._call).vectors)
            assert len(parts[-1]), "a request brings one vector at least"
        return np.concatenate(parts)

    def tokens(self, texts: Sequence[str]) -> Ints:
        found: Ints = self._embedder.tokens(texts)
        return found

    def before(self, call: Call, *, input_tokens: int, max_output_tokens: int) -> str:
        return ""

    def after(
        self,
        booking: str,
        usage: Usage | None,
        *,
        error: ErrorKind | None = None,
        billable: bool | None = None,
    ) -> None:
        return

    def release(self, booking: str) -> None:
        return


class EmbedderContract:
    """Override the fixture `spec`; the rest comes from the registry."""

    @pytest.fixture
    def spec(self) -> Spec:
        """Settings of the embedder under test."""
        raise NotImplementedError

    @pytest.fixture
    def embedder(self, spec: Spec) -> Embedder:
        """The loaded embedder."""
        return opened(spec)

    @pytest.fixture
    def reads(self, spec: Spec) -> int | None:
        """How many tokens it says that it reads."""
        limit: int | None = embedders.entry(spec.kind).traits["reads"](spec)
        return limit

    def test_each_text_has_a_float32_vector_of_length_one_or_zero(
        self, embedder: Embedder, spec: Spec
    ) -> None:
        verify(embedder.embed(TEXTS), len(TEXTS), embedder.dims, name=spec.kind)

    def test_no_texts_have_no_vectors(self, embedder: Embedder, spec: Spec) -> None:
        verify(embedder.embed([]), 0, embedder.dims, name=spec.kind)
        assert embedder.tokens([]).shape == (0,)

    def test_a_text_has_one_vector_for_ever(self, spec: Spec) -> None:
        first, second = (opened(spec).embed(TEXTS) for _ in range(2))
        assert first.tobytes() == second.tobytes()

    def test_the_neighbours_of_a_text_do_not_change_its_vector(self, embedder: Embedder) -> None:
        together = embedder.embed(TEXTS)
        turned = embedder.embed(TEXTS[::-1])[::-1]
        assert abs(together - turned).max() <= 1e-5
        for row, text in enumerate(TEXTS):
            assert abs(embedder.embed([text])[0] - together[row]).max() <= 1e-5

    def test_texts_of_different_words_differ(self, embedder: Embedder) -> None:
        cat, rates = embedder.embed(["The cat sat on the mat.", "Interest rates rose by a point."])
        assert float(cat @ rates) < 0.9

    def test_tokens_are_counted_for_each_text_by_itself(self, embedder: Embedder) -> None:
        counts = embedder.tokens(TEXTS)
        assert counts.shape == (len(TEXTS),)
        assert counts.dtype.kind == "i"
        assert list(counts) == [int(embedder.tokens([text])[0]) for text in TEXTS]
        one, three = embedder.tokens(["apple", "apple apple apple"])
        assert three == one + 2

    def test_it_reads_as_far_as_it_says_and_no_further(
        self, embedder: Embedder, reads: int | None
    ) -> None:
        size = 3000 if reads is None else reads
        words = size - int(embedder.tokens(["apple"])[0]) + 1
        full = "apple " * words
        last_word_changed = "apple " * (words - 1) + "zebra"
        longer = full + "zebra " * words
        base, changed, beyond = embedder.embed([full, last_word_changed, longer])
        assert abs(base - changed).max() > 1e-5
        if reads is None:
            assert abs(base - beyond).max() > 1e-3
        else:
            assert abs(base - beyond).max() <= 1e-5

    def test_its_fingerprint_names_what_its_vectors_depend_on(self, spec: Spec) -> None:
        found = embedders.fingerprint(spec)
        assert found
        assert all(isinstance(part, str) and part for pair in found.items() for part in pair)
        assert found == embedders.fingerprint(spec)
