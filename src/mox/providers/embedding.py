"""The client of an embeddings API: one request at a time, each booked before it is sent."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mox.errors import BudgetError, ProviderError, SpecError
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
LONGEST_ASKED_S = 300.0
"""The longest wait that a provider is granted: so that all attempts' together are less than what
a stage may stand still for (1800 s, where nobody sets another time)."""
UNKNOWN_COUNT = 1.5
"""Tokens that another provider may count where cl100k counts one, until its first answer says."""
AROUND = 4
"""Tokens around a text, at most: BERT's vocabularies add two."""
SEGMENT = 50_000
"""Characters counted at once: bpe-openai isn't made for 1,000,000."""


class ApiEmbedder:
    """A client of one model. Nothing is sent but by `buy`, and so nothing is left unbooked."""

    def __init__(self, spec: ApiEmbed) -> None:
        self._spec = spec
        self.dims = spec.size
        self._seen = 0.0
        """The most tokens that the provider counted where cl100k counts one; 0 before it did."""

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

    def sent(self, texts: Sequence[str]) -> list[str]:
        """See `PaidEmbedder`."""
        reads = self._spec.most_tokens
        if not self._spec.truncate or reads is None:
            return list(texts)
        return [self._cut(text, reads) for text in texts]

    def buy(self, texts: Sequence[str], book: Book, call: Call) -> Bought:
        """See `PaidEmbedder`."""
        import numpy as np

        texts = self.sent(texts[: self._spec.batch])
        counts = [int(count) for count in self.tokens(texts)]
        sizes = map(self._let_in, map(len, texts), counts)
        taken = _first(list(sizes), self._most)
        while True:
            batch = texts[:taken]
            if not any(batch):
                return Bought(np.zeros((taken, self.dims), dtype=np.float32), Usage())
            try:
                found, most = self._asked(batch, counts[:taken], book, call)
                break
            except BudgetError:
                if taken == 1:
                    raise
                taken //= 2  # what is left may still pay for fewer
        vectors = np.zeros((taken, self.dims), dtype=np.float32)
        vectors[[bool(text) for text in batch]] = unit(found.vectors)
        if found.usage is not None:
            return Bought(vectors, found.usage)
        return Bought(vectors, Usage(input_tokens=sum(counts[:taken])), Usage(input_tokens=most))

    def _asked(
        self, batch: list[str], counts: list[int], book: Book, call: Call
    ) -> tuple[Embedded, int]:
        """One request, made again while that may help, and the most tokens of it. Each attempt is
        booked by itself."""
        texts, tokens = [text for text in batch if text], sum(counts)
        most, characters = self._at_most(texts, tokens), sum(map(len, texts))
        endpoint = self._endpoint
        for attempt in range(ATTEMPTS):
            booking = book.before(call, input_tokens=most, max_output_tokens=0)
            try:
                found: Embedded = endpoint.embed(texts, self._let_in(characters, tokens))
            except ProviderError as error:
                book.after(booking, error.usage, error=error.kind, billable=error.billable)
                if error.kind not in TRANSIENT or attempt + 1 == ATTEMPTS:
                    raise
                time.sleep(_wait_s(attempt, error))
            except BaseException:
                if endpoint.sent:
                    book.after(booking, None, error="cancelled")
                else:  # the pool had no turn for it, or it was interrupted while it waited for one
                    book.release(booking)
                raise
            else:
                book.after(booking, found.usage)
                if found.usage is not None:
                    self._seen = max(self._seen, found.usage.input_tokens / max(1, tokens))
                return found, most
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _at_most(self, texts: list[str], tokens: int) -> int:
        """No fewer tokens than will be billed for texts that are `tokens` by cl100k.

        OpenAI bills by cl100k itself. What another provider counted before says nothing sure of
        the next text; but in all usual vocabularies a token is at least one byte of it.
        """
        if self._spec.kind == "openai":
            return tokens
        return sum(len(text.encode("utf-8", "replace")) + AROUND for text in texts)

    def _let_in(self, characters: int, tokens: int) -> int:
        """What a limiter counts for so much text, as far as is known: the provider's tokens, or a
        quarter of the characters, as OpenAI's does whatever the tokens are."""
        usual = 1.0 if self._spec.kind == "openai" else self._seen or UNKNOWN_COUNT
        return max(math.ceil(tokens * max(1.0, usual)), math.ceil(characters / 4))

    def _cut(self, text: str, reads: int) -> str:
        """A text as far as the model reads."""
        ids: list[int] = []
        for begin in range(0, len(text), SEGMENT):
            ids += self._vocabulary.encode(text[begin : begin + SEGMENT])
            if len(ids) > reads:
                break
        else:
            return text
        sent = b"".join(self._vocabulary.token_bytes[token] for token in ids[:reads])
        # The last token may end within a character: what is left of that one is dropped.
        return sent.decode("utf-8", errors="ignore")

    def _count(self, text: str) -> int:
        encode = self._vocabulary.encode
        parts = range(0, len(text), SEGMENT)
        return sum(len(encode(text[begin : begin + SEGMENT])) for begin in parts)

    @property
    def _most(self) -> float:
        """Tokens of one request. A larger one than a minute's limit would never be let in."""
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


def _first(sizes: Sequence[int], most: float) -> int:
    """How many of the first texts one request of `most` tokens takes; one at least."""
    total = 0
    for at, size in enumerate(sizes):
        total += size
        if at and total > most:
            return at
    return len(sizes)


def _wait_s(attempt: int, error: ProviderError) -> float:
    """Seconds before the next attempt: as many as the provider asks for.

    Raises:
        ProviderError: it asks for more than LONGEST_ASKED_S.
    """
    asked = error.retry_after_s
    if asked is None:
        usual: float = min(FIRST_WAIT_S * 2.0**attempt, LONGEST_WAIT_S)
        return usual * random.uniform(0.5, 1.5)  # noqa: S311
    if asked <= LONGEST_ASKED_S:
        return asked
    raise ProviderError(
        f"{error.message} It asks to wait {asked:,.0f} s; a run waits {LONGEST_ASKED_S:.0f} s at"
        " most.",
        mend="run again after that time: what is paid for is kept.",
        kind=error.kind,
        status=error.status,
        retry_after_s=asked,
        request_id=error.request_id,
    ) from None


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
