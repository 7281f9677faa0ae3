"""Vectors by (embedder, text): a text is embedded once, whichever chunkings it comes from.

A folder per embedder holds segments, each a pair of files: hashes and vectors of one batch.
The hashes' file is renamed into place last and makes the segment count; a killed writer
leaves at most one batch undone. Of what was paid for it holds a second array: the tokens that each
text was billed.
"""

from __future__ import annotations

import hashlib
import io
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mox.embedding import embedders
from mox.pipeline.disk import unreadable, unwritable, write_synced
from mox.spec import Spec, digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mox.types import Floats, Ints

FOLDER = 24
"""Letters of a memo's name that its folder is called by."""
BATCH = 1024
"""Texts a segment: a second or so of a small transformer's work, all that a kill can lose."""
SEGMENTS = 64
"""Above this many segments they are merged into one."""
_LOST = (FileNotFoundError, ValueError, EOFError)
"""What a segment raises that is gone or cut short. All else says nothing of its bytes, and what
it holds was maybe paid for."""
UNKNOWN = -1
"""Tokens of a text that nobody was paid for, or whose segment is older than their count."""


def memo_of(root: Path, embedder: Spec, fingerprint: Mapping[str, str]) -> tuple[str, VectorMemo]:
    """The name of an embedder's lock, and its memo.

    Args:
        root: the state folder.
    """
    paid = "paid" in embedders.entry(embedder.kind).traits
    name = name_of(model_of(embedder.model_dump(mode="json"), paid=paid), fingerprint)
    return name, VectorMemo(root / "memo" / name[:FOLDER])


def model_of(settings: Mapping[str, Any], *, paid: bool) -> dict[str, Any]:
    """Those of an embedder's settings that the vector of a text depends on.

    Whether cutting texts off is allowed changes none: a model of ours reads as far either way, and
    of one that is paid the texts are kept as they are sent (`PaidEmbedder.sent`). So how far a
    paid one reads changes none either: what it has read is paid for once.
    """
    model = {name: value for name, value in settings.items() if name != "truncate"}
    return {**model, "reads": None} if paid and "reads" in model else model


def name_of(model: Mapping[str, Any], fingerprint: Mapping[str, str]) -> str:
    """The name of a model's memo; its folder has the first letters of it."""
    return digest({"embedder": dict(model), "fingerprint": dict(fingerprint)})


class VectorMemo:
    """Vectors of one embedder. Its user holds the embedder's lock while it writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def vectors(
        self,
        texts: Sequence[str],
        embed: Callable[[Sequence[str]], Floats],
        dims: int,
        *,
        tick: Callable[[], None],
        billed: Callable[[Sequence[str]], Ints] | None = None,
    ) -> tuple[Floats, int]:
        """Vectors of all texts, in order; only those not known yet are embedded.

        Args:
            embed: texts → (texts, dims) vectors; or those of the first of them, one at least.
            tick: called after each batch that was embedded and stored.
            billed: texts that were just embedded → (texts,) tokens that each was billed.

        Returns:
            (texts, dims) float32, and how many texts were embedded now.

        Raises:
            StoreError: a segment can't be read, which may pass, or be written. None is removed.
        """
        import numpy as np

        hashes = [_hash(text) for text in texts]
        known, parts = self._open()
        fresh: dict[bytes, str] = {}
        for code, text in zip(hashes, texts, strict=True):
            if code not in known and code not in fresh:
                fresh[code] = text
        codes = list(fresh)
        done = 0
        while done < len(codes):
            batch = codes[done : done + BATCH]
            made = np.ascontiguousarray(embed([fresh[code] for code in batch]), dtype=np.float32)
            batch = batch[: len(made)]
            tokens = billed([fresh[code] for code in batch]) if billed else None
            self._append(batch, made, tokens)
            done += len(batch)
            for row, code in enumerate(batch):
                known[code] = (len(parts), row)
            parts.append(made)
            tick()
        found = np.empty((len(texts), dims), dtype=np.float32)
        where = np.array([known[code] for code in hashes], dtype=np.int64).reshape(-1, 2)
        for at, part in enumerate(parts):
            wanted = np.flatnonzero(where[:, 0] == at)
            if len(wanted):
                found[wanted] = part[where[wanted, 1]]
        return found, len(codes)

    def billed(self, texts: Iterable[str]) -> dict[str, int]:
        """Tokens that texts were billed, as far as that is known. Changes nothing."""
        found: dict[bytes, int] = {}
        for name in self.folder.glob("*.hash.npy"):
            try:
                codes, tokens = _read(name)
            except _LOST:
                continue  # merged meanwhile, or damaged
            found |= {
                code: count for code, count in zip(codes, tokens, strict=True) if count != UNKNOWN
            }
        named = {text: _hash(text) for text in texts}
        return {text: found[code] for text, code in named.items() if code in found}

    def lacks(self, texts: Iterable[str]) -> list[str]:
        """Texts that aren't known yet, each once. Changes nothing."""
        known: set[bytes] = set()
        for name in self.folder.glob("*.hash.npy"):
            try:
                known.update(_read(name)[0])
            except _LOST:
                continue  # merged meanwhile, or damaged
        return [text for text in dict.fromkeys(texts) if _hash(text) not in known]

    def _open(self) -> tuple[dict[bytes, tuple[int, int]], list[Floats]]:
        import numpy as np

        known: dict[bytes, tuple[int, int]] = {}
        parts: list[Floats] = []
        counts: list[list[int]] = []
        names = sorted(self.folder.glob("*.hash.npy"))
        for name in names:
            try:
                codes, tokens = _read(name)
                with _readable(_vectors_of(name)) as file:
                    vectors = np.load(file, mmap_mode="r", allow_pickle=False)
            except _LOST:
                # Cut short by the file system, not by us: its texts are embedded again.
                name.unlink(missing_ok=True)
                continue
            for row, code in enumerate(codes):
                known.setdefault(code, (len(parts), row))
            parts.append(vectors)
            counts.append(tokens)
        if len(names) > SEGMENTS:
            merged = np.stack([parts[part][row] for part, row in known.values()])
            billed = np.array([counts[part][row] for part, row in known.values()], dtype=np.int32)
            self._append(list(known), merged, billed)
            for name in names:
                name.unlink(missing_ok=True)
                _vectors_of(name).unlink(missing_ok=True)
        return known, parts

    def _append(self, codes: Sequence[bytes], vectors: Floats, tokens: Ints | None) -> None:
        import numpy as np

        self.folder.mkdir(parents=True, exist_ok=True)
        hashes = np.frombuffer(b"".join(codes), dtype=np.uint8).reshape(-1, 16)
        name = self.folder / f"{uuid.uuid4().hex}.hash.npy"
        temporary = name.with_suffix(f".{os.getpid()}.tmp")
        try:
            write_synced(_vectors_of(name), _npy(vectors))
            counted = b"" if tokens is None or (tokens == UNKNOWN).all() else _npy(tokens)
            write_synced(temporary, _npy(hashes) + counted)
            temporary.rename(name)
        except OSError as error:
            _vectors_of(name).unlink(missing_ok=True)
            temporary.unlink(missing_ok=True)
            raise unwritable(self.folder, error) from None


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _read(hashes: Path) -> tuple[list[bytes], list[int]]:
    """A segment's hashes, and the tokens that each text was billed.

    Raises:
        FileNotFoundError, ValueError, EOFError: the file is gone, or cut short.
        StoreError: the system doesn't let it be read.
    """
    import numpy as np

    with _readable(hashes), hashes.open("rb") as file:
        raw = np.load(file, allow_pickle=False).tobytes()
        codes = [raw[at : at + 16] for at in range(0, len(raw), 16)]
        if not file.peek(1):
            return codes, [UNKNOWN] * len(codes)
        tokens: list[int] = np.load(file, allow_pickle=False).tolist()
        return codes, tokens


@contextmanager
def _readable(path: Path) -> Iterator[Path]:
    """Read a file in here: what the system refuses is no damage."""
    try:
        yield path
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unreadable(path, error) from None


def _vectors_of(hashes: Path) -> Path:
    return hashes.with_name(hashes.name.replace(".hash.npy", ".vectors.npy"))


def _npy(array: NDArray[Any]) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
