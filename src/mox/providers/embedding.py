"""The client of an embeddings API: one request at a time, each booked before it is sent."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mox.errors import BudgetError, MoxError, ProviderError, SpecError
from mox.types.providers import TRANSIENT, Bought, Call, Embedded, Usage

if TYPE_CHECKING:
    from mox.providers.embedding_spec import ApiEmbed
    from mox.types import Floats, Ints
    from mox.types.providers import Book
    from mox.vocabulary import Vocabulary

REQUEST_TOKENS = 300_000
"""Of all texts of a request, at most: OpenAI's limit. A text's own limit is far below."""
ATTEMPTS = 5
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0
"""Between attempts, doubled each time, unless the provider says how long; times 0.5 to 1.5."""
UNKNOWN_COUNT = 1.5
"""Tokens that another provider may count where cl100k counts one, until its first answer says."""
SEGMENT = 50_000
"""Characters counted at once: bpe-openai isn't made for 1,000,000."""


class ApiEmbedder:
    """A client of one model. Nothing is sent but by `buy`, and so nothing is left unbooked."""

    def __init__(self, spec: ApiEmbed) -> None:
        self._spec = spec
        self.dims = spec.size
        self._per_count = 1.0 if spec.kind == "openai" else UNKNOWN_COUNT

    def embed(self, texts: Sequence[str]) -> Floats:
        """Refused: what costs money is bought.

        Raises:
            SpecError: always.
        """
        raise SpecError(
            f"{self._spec.kind} was asked for vectors without a book to write their cost in.",
            mend="ask by `buy`, with a ledger.",
        )

    def tokens(self, texts: Sequence[str]) -> Ints:
        """(texts,) tokens of each text by cl100k: what OpenAI's models are billed by. Another
        provider's own count may differ."""
        import numpy as np

        return np.fromiter((self._count(text) for text in texts), np.int32, len(texts))

    def buy(self, texts: Sequence[str], book: Book, call: Call) -> Bought:
        """See `PaidEmbedder`."""
        import numpy as np

        counts = [int(count) for count in self.tokens(texts)]
        taken = _first(counts, self._spec.batch, most=self._most_tokens)
        while True:
            batch = texts[:taken]
            asked = [self._cut(text) for text in batch if text]
            if not asked:
                return Bought(np.zeros((taken, self.dims), dtype=np.float32), Usage())
            try:
                found = self._sent(asked, sum(counts[:taken]), book, call)
                break
            except BudgetError:
                if taken == 1:
                    raise
                taken //= 2  # what is left may still pay for fewer
        vectors = np.zeros((taken, self.dims), dtype=np.float32)
        vectors[[bool(text) for text in batch]] = unit(found.vectors)
        return Bought(vectors, found.usage)

    def _sent(self, texts: list[str], tokens: int, book: Book, call: Call) -> Embedded:
        """One request, made again while that may help. Each attempt is booked by itself."""
        for attempt in range(ATTEMPTS):
            most = math.ceil(tokens * self._per_count)
            booking = book.before(call, input_tokens=most, max_output_tokens=0)
            try:
                # OpenAI's limiter counts a quarter of the characters, whatever the tokens are.
                counted = max(most, sum(map(len, texts)) // 4)
                found: Embedded = self._endpoint.embed(texts, counted)
            except ProviderError as error:
                book.after(booking, error.usage, error=error.kind, billable=error.billable)
                if error.kind not in TRANSIENT or attempt + 1 == ATTEMPTS:
                    raise
                time.sleep(_wait_s(attempt, error.retry_after_s))
            except BaseException as error:
                # Ours: the pool had no turn for it, and nothing was sent.
                sent = not isinstance(error, MoxError)
                book.after(booking, None, error="cancelled", billable=sent)
                raise
            else:
                book.after(booking, found.usage)
                if self._spec.kind != "openai" and tokens:
                    self._per_count = max(1.0, found.usage.input_tokens / tokens)
                return found
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _cut(self, text: str) -> str:
        """A text as it is sent: as far as the model reads, where it may be cut."""
        reads = self._spec.most_tokens
        if not self._spec.truncate or reads is None or self._count(text) <= reads:
            return text
        ids = self._vocabulary.encode(text[:SEGMENT])[:reads]
        sent = b"".join(self._vocabulary.token_bytes[token] for token in ids)
        # The last token may end within a character: what is left of that one is dropped.
        return sent.decode("utf-8", errors="ignore")

    def _count(self, text: str) -> int:
        encode = self._vocabulary.encode
        parts = range(0, len(text), SEGMENT)
        return sum(len(encode(text[begin : begin + SEGMENT])) for begin in parts)

    @property
    def _most_tokens(self) -> float:
        """Of one request. One that is larger than a minute's limit would never be let in."""
        limits = self._spec.limits
        stated = (limits.tokens_per_min or limits.input_per_min) if limits else None
        return min(REQUEST_TOKENS, stated or REQUEST_TOKENS)

    @property
    def _vocabulary(self) -> Vocabulary:
        from mox.vocabulary import vocabulary

        return vocabulary("cl100k_base")

    @cached_property
    def _endpoint(self) -> Any:
        from mox.providers.embedding_wire import Endpoint

        return Endpoint(self._spec)


def _first(counts: Sequence[int], batch: int, *, most: float) -> int:
    """How many of the first texts one request of `most` tokens takes; one at least."""
    total = 0
    for at, count in enumerate(counts[:batch]):
        total += count
        if at and total > most:
            return at
    return min(len(counts), batch)


def _wait_s(attempt: int, asked: float | None) -> float:
    """Seconds before the next attempt."""
    if asked is not None:
        return min(asked, LONGEST_WAIT_S)
    usual: float = min(FIRST_WAIT_S * 2.0**attempt, LONGEST_WAIT_S)
    return usual * random.uniform(0.5, 1.5)  # noqa: S311


def unit(vectors: Floats) -> Floats:
    """(texts, dims) the same at length 1; all zero stays all zero.

    A vector that is not finite stays so, for `mox.embedding.check` to refuse.
    """
    import numpy as np

    length = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    made: Floats = np.divide(
        vectors, length, out=np.zeros_like(vectors, dtype=np.float32), where=length != 0,
        casting="unsafe",
    )  # fmt: skip
    return made
