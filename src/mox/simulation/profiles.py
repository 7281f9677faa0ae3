"""How fast a simulated model is: what its latency is made of, as data."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mox.errors import StoreError
from mox.registry import validate
from mox.source import read

NO_QUEUE = 1_000_000
"""Slots of a model at which nobody waits."""


class Profile(BaseModel):
    """Where the time goes, all at time scale 1. See `latency` for how it is put together."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = Field(min_length=1)
    network_s: float = Field(default=0.0, ge=0)
    """Round trip between client and provider: the same for every answer."""
    first_s: float = Field(gt=0)
    """Median time to the first token of an empty prompt on an idle provider."""
    first_per_token_s: float = Field(default=0.0, ge=0)
    """Added to that by each input token that no cache had."""
    first_sigma: float = Field(default=0.0, ge=0, le=3)
    """Deviation of the logarithm of both together: lognormal, so 0.5 puts 1 % over 3.2 times."""
    token_s: float = Field(gt=0)
    """Mean time between two output tokens on an idle provider."""
    token_shape: float = Field(default=4.0, gt=0)
    """Shape of the gamma that these times follow; their deviation is the mean / √shape."""
    stall_share: float = Field(default=0.0, ge=0, lt=1)
    """Of the chunks, how many come late by a stall."""
    stall_s: float = Field(default=0.2, gt=0)
    """The shortest stall."""
    stall_alpha: float = Field(default=2.5, gt=1)
    """Of the Pareto that stalls follow: P(stall > t) = (stall_s / t) ^ alpha."""
    chunk_shares: tuple[float, ...] = (1.0,)
    """Share of the chunks that hold 1, 2, 3, … tokens."""
    slots: int = Field(default=64, ge=1)
    """Answers that are worked on at once; a request beyond waits until one ends."""
    slowdown: float = Field(default=0.0, ge=0)
    """With all slots busy a token takes (1 + this) times as long; in proportion below."""
    fills: bool = False
    """Answers to prompts without a context are as long as the request allows: a load's way."""
    recorded_load: int | None = Field(default=None, ge=0)
    """The most requests that were in flight beside another when it was recorded; what it plays
    beyond that was never seen. Without it nothing was recorded."""

    @model_validator(mode="after")
    def _shares(self) -> Profile:
        if not self.chunk_shares or min(self.chunk_shares) < 0 or sum(self.chunk_shares) <= 0:
            raise ValueError("chunk_shares must be shares of chunks of 1, 2, 3, … tokens.")
        return self

    @property
    def chunk_tokens(self) -> float:
        """Mean tokens of a chunk."""
        weighted = sum(size * share for size, share in enumerate(self.chunk_shares, 1))
        return weighted / sum(self.chunk_shares)


SWIFT = Profile(
    name="swift",
    network_s=0.02,
    first_s=0.18,
    first_per_token_s=0.00002,
    first_sigma=0.3,
    token_s=0.006,
    token_shape=3.0,
    stall_share=0.001,
    stall_s=0.15,
    stall_alpha=2.5,
    chunk_shares=(0.6, 0.2, 0.1, 0.1),
    slots=64,
    slowdown=0.5,
    fills=True,
)
CAREFUL = Profile(
    name="careful",
    network_s=0.04,
    first_s=0.45,
    first_per_token_s=0.00006,
    first_sigma=0.4,
    token_s=0.018,
    token_shape=4.0,
    stall_share=0.002,
    stall_s=0.3,
    stall_alpha=2.2,
    chunk_shares=(0.85, 0.15),
    slots=32,
    slowdown=0.8,
    fills=True,
)
PROFILES = {profile.name: profile for profile in (SWIFT, CAREFUL)}


def read_profile(path: Path) -> Profile:
    """A profile from its YAML.

    Raises:
        MissingError: no such file.
        DataError: not UTF-8.
        SpecError: not YAML, an unknown field, or a value that its field refuses.
    """
    return validate(Profile, read(path, what="a profile", start="name: …").settings, name=str(path))


def write_profile(profile: Profile, path: Path) -> None:
    """Write a profile as YAML that `read_profile` takes; each field with what it means.

    Raises:
        StoreError: it can't be written there.
    """
    import io

    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    node = CommentedMap(profile.model_dump())
    shares = CommentedSeq(profile.chunk_shares)
    shares.fa.set_flow_style()
    node["chunk_shares"] = shares
    for name, field in Profile.model_fields.items():
        if field.description:
            node.yaml_set_comment_before_after_key(name, before=" ".join(field.description.split()))
    text = io.StringIO()
    YAML(typ="rt").dump(node, text)
    try:
        path.write_text(text.getvalue(), encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"the profile {path} can't be written ({error.strerror}).",
            mend="name a file in a folder that is there and can be written to.",
        ) from None
