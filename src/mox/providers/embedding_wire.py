"""One request to an embeddings API through OpenAI's SDK, its answer checked by hand.

The SDK hands an answer that is no JSON on as text, and vectors in whatever order and number they
come; so its raw answer is read here.
"""

from __future__ import annotations

import asyncio
import base64
import json
import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mox.errors import ProviderError
from mox.providers.accounts import book_name
from mox.providers.classify import Place, failed, refused, reported, said_in
from mox.providers.embedding_pace import Pace
from mox.providers.keys import key_of, refuse_others
from mox.providers.loop import OwnLoop
from mox.providers.opening import headers_of_the_environment, sdk
from mox.providers.standing import standing
from mox.services import valkey
from mox.settings import settings
from mox.types.providers import Embedded, Usage

if TYPE_CHECKING:
    from mox.providers.embedding_spec import ApiEmbed
    from mox.types import Floats

SIMULATED = "x-mox-simulated"
"""The header by which a simulator of Mox says what it is."""
ACCOUNT = "simulated"
"""The account that a simulator counts for, which takes a name for a key."""


def ready(spec: ApiEmbed) -> str | None:
    """The key of an embedder; asked for when a plan is made, before anything is sent.

    Raises:
        MissingError: the extra isn't installed, or there is no key.
        ProviderError: the key is another provider's.
        EngineError: its limits are to be shared through a Redis that doesn't answer.
    """
    sdk("openai")
    if spec.limits is not None:
        valkey.check(settings())
    key = key_of(spec)
    if key is not None and spec.kind == "openai":
        refuse_others(key, provider="OpenAI", kind=spec.kind)
    return key


class Endpoint:
    """A client of one model on one account; opened when first asked."""

    def __init__(self, spec: ApiEmbed) -> None:
        import httpx2
        import openai

        key = ready(spec) or (ACCOUNT if spec.simulated else None)
        self._spec = spec
        self._keyless = key is None
        self.sent = False
        """Whether the last request came to its turn."""
        self._place = Place(f"{spec.kind} {spec.model} at {spec.host}")
        self._loop = OwnLoop()
        # The address is always said: the SDK would take another from the environment unasked.
        self._client = openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=spec.base_url,
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(
                transport=spec.transport(),
                timeout=httpx2.Timeout(spec.timeout_s, connect=min(10.0, spec.timeout_s)),
            ),
        )
        # Not from the environment: they would go to whatever address this is.
        self._client.organization = self._client.project = None
        self._pace = None
        if spec.limits is not None:
            name = book_name(spec.called, spec.host, spec.model, spec.limits)
            self._pace = Pace(name, spec.limits, redis_url=valkey.url(settings()))
        # Nobody closes an embedder: its connections go with it, or with the process.
        weakref.finalize(self, _close, self._client, self._pace, self._loop)

    def embed(self, texts: Sequence[str], tokens: int) -> Embedded:
        """One attempt at all texts' vectors, in their order; when its account's limits allow it.

        Args:
            tokens: of all texts, as the limiter will count them.

        Raises:
            ProviderError: it failed, or what it brought is not what was asked for.
            PoolError: its account has no turn for it in time.
        """
        self.sent = False
        if self._pace is None:
            found = self._loop.run(self._embed(texts))
        else:
            found = self._loop.run(self._pace.turn(tokens, lambda: self._embed(texts)))
        if isinstance(found, ProviderError):
            raise found
        return found

    async def _embed(self, texts: Sequence[str]) -> Embedded | ProviderError:
        """An error is returned, and raised outside of any `except`: so it carries no exception of
        the SDK's behind it, whose request holds the key."""
        import httpx2
        import openai

        create = self._client.embeddings.with_raw_response.create
        spec = self._spec
        asked: dict[str, Any] = {"dimensions": spec.asked_dims} if spec.asked_dims else {}
        without = headers_of_the_environment("OPENAI_CUSTOM_HEADERS")
        if self._keyless:
            without.append("Authorization")
        asked["extra_headers"] = dict.fromkeys(without, openai.Omit())
        if spec.kind == "compatible":
            asked["encoding_format"] = "float"  # not all of them know base64
        self.sent = True
        try:
            async with asyncio.timeout(spec.timeout_s):
                raw = await create(input=list(texts), model=spec.model, **asked)
        except (openai.OpenAIError, httpx2.TransportError, TimeoutError) as error:
            return self._told(error)
        answer = raw.http_response
        place = replace(self._place, headers=answer.headers, status=answer.status_code)
        try:
            return self._read(answer.content, place, len(texts))
        except ProviderError as error:
            return error

    def _read(self, body: bytes, place: Place, n: int) -> Embedded:
        """What is answered is paid for, of use or not: it isn't asked again. What is no answer (a
        page, broken JSON, an error in its place) may be, where its kind is of those that pass."""
        try:
            said = json.loads(body)
            if isinstance(said, dict) and said.get("error"):  # a gateway's, with a status of 200
                raise reported(place, said_in(said))
            rows = [*said["data"]]
        except (ValueError, KeyError, TypeError):
            page = said_in(body).html  # of a proxy: who sells vectors has made none
            what = "an HTML page" if page else repr(body[:80].decode(errors="replace"))
            billable = False if page else None
            raise failed(
                "malformed", place, f"{what} instead of vectors", billable=billable
            ) from None
        usage = _usage(said)
        self._check_simulated(place, usage)
        if len(rows) != n:
            what = f"it returned {len(rows)} vectors for {n} texts"
            mend = "lower `batch`: its server leaves texts out of a request."
            raise failed("bad_request", place, what, mend=mend, usage=usage, billable=True)
        try:
            vectors = [_vector(row["embedding"]) for row in _in_order(rows)]
        except (ValueError, KeyError, TypeError, AttributeError):
            what = f"its vectors can't be read: {body[:80].decode(errors='replace')!r}"
            mend = "take a server that answers in the shape of OpenAI's embeddings."
            raise failed("unusable", place, what, mend=mend, usage=usage, billable=True) from None
        if wrong := next((len(v) for v in vectors if len(v) != self._spec.size), None):
            what = f"it returned vectors of {wrong} dimensions, not {self._spec.size}"
            mend = f"write `dims: {wrong}`, or use a model that can be shortened."
            raise failed("bad_request", place, what, mend=mend, usage=usage, billable=True)
        left = standing(place.headers)
        return Embedded(_stacked(vectors), usage, place.request_id, left)

    def _check_simulated(self, place: Place, usage: Usage | None) -> None:
        """What is simulated is said to be, and nothing else is."""
        is_one = SIMULATED in place.headers
        if is_one == self._spec.simulated:
            return
        said = "a simulator answers, and the spec doesn't say so"
        other = "no simulator of Mox answers, though the spec says so"
        mend = f"write `simulated: {str(is_one).lower()}`, or another `base_url`."
        if is_one:  # which bills nobody
            raise failed("bad_request", place, said, mend=mend, billable=False)
        raise failed("bad_request", place, other, mend=mend, usage=usage, billable=True)

    def _told(self, error: Exception) -> ProviderError:
        """What the SDK raised, told apart."""
        import httpx2
        import openai

        from mox.providers.attempt import UNSENT

        cause = error.__cause__ or error
        if isinstance(cause, httpx2.ConnectTimeout):
            return failed("timeout_connect", self._place, "no connection in time")
        if isinstance(error, TimeoutError | httpx2.TimeoutException | openai.APITimeoutError):
            said = f"no answer within {self._spec.timeout_s:g} s"
            return failed("timeout_first_byte", self._place, said)
        if isinstance(error, openai.APIStatusError):
            headers = error.response.headers
            place = replace(self._place, headers=headers, status=error.status_code)
            return refused(place, said_in(error.body or error.response.text))
        if isinstance(error, openai.APIConnectionError | httpx2.TransportError):
            said = f"could not be reached ({type(cause).__name__}: {cause})"
            met = not isinstance(cause, UNSENT)
            return failed("connection", self._place, said, billable=met)
        return failed("malformed", self._place, f"{type(error).__name__}: {error}")


def _usage(said: Any) -> Usage | None:
    """What it counted; None where it doesn't say. No text is 0 tokens: that isn't a count."""
    usage = said.get("usage")
    if not isinstance(usage, dict):
        return None
    tokens = usage.get("prompt_tokens") or usage.get("total_tokens")
    return Usage(input_tokens=tokens) if isinstance(tokens, int) and tokens > 0 else None


def _in_order(rows: list[Any]) -> list[Any]:
    """Rows in the order of the texts: by their index; as they came where none has one.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: they aren't numbered from 0 on.
    """
    if all(row.get("index") is None for row in rows):
        return rows
    ordered = sorted(rows, key=lambda row: row["index"])
    if [row["index"] for row in ordered] != list(range(len(rows))):
        raise ValueError("the vectors' numbers aren't those of the texts")
    return ordered


def _vector(value: Any) -> Floats:
    """(dims,) float32 of either encoding.

    Raises:
        ValueError, TypeError: it is no list of numbers.
    """
    import numpy as np

    if isinstance(value, str):
        return np.frombuffer(base64.b64decode(value, validate=True), "<f4").astype(np.float32)
    made: Floats = np.asarray(value, dtype=np.float32)
    if made.ndim != 1:
        raise ValueError("an embedding is no list of numbers")
    return made


def _stacked(vectors: list[Floats]) -> Floats:
    import numpy as np

    return np.stack(vectors)


def _close(client: Any, pace: Pace | None, loop: OwnLoop) -> None:
    async def everything() -> None:
        if pace is not None:
            await pace.aclose()
        await client.close()

    loop.close(everything())
