"""What of a prompt is context, and what is asked about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mox.types.providers import Message

LEAST_WORDS = 25
"""Of a text without numbered passages, to be taken for a context: an instruction has fewer."""

_MARK = re.compile(r"^[ \t]*\[(\d+)\][ \t:]*", re.MULTILINE)
_QUESTION = re.compile(r"^[ \t]*question[ \t]*:[ \t]*", re.MULTILINE | re.IGNORECASE)
_BLANK = re.compile(r"\n\s*\n")


@dataclass(frozen=True, slots=True)
class Given:
    """Passages that an answer may be drawn from, and the question."""

    passages: tuple[str, ...]
    question: str
    numbered: bool = True
    """Whether the prompt numbered them: only then can an answer cite them."""


def given(messages: Sequence[Message]) -> Given | None:
    """Passages and question of a prompt; None where it gives nothing to answer from.

    Two layouts are known. Numbered passages, anywhere before the question:

        [1] First passage, of any number of lines.
        [2] Second passage.

        Question: What is asked?

    where numbers count up from 1 (another number at a line's beginning is text). And any prompt
    whose last message ends with a question, by `Question:` or by a question mark: whatever stands
    before it is one passage, if it has `LEAST_WORDS` words.
    """
    if not messages or messages[-1].role != "user":
        return None
    before = "\n\n".join(message.text for message in messages[:-1] if message.role != "assistant")
    rest, question = _question(messages[-1].text)
    whole = f"{before}\n\n{rest}" if before and rest else before or rest
    passages = _numbered(whole)
    if passages:
        return Given(passages, question) if question else None
    if not question or (not question.endswith("?") and not _QUESTION.search(messages[-1].text)):
        return None
    if len(whole.split()) < LEAST_WORDS:
        return None
    return Given((whole.strip(),), question, numbered=False)


def _question(text: str) -> tuple[str, str]:
    """The text before its question, and the question: what `Question:` says, or its last part."""
    text = text.strip()
    if text[-7:].lower() == "answer:":  # what many prompts end with, for the model to go on from
        text = text[:-7].rstrip()
    marks = list(_QUESTION.finditer(text))
    if marks:
        return text[: marks[-1].start()].strip(), text[marks[-1].end() :].strip()
    gaps = list(_BLANK.finditer(text))
    if gaps:
        return text[: gaps[-1].start()].strip(), text[gaps[-1].end() :]
    return "", text


def _numbered(text: str) -> tuple[str, ...]:
    """Passages that `[1]`, `[2]`, … begin, in order."""
    starts: list[tuple[int, int]] = []
    for mark in _MARK.finditer(text):
        if int(mark[1]) == len(starts) + 1:
            starts.append((mark.start(), mark.end()))
    ends = [*(start for start, _ in starts), len(text)][1:]
    return tuple(text[begin:end].strip() for (_, begin), end in zip(starts, ends, strict=True))
