"""Text to vectors.

A back end is a function from its Spec to a loaded `Embedder`. Its trait `reads` is a function
from the Spec to the number of tokens that it reads, in its own tokens, or None: all of them.
It answers without loading the model, since a plan asks for it. So does the trait `dims`, which
may be left out: a function from the Spec to the dimensions of its vectors. What costs money has
the trait `paid`: a function from the Spec to the `Call` that its requests are written down as,
and what it loads is a `PaidEmbedder`; and it may have the trait `ready`: a function from the Spec
that refuses what it would lack, a key say, before anything is asked.
"""

from collections.abc import Callable
from typing import Any

from mox.registry import Registry
from mox.spec import Spec
from mox.types import Embedder

embedders: Registry[Callable[[Any], Embedder]] = Registry(
    "mox.embedders",
    [
        "mox.embedding.wordllama",
        "mox.embedding.hashing",
        "mox.embedding.minilm",
        "mox.embedding.transformers",
        "mox.providers.embedders",
    ],
)


def dims_of(spec: Spec) -> int | None:
    """Dimensions of an embedder's vectors; None where they show only when its model is loaded."""
    known = embedders.entry(spec.kind).traits.get("dims")
    return known(spec) if known else None
