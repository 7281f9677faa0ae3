"""card.yaml: what a dataset card says, read and checked with line numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mox.corpus import corpora
from mox.errors import SpecError
from mox.registry import nearest
from mox.source import Source
from mox.source import read as read_source
from mox.spec import Spec

SCHEMA = 1
TOPICS = "pydoc-topics"


class Family(BaseModel):
    """Topics that share text; all their questions are one group, in one split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    split: Literal["dev", "test"]
    topics: tuple[str, ...] = Field(min_length=1)


class Card(BaseModel):
    """What card.yaml says."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    version: Literal[1] = Field(alias="schema")
    name: str
    title: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    description: str = ""
    source: dict[str, Any]
    """`{kind: pydoc-topics}`, or settings of another corpus, relative to the card's folder."""
    questions: str = Field("questions.jsonl", min_length=1)
    """With pydoc-topics: the questions, with evidence by quotation."""
    max_missing: float = Field(0.05, ge=0, le=1)
    """With pydoc-topics: the share of questions that may quote what this Python lacks."""
    families: tuple[Family, ...] = ()
    """With pydoc-topics: each topic with questions is in one."""

    def wrapped(self) -> Spec | None:
        """The settings of the corpus that the card wraps; None: the topics of this Python.

        Raises:
            SpecError: unknown settings, or a card of a card.
        """
        if self.source.get("kind") == TOPICS:
            return None
        kinds = [TOPICS, *(kind for kind in corpora.kinds() if kind != "card")]
        kind = self.source.get("kind")
        if kind not in kinds:
            raise SpecError(
                f"the source's kind is {kind!r}{nearest(str(kind), kinds)}.",
                mend=f"use one of {', '.join(kinds)}.",
            )
        return corpora.parse(self.source)


def read_card(path: Path) -> Card:
    """Read and check card.yaml.

    Raises:
        MissingError: no such file.
        DataError: not UTF-8.
        SpecError: not YAML, a newer schema, an unknown field, or a value that can't be meant;
            names the line.
    """
    read = read_source(path, what="a card", start=f"schema: {SCHEMA}")
    schema = read.settings.get("schema")
    if type(schema) is int and schema > SCHEMA:
        raise SpecError(
            f"{read.where(('schema',))}: the card's schema is {schema}, newer than {SCHEMA}, which"
            " this Mox reads.",
            mend="update Mox, or use an older version of the card.",
        )
    try:
        card = Card.model_validate(read.settings)
    except ValidationError as error:
        raise _refusal(error, read) from None
    if card.name != path.parent.name:
        raise SpecError(
            f"{read.where(('name',))}: the card is named {card.name!r} and lies in the folder"
            f" {path.parent.name!r}.",
            mend="give both one name.",
        )
    _check_source(card, read)
    return card


def _check_source(card: Card, read: Source) -> None:
    try:
        wrapped = card.wrapped()
    except SpecError as error:
        raise SpecError(f"{read.where(('source',))}: {error.message}", mend=error.mend) from None
    if wrapped is None:
        if card.source.keys() != {"kind"}:
            raise SpecError(
                f"{read.where(('source',))}: {TOPICS} has nothing to set.",
                mend="keep its kind alone.",
            )
        _check_families(card, read)
        return
    for name in ("questions", "max_missing", "families"):
        if name in read.settings:
            raise SpecError(
                f"{read.where((name,))}: `{name}` goes with the source {TOPICS} alone.",
                mend="drop it: this source brings its own questions and groups.",
            )


def _check_families(card: Card, read: Source) -> None:
    if not card.families:
        raise SpecError(
            f"{read.where(('families',))}: no `families`.",
            mend="say which topics are one group, and the split of each.",
        )
    names: dict[str, str] = {}
    topics: dict[str, str] = {}
    for at, family in enumerate(card.families):
        place = read.where(("families", at))
        words = [("family", family.name, names)]
        words += [("topic", topic, topics) for topic in family.topics]
        for what, word, seen in words:
            if word in seen:
                raise SpecError(
                    f"{place}: the {what} {word!r} stands at {seen[word]} already.",
                    mend="keep one of the two.",
                )
            seen[word] = place


def _refusal(error: ValidationError, read: Source) -> SpecError:
    """The first thing that is wrong with a card, with its line."""
    # A misspelt field is also a missing one; the misspelling says more.
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    loc = first["loc"]
    name = ".".join(str(part) for part in loc)
    place = read.where(loc)
    if first["type"] == "extra_forbidden":
        fields = [field.alias or name for name, field in Card.model_fields.items()]
        if len(loc) > 1:
            fields = list(Family.model_fields)
        return SpecError(
            f"{place}: unknown field {name!r}{nearest(str(loc[-1]), fields)}.",
            mend=f"use one of {', '.join(fields)}.",
        )
    if first["type"] == "missing":
        return SpecError(f"{place}: no field {name!r}.", mend=f"add `{loc[-1]}:`.")
    return SpecError(
        f"{place}: {name} = {first['input']!r}: {first['msg']}.", mend="give a value that it takes."
    )
