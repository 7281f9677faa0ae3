"""Corpora by name: a dataset card says where one comes from, under which licence."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from mox.corpus import corpora
from mox.corpus.cardfile import read_card
from mox.corpus.check import open_checked
from mox.corpus.documents import documents
from mox.corpus.topics import load_topics, topics
from mox.errors import MoxError, SpecError
from mox.registry import nearest
from mox.spec import Spec
from mox.types import Corpus, Document


class CardSpec(Spec):
    """A corpus by the name of its card: `datasets/NAME/card.yaml`."""

    kind: Literal["card"] = "card"
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Looked for in the folder of the file that names it and those above it, then in the
    working directory and those above it."""


class Listed(NamedTuple):
    """One card that can be named; `problem` says why it can't be read, where it can't."""

    name: str
    title: str
    licence: str
    path: Path
    problem: str = ""


def _documents(spec: CardSpec, base: Path) -> tuple[Document, ...]:
    path = _find(spec.name, base)
    source = read_card(path).wrapped()
    return topics() if source is None else documents(source, path.parent)


@corpora.register(
    CardSpec,
    fingerprint=lambda _: {"format": "1", "python": platform.python_version()},
    documents=_documents,
)
def load(spec: CardSpec, base: Path) -> Corpus:
    """Read the corpus that a card describes.

    Raises:
        SpecError: no such card (lists those there are), or one that says what can't be meant.
        MissingError: what the card names isn't here.
        DataError: names file and line of what is wrong in the data.
    """
    path = _find(spec.name, base)
    card = read_card(path)
    source = card.wrapped()
    # Checked here, where it is known which loader gave it.
    corpus = load_topics(card, path) if source is None else open_checked(source, path.parent)
    about = {"title": card.title, "licence": card.licence, "description": card.description}
    return replace(corpus, name=card.name, about={**corpus.about, **about})


def cards(base: Path | None = None) -> list[Listed]:
    """All cards that can be named from a folder (or the working directory), by name.

    A card that can't be read is listed with its problem and hides no other.
    """
    found = []
    for name, path in sorted(_reachable(base or Path.cwd()).items()):
        try:
            card = read_card(path)
        except MoxError as error:
            found.append(Listed(name, "", "", path, error.message))
        else:
            found.append(Listed(name, card.title, card.licence, path))
    return found


def _find(name: str, base: Path) -> Path:
    known = _reachable(base)
    if name in known:
        return known[name]
    folders = " or ".join(str(folder) for folder in _folders(base))
    raise SpecError(
        f"no card {name!r} in {folders or 'any folder `datasets`'}{nearest(name, known)}.",
        mend=f"use one of {', '.join(sorted(known))}."
        if known
        else f"write datasets/{name}/card.yaml beside or above the file that names it.",
    )


def _reachable(base: Path) -> dict[str, Path]:
    """Name → card.yaml; of several cards of a name the nearest."""
    found: dict[str, Path] = {}
    for folder in _folders(base):
        for path in folder.glob("*/card.yaml"):
            found.setdefault(path.parent.name, path)
    return found


def _folders(base: Path) -> Iterator[Path]:
    here, there = base.absolute(), Path.cwd()
    for folder in dict.fromkeys([here, *here.parents, there, *there.parents]):
        if (folder / "datasets").is_dir():
            yield folder / "datasets"
