"""Chance that is none: every draw is named, and follows from what was asked."""

from __future__ import annotations

from hashlib import blake2b, shake_256
from statistics import NormalDist
from typing import TYPE_CHECKING

from mox.simulation.script import Asked
from mox.spec import canonical

if TYPE_CHECKING:
    import numpy as np

_NORMAL = NormalDist()


class Draws:
    """Draws of one identity. Each has a name, so that one more of them moves no other."""

    def __init__(self, identity: bytes) -> None:
        self._identity = identity

    def bytes(self, name: str, count: int) -> bytes:
        """So many bytes, each value as likely."""
        return shake_256(self._identity + name.encode()).digest(count)

    def uniform(self, name: str) -> float:
        """In (0, 1), both ends excluded."""
        return (int.from_bytes(self.bytes(name, 6), "big") + 0.5) / 2**48

    def normal(self, name: str) -> float:
        """Of mean 0 and deviation 1."""
        return _NORMAL.inv_cdf(self.uniform(name))

    def generator(self, name: str) -> np.random.Generator:
        """For many draws at once, where only times hang on them: NumPy may change its streams."""
        import numpy as np

        return np.random.Generator(np.random.SFC64(int.from_bytes(self.bytes(name, 16), "big")))


def identity(seed: int, asked: Asked) -> bytes:
    """What an answer's text, usage and end follow from: nothing of the clock, the wire or a cache.

    The same question by Chat Completions, Responses or Messages is the same question.
    """
    said = canonical(
        [
            seed,
            asked.account,
            asked.model,
            [[message.role, message.text] for message in asked.messages],
            asked.max_output_tokens,
            asked.json_schema,
            asked.attempt,
        ]
    )
    return blake2b(said.encode("utf-8", "surrogatepass"), digest_size=32).digest()
