"""Any sentence transformer on this machine, by folder or hub name. Nothing downloads.

A hub name is looked up in the local cache of Hugging Face: a result's key holds the hash of
the model's files, so they have to be here before anything runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import Field

from mox.embedding import embedders
from mox.embedding.counting import counts
from mox.embedding.files import MODEL_FILES, installed, read_json, sha256_of_folder
from mox.embedding.spec import EmbedSpec
from mox.errors import EngineError, MissingError
from mox.registry import versions
from mox.settings import expanded

if TYPE_CHECKING:
    from mox.types import Floats, Ints

EXTRA = "minilm"
DISTRIBUTIONS = ("sentence-transformers", "torch", "transformers", "tokenizers")
BATCH = 32
UNLIMITED = 1_000_000
"""From here on a length is a library's way of saying that there is no limit."""


class SentenceTransformers(EmbedSpec):
    """Any model of sentence-transformers that is on this machine (extra `minilm`)."""

    kind: Literal["sentence-transformers"] = "sentence-transformers"
    model: str = Field(min_length=1)
    """A folder, or a hub name that is in Hugging Face's local cache already."""


def folder_of(spec: SentenceTransformers) -> Path:
    """The folder that a model is loaded from.

    Raises:
        MissingError: the package or the model is not on this machine.
    """
    folder = expanded(spec.model)
    folder = folder if folder.is_dir() else _cached(spec.model)
    if not (folder / "modules.json").is_file():
        # Without it sentence-transformers would average the tokens, whatever the model was made
        # for.
        raise MissingError(
            f"{spec.model!r} has no modules.json: it is no model of sentence-transformers.",
            mend="give the folder that `SentenceTransformer.save` wrote, or another model.",
        )
    return folder


def _cached(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        raise MissingError(
            f"the model {name!r} is no folder here and not in Hugging Face's local cache.",
            mend=f"give a folder, or fetch it first: `hf download {name}`.",
        ) from None


def reads(spec: SentenceTransformers) -> int | None:
    """Tokens that the model reads, special tokens included; from its files, as its library does."""
    folder = folder_of(spec)
    module = read_json(folder / "modules.json")[0]
    if module["type"].endswith("StaticEmbedding"):
        return None
    first = folder / module["path"]
    own = first / "sentence_bert_config.json"
    limit = read_json(own).get("max_seq_length") if own.is_file() else None
    if limit is not None:
        return int(limit)
    # As sentence-transformers does: the tokenizer's limit, within the model's positions.
    positions = read_json(first / "config.json").get("max_position_embeddings", UNLIMITED)
    tokenizer = first / "tokenizer_config.json"
    stated = read_json(tokenizer).get("model_max_length") if tokenizer.is_file() else None
    limit = min(
        UNLIMITED if stated is None else stated,
        UNLIMITED if positions == -1 else positions,
    )
    return None if limit >= UNLIMITED else int(limit)


def _fingerprint(spec: SentenceTransformers) -> Mapping[str, str]:
    folder = folder_of(spec)
    installed(*DISTRIBUTIONS, extra=EXTRA)
    return versions(*DISTRIBUTIONS, model=sha256_of_folder(folder, MODEL_FILES))


@embedders.register(SentenceTransformers, fingerprint=_fingerprint, reads=reads)
def load(spec: SentenceTransformers) -> Encoder:
    """Load a model from its folder; quietly, and without asking a hub.

    Raises:
        MissingError: the package or the model is not on this machine.
        EngineError: the loaded model reads another number of tokens than its files say.
    """
    folder, stated = folder_of(spec), reads(spec)
    installed(*DISTRIBUTIONS, extra=EXTRA)
    from sentence_transformers import SentenceTransformer

    with _no_bars():
        model = SentenceTransformer(str(folder), local_files_only=True)
    found = model.max_seq_length
    limit = None if found is None or found >= UNLIMITED else int(found)
    if limit != stated:
        raise EngineError(
            f"{spec.kind}: the loaded model reads {limit} tokens, its files say {stated}.",
            mend="write `max_seq_length` into the model's sentence_bert_config.json.",
        )
    return Encoder(model)


class Encoder:
    """A loaded model, on the device that sentence-transformers chose."""

    def __init__(self, model: Any) -> None:
        from tokenizers import Tokenizer

        self._model = model
        self.dims: int = int(model.get_embedding_dimension())
        # A copy, since the model's own has to go on truncating.
        own = getattr(model.tokenizer, "backend_tokenizer", model.tokenizer)
        self._counter = Tokenizer.from_str(own.to_str())
        self._counter.no_truncation()
        self._counter.no_padding()

    def embed(self, texts: Sequence[str]) -> Floats:
        """(texts, dims) float32 vectors of length 1."""
        import numpy as np

        if not texts:
            return np.empty((0, self.dims), dtype=np.float32)
        made = self._model.encode(
            list(texts),
            batch_size=BATCH,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return cast("Floats", np.asarray(made, dtype=np.float32))

    def tokens(self, texts: Sequence[str]) -> Ints:
        """(texts,) tokens of each whole text, special tokens included."""
        return counts(self._counter, texts)


@contextmanager
def _no_bars() -> Iterator[None]:
    """Loading shows a progress bar of transformers' own, on or off for the whole process."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
