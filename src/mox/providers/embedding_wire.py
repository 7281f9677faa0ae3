"""One request to an embeddings API through OpenAI's SDK, its answer checked by hand.

The SDK hands an answer that is no JSON on as text, and vectors in whatever order and number they
come; so its raw answer is read here.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import threading
import weakref
from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from mox.errors import ProviderError
from mox.providers.keys import key_of
from mox.registry import missing_package
from mox.secrets import HIDDEN, scrub
from mox.types.providers import Embedded, ErrorKind, Usage

if TYPE_CHECKING:
    from mox.providers.embedders import CompatibleEmbed, OpenAiEmbed
    from mox.types import Floats

SIMULATED = "x-mox-simulated"
"""The header by which a simulator of Mox says what it is."""
T = TypeVar("T")

STATUS: Mapping[int, ErrorKind] = {
    400: "bad_request", 401: "auth", 403: "auth", 404: "model_not_found", 408: "timeout_first_byte",
    413: "context_length", 422: "bad_request", 429: "rate_limit_tokens", 503: "overloaded",
    529: "overloaded",
}  # fmt: skip
CODES: Mapping[str, ErrorKind] = {
    "insufficient_quota": "quota_exhausted",
    "billing_hard_limit_reached": "quota_exhausted",
    "context_length_exceeded": "context_length",
    "model_not_found": "model_not_found",
    "invalid_api_key": "auth",
}
MENDS: Mapping[str, str] = {
    "auth": "check that the key is this provider's, and may use the model.",
    "model_not_found": "write a `model` that it has, and check `base_url`.",
    "quota_exhausted": "add credit to the account, and run again: what was embedded is kept.",
    "context_length": "use smaller chunks.",
    "bad_request": "see what it said; `dims` and `shorten` are what most models refuse.",
    "malformed": "check `base_url`: it is where `/embeddings` is added to.",
}
AGAIN = "run again: what was embedded is kept."


class Endpoint:
    """A client of one model on one account; opened when first asked."""

    def __init__(self, spec: OpenAiEmbed | CompatibleEmbed) -> None:
        import openai

        self._spec = spec
        self._key = key_of(spec)
        self._loop = _Loop()
        # The address is always said: the SDK would take another from the environment unasked.
        self._client = openai.AsyncOpenAI(
            api_key=self._key or "none",
            base_url=spec.base_url,
            organization=None,
            max_retries=0,
            timeout=spec.timeout_s,
        )
        # Nobody closes an embedder: its connections go with it, or with the process.
        weakref.finalize(self, _close, self._client, self._loop)

    def embed(self, texts: Sequence[str]) -> Embedded:
        """One attempt at all texts' vectors, in their order.

        Raises:
            ProviderError: it failed, or what it brought is not what was asked for.
        """
        return self._loop.run(self._embed(texts))

    async def _embed(self, texts: Sequence[str]) -> Embedded:
        import httpx2
        import openai

        create = self._client.embeddings.with_raw_response.create
        dims = self._spec.asked_dims
        asked: dict[str, Any] = {"dimensions": dims} if dims else {}
        if self._spec.kind == "compatible":
            asked["encoding_format"] = "float"  # not all of them know base64
        try:
            async with asyncio.timeout(self._spec.timeout_s):
                raw = await create(input=list(texts), model=self._spec.model, **asked)
                body = raw.http_response.content
        except (openai.OpenAIError, httpx2.TransportError, TimeoutError) as error:
            raise self._failed(error) from None
        headers = raw.http_response.headers
        return self._read(body, headers, len(texts))

    def _read(self, body: bytes, headers: Mapping[str, str], n: int) -> Embedded:
        request_id = headers.get("x-request-id")
        try:
            said = json.loads(body)
            rows = sorted(said["data"], key=lambda row: row["index"])
            found = [row["index"] for row in rows]
            vectors = [_vector(row["embedding"]) for row in rows]
        except (ValueError, KeyError, TypeError, AttributeError):
            start = body[:80].decode(errors="replace")
            raise self._error(
                "malformed", f"answered what is no list of vectors: {start!r}", request_id
            ) from None
        self._check_simulated(headers, request_id)
        if found != list(range(n)):
            # Not asked again, which would be paid again.
            raise self._error(
                "bad_request",
                f"returned {len(found)} vectors for {n} texts",
                request_id,
                mend="lower `batch`: its server leaves texts out of a request.",
            )
        if wrong := next((len(v) for v in vectors if len(v) != self._spec.dims), None):
            raise self._error(
                "bad_request",
                f"returned vectors of {wrong} dimensions, not {self._spec.dims}",
                request_id,
                mend=f"write `dims: {wrong}`, or use a model that can be shortened.",
            )
        usage = said.get("usage") or {}
        tokens = usage.get("prompt_tokens", usage.get("total_tokens", 0))
        return Embedded(_stacked(vectors), Usage(input_tokens=int(tokens or 0)), request_id)

    def _check_simulated(self, headers: Mapping[str, str], request_id: str | None) -> None:
        """What is simulated is said to be, and nothing else is."""
        is_one = SIMULATED in headers
        if is_one == self._spec.simulated:
            return
        said = "is a simulator, and" if is_one else "is no simulator of Mox, though"
        told = "the spec doesn't say so" if is_one else "the spec says so"
        raise self._error(
            "bad_request",
            f"{said} {told}",
            request_id,
            mend=f"write `simulated: {str(is_one).lower()}`, or another `base_url`.",
        )

    def _failed(self, error: Exception) -> ProviderError:
        """What the SDK raised, told apart."""
        import httpx2
        import openai

        if isinstance(error, openai.APITimeoutError | TimeoutError | httpx2.TimeoutException):
            connecting = isinstance(error.__cause__, httpx2.ConnectTimeout)
            kind: ErrorKind = "timeout_connect" if connecting else "timeout_first_byte"
            return self._error(kind, f"did not answer within {self._spec.timeout_s:g} s")
        if isinstance(error, openai.APIStatusError):
            return self._refused(error)
        if isinstance(error, openai.APIConnectionError | httpx2.TransportError):
            said = str(error.__cause__ or error) or type(error).__name__
            return self._error("connection", f"could not be reached ({said})")
        return self._error("malformed", f"answered what its SDK can't read ({error})")

    def _refused(self, error: Any) -> ProviderError:
        status: int = error.status_code
        kind = CODES.get(str(error.code or error.type or "")) or STATUS.get(status)
        kind = kind or ("server" if status >= 500 else "bad_request")
        body = error.body if isinstance(error.body, Mapping) else {}
        text = body.get("message") or error.response.text[:200] or error.message
        return self._error(
            kind,
            f"refused with status {status}: {text}",
            error.request_id,
            status=status,
            retry_after_s=_seconds(error.response.headers),
        )

    def _error(
        self, kind: ErrorKind, said: str, request_id: str | None = None, **more: Any
    ) -> ProviderError:
        message = f"{self._spec.kind} {self._spec.model} at {self._spec.host} {said}."
        hidden = message.replace(self._key, HIDDEN) if self._key else message
        mend = more.pop("mend", None) or MENDS.get(kind, AGAIN)
        return ProviderError(scrub(hidden), mend=mend, kind=kind, request_id=request_id, **more)


def installed() -> None:
    """Refuse (MissingError) where the extra `providers` is not installed; imports nothing."""
    from importlib import util

    if util.find_spec("openai") is None:
        raise missing_package("openai", extra="providers")


def _vector(value: Any) -> Floats:
    """(dims,) float32 of either encoding."""
    import numpy as np

    if isinstance(value, str):
        try:
            raw = base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise ValueError(str(error)) from None
        return np.frombuffer(raw, dtype="<f4").astype(np.float32)
    made: Floats = np.asarray(value, dtype=np.float32)
    if made.ndim != 1:
        raise ValueError("an embedding is no list of numbers")
    return made


def _stacked(vectors: list[Floats]) -> Floats:
    import numpy as np

    return np.stack(vectors)


def _seconds(headers: Mapping[str, str]) -> float | None:
    """How long the provider asks to wait, where it says so in seconds."""
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) / scale)
        except (KeyError, ValueError):
            continue
    return None


class _Loop:
    """An event loop in a thread of its own: callable from a script, a worker, and a notebook
    whose own loop runs already."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Stop the loop, and give its files back."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _close(client: Any, loop: _Loop) -> None:
    loop.run(client.close())
    loop.close()
