"""A BERT checkpoint as CTranslate2 reads it.

CTranslate2's own converter loads checkpoints through transformers and torch; this one fills
the same specification (`ctranslate2.specs`) from the safetensors file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def convert(checkpoint: Path, vocabulary: Mapping[str, int], to: Path) -> None:
    """Write a BERT's weights into an empty folder, in float32.

    Args:
        checkpoint: a folder with config.json and model.safetensors, as transformers writes
            them, of a BERT with GELU and absolute positions.
        vocabulary: its tokens' ids.
        to: where `ctranslate2.Encoder` is loaded from.
    """
    import numpy as np
    from safetensors.numpy import load_file

    with _no_torch():
        from ctranslate2.specs import common_spec, transformer_spec

    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    weights = load_file(checkpoint / "model.safetensors")

    def linear(spec: Any, name: str) -> None:
        spec.weight, spec.bias = weights[f"{name}.weight"], weights[f"{name}.bias"]

    def stacked(spec: Any, *names: str) -> None:
        spec.weight = np.concatenate([weights[f"{name}.weight"] for name in names])
        spec.bias = np.concatenate([weights[f"{name}.bias"] for name in names])

    def norm(spec: Any, name: str) -> None:
        spec.gamma, spec.beta = weights[f"{name}.weight"], weights[f"{name}.bias"]

    encoder = transformer_spec.TransformerEncoderSpec(
        config["num_hidden_layers"],
        config["num_attention_heads"],
        pre_norm=False,
        activation=common_spec.Activation.GELU,
        layernorm_embedding=True,
        num_source_embeddings=2,
        embeddings_merge=common_spec.EmbeddingsMerge.ADD,
    )
    encoder.scale_embeddings = False
    words, types = encoder.embeddings
    words.weight = weights["embeddings.word_embeddings.weight"]
    types.weight = weights["embeddings.token_type_embeddings.weight"]
    encoder.position_encodings.encodings = weights["embeddings.position_embeddings.weight"]
    norm(encoder.layernorm_embedding, "embeddings.LayerNorm")
    for at, layer in enumerate(encoder.layer):
        name = f"encoder.layer.{at}"
        attention, feed_forward = layer.self_attention, layer.ffn
        own = f"{name}.attention.self"
        stacked(attention.linear[0], f"{own}.query", f"{own}.key", f"{own}.value")
        linear(attention.linear[1], f"{name}.attention.output.dense")
        norm(attention.layer_norm, f"{name}.attention.output.LayerNorm")
        linear(feed_forward.linear_0, f"{name}.intermediate.dense")
        linear(feed_forward.linear_1, f"{name}.output.dense")
        norm(feed_forward.layer_norm, f"{name}.output.LayerNorm")

    spec = transformer_spec.TransformerEncoderModelSpec(encoder)
    spec.register_vocabulary(sorted(vocabulary, key=vocabulary.__getitem__))
    spec.config.layer_norm_epsilon = config["layer_norm_eps"]
    spec.validate()
    spec.save(str(to))


@contextmanager
def _no_torch() -> Iterator[None]:
    """Import CTranslate2's specifications without torch, whose tensors they would take as well.

    They import it wherever it is installed, which takes longer than all that is done here. None
    in `sys.modules` is Python's own way to say that a module isn't there.
    """
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["torch"]
