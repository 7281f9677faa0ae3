"""What all embedders that read only so far have in common."""

from __future__ import annotations

from mox.spec import Spec


class EmbedSpec(Spec):
    """Settings of an embedder that reads a limited number of tokens of each text."""

    truncate: bool = False
    """Allow texts longer than the model reads. Off, since what is not read is not found."""
