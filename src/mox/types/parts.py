"""The protocols of the other parts of a pipeline: what each is given, and what it answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from mox.types.arrays import Floats, Ints
    from mox.types.corpus import Chunk, Corpus, Document
    from mox.types.providers import Book, Bought, Call
    from mox.types.search import Hits


class Tokenizer(Protocol):
    """Sizes and cuts, in tokens of a named vocabulary. Exact on any text without surrogates."""

    name: str

    def count(self, text: str) -> int:
        """Number of tokens of a text by itself."""

    def ends(self, text: str) -> Ints:
        """(tokens,) the code-point offset at which each token of `text` ends.

        A character split over several tokens ends with the first of them.
        """


class Embedder(Protocol):
    """A loaded model."""

    dims: int

    def embed(self, texts: Sequence[str]) -> Floats:
        """(texts, dims) float32 vectors of length 1; all zero is legal and comes last."""

    def tokens(self, texts: Sequence[str]) -> Ints:
        """(texts,) tokens of each text as this model counts them, special tokens included."""


class PaidEmbedder(Embedder, Protocol):
    """A model that costs money: what it is asked goes through a book."""

    def sent(self, texts: Sequence[str]) -> list[str]:
        """Texts as they are sent and billed: cut off where the model stops reading, if they may be
        (`truncate`)."""

    def buy(self, texts: Sequence[str], book: Book, call: Call) -> Bought:
        """Vectors of the first texts: as many as one request takes, and as can be paid for.

        Args:
            texts: one at least.
            call: what the book is told.

        Raises:
            BudgetError: what is left doesn't pay for the first text. Nothing was sent.
            ProviderError: it was asked, more than once where that may help, and failed.
        """


class CorpusLoader(Protocol):
    """Reads a labelled corpus. `base` is the folder that relative paths start from.

    What reads its documents alone may be registered with it, as `documents`: a release is then
    asked whatever became of the questions.
    """

    def __call__(self, spec: Any, base: Path, /) -> Corpus: ...


class Chunker(Protocol):
    """Cuts one document. The caller verifies spans, order and size.

    The document's `uri` is empty here: chunks are stored by what they are cut from, its metadata
    included, and not by where that lies.
    """

    def __call__(
        self, spec: Any, document: Document, tokenizer: Tokenizer, /
    ) -> Iterator[Chunk]: ...


class Retriever(Protocol):
    """Searches texts themselves, without vectors: BM25 and its like.

    Returns (queries, texts-at-most k) rows and scores, unordered ties allowed; what scores
    nothing is left out by -1.
    """

    def __call__(
        self, spec: Any, texts: Sequence[str], queries: Sequence[str], /, *, k: int
    ) -> tuple[Ints, Floats]: ...


class Fusion(Protocol):
    """Fuses several hit lists of the same queries into one score matrix' best k."""

    def __call__(self, spec: Any, lists: Sequence[Hits], /, *, k: int) -> Hits: ...
