"""An embedder that writes down every text that it is given, beside all that Mox says of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from mox.embedding import embedders
from mox.registry import versions
from mox.spec import Spec
from mox_toy.letters import Model


class Counted(Spec):
    """Letter counts; a line per text in the file that TOY_COUNTED names."""

    kind: Literal["toy-counted"] = "toy-counted"


class CountedModel(Model):
    """A loaded model with a witness."""

    def embed(self, texts: Sequence[str]) -> Any:
        with Path(os.environ["TOY_COUNTED"]).open("a", encoding="utf-8") as file:
            file.writelines(f"{text!r}\n" for text in texts)
        return super().embed(texts)


@embedders.register(Counted, fingerprint=lambda _: versions("mox-toy"), reads=lambda _: None)
def load(_: Counted) -> CountedModel:
    """Nothing to load."""
    return CountedModel()
