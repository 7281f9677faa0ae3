"""Embedders behind an API, `kind: openai`, `compatible` and `simulated`: paid by the token.

What a vector depends on is the provider, the host that answers and the model: these are the
fingerprint. Where a key stands and how much is asked at once changes none, and is no part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from mox.embedding import embedders
from mox.providers.embedding_spec import ApiEmbed
from mox.types.providers import Call

if TYPE_CHECKING:
    from mox.providers.embedding import ApiEmbedder

OPENAI_URL = "https://api.openai.com/v1"
OPENAI_DIMS: Mapping[str, int] = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}
"""OpenAI's models and their own dimensions. The third generation's can be shortened."""
FIXED = ("text-embedding-ada-002",)
SIMULATED_DIMS: Mapping[str, int] = {"sim-embed-small": 128, "sim-embed-large": 256}
OPENAI_READS = 8191
"""Tokens that OpenAI's models read of a text, by their table of models."""


class OpenAiEmbed(ApiEmbed):
    """OpenAI's embeddings (extra `providers`)."""

    KEY_ENV: ClassVar[str | None] = "OPENAI_API_KEY"

    kind: Literal["openai"] = "openai"
    model: str = "text-embedding-3-small"
    """As OpenAI names it."""
    dims: int | None = Field(None, ge=1)
    """Dimensions; the model's own where not set. The third generation can be asked for fewer."""
    base_url: str = OPENAI_URL
    """OpenAI's own; another for a region (https://eu.api.openai.com/v1) or a proxy of it."""
    batch: int = Field(1024, ge=1, le=2048, exclude=True)
    """Texts of one request, at most: all that a kill can lose."""

    @model_validator(mode="before")
    @classmethod
    def _own_dims(cls, value: Any) -> Any:
        """The model's own dimensions written out: said or not, it is one embedder."""
        if not isinstance(value, Mapping) or value.get("dims") is not None:
            return value
        model = value.get("model", cls.model_fields["model"].default)
        if model not in OPENAI_DIMS:
            raise ValueError(
                f"the dimensions of {model!r} are not known here; write `dims:`, or use one of"
                f" {', '.join(OPENAI_DIMS)}"
            )
        return {**value, "dims": OPENAI_DIMS[model]}

    @model_validator(mode="after")
    def _has_dims(self) -> OpenAiEmbed:
        own = OPENAI_DIMS.get(self.model)
        if own is not None and self.dims is not None:
            if self.model in FIXED and self.dims != own:
                raise ValueError(f"{self.model} has {own} dimensions and can't be shortened")
            if self.dims > own:
                raise ValueError(f"{self.model} has {own} dimensions, not {self.dims}")
        return self

    @property
    def size(self) -> int:
        assert self.dims is not None  # noqa: S101  written out by `_own_dims`
        return self.dims

    @property
    def asked_dims(self) -> int | None:
        return None if self.dims == OPENAI_DIMS.get(self.model) else self.dims

    @property
    def most_tokens(self) -> int:
        return OPENAI_READS


class CompatibleEmbed(ApiEmbed):
    """Any API in the shape of OpenAI's embeddings: vLLM, Ollama, TEI, a gateway (extra
    `providers`)."""

    kind: Literal["compatible"] = "compatible"
    dims: int = Field(ge=1)
    """Dimensions that its vectors have; other ones are refused."""
    shorten: bool = False
    """Ask the model for `dims` dimensions (Matryoshka), instead of only expecting them."""
    reads: int | None = Field(None, ge=1)
    """Tokens that it reads of a text, counted by cl100k, which may not be its own: where
    `truncate` is set, longer texts are cut there before they are sent. Where not set, longer texts
    are the server's affair."""

    @property
    def size(self) -> int:
        return self.dims

    @property
    def asked_dims(self) -> int | None:
        return self.dims if self.shorten else None

    @property
    def most_tokens(self) -> int | None:
        return self.reads


class SimulatedEmbed(ApiEmbed):
    """The simulator's embeddings, in this process: wordllama's vectors at an invented price.
    Nobody is paid (extra `providers`)."""

    kind: Literal["simulated"] = "simulated"
    model: Literal["sim-embed-small", "sim-embed-large"] = "sim-embed-small"
    """Of 128 dimensions, or dearer and of 256."""
    dims: int = Field(0, ge=0, le=256)
    """Dimensions; the model's own where not set."""
    base_url: Literal["http://simulated.invalid/v1"] = "http://simulated.invalid/v1"
    """Nowhere: `compatible` asks a simulator that runs elsewhere."""
    simulated: Literal[True] = True
    """It is."""
    batch: int = Field(256, ge=1, le=2048, exclude=True)
    """Texts of one request, at most."""
    time_scale: float = Field(1.0, gt=0, exclude=True)
    """Its latencies are multiplied by this."""

    @model_validator(mode="before")
    @classmethod
    def _own_dims(cls, value: Any) -> Any:
        """The model's own dimensions written out."""
        if not isinstance(value, Mapping) or value.get("dims"):
            return value
        model = value.get("model", cls.model_fields["model"].default)
        return {**value, "dims": SIMULATED_DIMS.get(model, 0)}

    @property
    def size(self) -> int:
        return self.dims

    @property
    def asked_dims(self) -> int:
        return self.dims

    def transport(self) -> Any:
        from importlib import import_module

        made = import_module("mox.simulation.transport").SimulatedTransport
        return made({"time_scale": self.time_scale})


def _fingerprint(spec: ApiEmbed) -> Mapping[str, str]:
    return {"provider": spec.kind, "host": spec.host, "model": spec.model}


def _simulated_fingerprint(spec: SimulatedEmbed) -> Mapping[str, str]:
    vectors = embedders.fingerprint(embedders.parse({"kind": "wordllama"}))
    return {**_fingerprint(spec), **vectors}


def _paid(spec: ApiEmbed) -> Call:
    return Call(spec.kind, spec.called, spec.model, "embed", simulated=spec.simulated)


def _ready(spec: ApiEmbed) -> None:
    from mox.providers.embedding_wire import ready

    ready(spec)


TRAITS: Mapping[str, Any] = {
    "reads": lambda spec: spec.most_tokens,
    "dims": lambda spec: spec.size,
    "paid": _paid,
    "ready": _ready,
}


@embedders.register(OpenAiEmbed, fingerprint=_fingerprint, **TRAITS)
@embedders.register(CompatibleEmbed, fingerprint=_fingerprint, **TRAITS)
@embedders.register(SimulatedEmbed, fingerprint=_simulated_fingerprint, **TRAITS)
def load(spec: ApiEmbed) -> ApiEmbedder:
    """A client of the API. Nothing is asked yet, and no key is read."""
    from mox.providers.embedding import ApiEmbedder

    return ApiEmbedder(spec)
