"""Prompts that cross to the asking processes: importable there by this folder's name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from mox.types.providers import Message, Request


@dataclass(frozen=True)
class Say:
    """Every request asks for the same; with `first`, the first numbers ask for something else."""

    text: str
    first: tuple[str, ...] = ()

    def __call__(self, round_: int, number: int) -> Request:
        text = self.first[number] if 0 <= number < len(self.first) else self.text
        say = {**json.loads(text), "round": round_, "number": number}
        return Request("whichever", (Message("user", json.dumps(say)),), max_output_tokens=64)


def say(*first: dict[str, Any], **rest: Any) -> Say:
    """Prompts that tell the stand-in what to do: the first ones each its own, then all the rest."""
    return Say(json.dumps(rest), tuple(json.dumps(one) for one in first))


def broken(round_: int, number: int) -> Request:
    raise ValueError("no such passage")
