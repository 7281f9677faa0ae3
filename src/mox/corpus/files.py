"""Which files of a folder are documents: by suffix and pattern, links and hidden ones apart."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from mox.errors import DataError

_SOURCES = {
    "python": ".py .pyi", "javascript": ".js .mjs .cjs .jsx", "typescript": ".ts .tsx",
    "java": ".java", "kotlin": ".kt .kts", "scala": ".scala", "c": ".c .h",
    "c++": ".cc .cpp .cxx .hh .hpp", "csharp": ".cs", "go": ".go", "rust": ".rs", "swift": ".swift",
    "ruby": ".rb", "php": ".php", "perl": ".pl .pm", "lua": ".lua", "r": ".r", "julia": ".jl",
    "haskell": ".hs", "erlang": ".erl", "elixir": ".ex .exs", "clojure": ".clj", "dart": ".dart",
    "sql": ".sql", "sh": ".sh .bash .zsh", "powershell": ".ps1",
}  # fmt: skip
MEDIA_TYPES = {
    ".txt": "text/plain",
    ".text": "text/plain",
    ".rst": "text/x-rst",
    ".rest": "text/x-rst",
    **dict.fromkeys((".md", ".markdown", ".mkd", ".mdx"), "text/markdown"),
    **{suffix: f"text/x-{name}" for name, all_ in _SOURCES.items() for suffix in all_.split()},
}
"""Suffixes that are read unasked → what a file is then said to be; source files `text/x-…`."""

UNPARSED = frozenset(
    (".pdf", ".doc", ".docx", ".odt", ".rtf", ".ppt", ".pptx", ".xls", ".xlsx", ".epub",
     ".html", ".htm", ".ipynb")
)  # fmt: skip
"""Formats that hold text and that nothing here parses yet."""

_NEVER = frozenset((".git", ".hg", ".svn", ".bzr", "_darcs", "CVS", "node_modules", "__pycache__"))
_WILD = frozenset("*?[")


@dataclass(frozen=True)
class Choice:
    """What to read: patterns as `Folder` has them, split at their slashes."""

    include: tuple[tuple[str, ...], ...]
    exclude: tuple[tuple[str, ...], ...]
    hidden: bool
    apart: Path | None = None
    """The questions: no document, and not left out either."""


def choice(
    include: Iterable[str], exclude: Iterable[str], *, hidden: bool, apart: Path | None
) -> Choice:
    """Patterns ready for matching; one without a slash fits at any depth, as git's do."""
    return Choice(tuple(map(_split, include)), tuple(map(_split, exclude)), hidden, apart)


def chosen(root: Path, choice: Choice, left_out: Counter[str]) -> list[tuple[str, Path]]:
    """Document ids and files, by id. An id is the path from `root`, with `/`, in NFC.

    Neither links nor anything below hidden, version control or environment folders is read.

    Args:
        left_out: counts what isn't read though nothing excludes it, by reason.

    Raises:
        DataError: a folder that can't be listed, a name that is no text, two names that are one
            in NFC, or a pattern of `include` that no file fits.
    """
    found: dict[str, Path] = {}
    fitted: set[tuple[str, ...]] = set()
    for path in _files(root, choice, left_out):
        id_ = _id(root, path)
        parts = tuple(id_.split("/"))
        patterns = [pattern for pattern in choice.include if _fits(parts, pattern)]
        fitted.update(patterns)
        if (choice.include and not patterns) or any(_fits(parts, p) for p in choice.exclude):
            continue
        if reason := _unread(path.name, patterns):
            left_out[reason] += 1
            continue
        if id_ in found:
            raise DataError(
                f"{root}: two files are called {id_!r}, by two spellings of Unicode"
                f" ({found[id_].name!a} and {path.name!a}).",
                mend="rename one of the two, since most tools show them as one.",
            )
        found[id_] = path
    for pattern in choice.include:
        if pattern not in fitted:
            raise DataError(
                f"{root}: no file fits the pattern {'/'.join(pattern)!r} of `include`.",
                mend="patterns are relative to the folder: `*.md` fits at any depth,"
                " `docs/**` all below docs.",
            )
    return sorted(found.items())


def _files(root: Path, choice: Choice, left_out: Counter[str]) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise DataError(
            f"{error.filename}: cannot be listed ({error.strerror}).",
            mend="let it be read, or name it in `exclude`.",
        ) from error

    for folder, folders, names in os.walk(root, onerror=refuse):
        here = Path(folder)
        # A link may lead outside or in a circle; what it leads to inside is read where it is.
        # `os.walk` enters none to a folder.
        links = [name for name in (*folders, *names) if (here / name).is_symlink()]
        left_out["links"] += sum(not _is_hidden(name, choice) for name in links)
        folders[:] = sorted(name for name in folders if _is_entered(here / name, root, choice))
        for name in sorted(names):
            path = here / name
            if name in links or _is_hidden(name, choice) or not path.is_file():
                continue
            if not (choice.apart and choice.apart.name == name and path.samefile(choice.apart)):
                yield path


def _is_hidden(name: str, choice: Choice) -> bool:
    return name.startswith(".") and not choice.hidden


def _is_entered(folder: Path, root: Path, choice: Choice) -> bool:
    if folder.name in _NEVER or _is_hidden(folder.name, choice):
        return False
    if (folder / "pyvenv.cfg").exists() or (folder / "conda-meta").is_dir():
        return False
    parts = folder.relative_to(root).parts
    return not any(_fits(parts, pattern) for pattern in choice.exclude)


def _id(root: Path, path: Path) -> str:
    id_ = unicodedata.normalize("NFC", path.relative_to(root).as_posix())
    try:
        id_.encode()
    except UnicodeEncodeError:
        raise DataError(
            f"{root}: the name {id_!a} is no text (not UTF-8).",
            mend="rename it, or name its folder in `exclude`.",
        ) from None
    return id_


def _unread(name: str, patterns: Sequence[tuple[str, ...]]) -> str:
    """Why a file isn't read; empty where it is.

    A suffix that isn't read unasked is, where a pattern of `include` writes it out.
    """
    suffix = PurePosixPath(name.lower()).suffix
    if suffix in UNPARSED:
        return f"{suffix}, which nothing here parses yet"
    if suffix in MEDIA_TYPES or any(_writes_out(pattern[-1], suffix) for pattern in patterns):
        return ""
    return suffix or "without a suffix"


def _writes_out(pattern: str, suffix: str) -> bool:
    """Whether a pattern names files of this suffix on purpose, or one file."""
    if not _WILD.intersection(pattern):
        return True
    return suffix != "" and PurePosixPath(pattern.lower()).suffix == suffix


def media_type(name: str) -> str:
    """What a file is said to be, by its suffix; `text/plain` where that says nothing."""
    return MEDIA_TYPES.get(PurePosixPath(name.lower()).suffix, "text/plain")


def _split(pattern: str) -> tuple[str, ...]:
    parts = tuple(
        part for part in unicodedata.normalize("NFC", pattern).split("/") if part not in ("", ".")
    )
    return parts if "/" in pattern.rstrip("/") else ("**", *parts)


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path fits a pattern; `**` stands for any number of folders."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_fits(parts[at:], pattern[1:]) for at in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])


def told(left_out: Counter[str]) -> str:
    """What was left out, in words: `2 .pdf, which nothing here parses yet; 1 empty`."""
    kept = sorted((reason, count) for reason, count in left_out.items() if count)
    return "; ".join(f"{count} {reason}" for reason, count in kept)
