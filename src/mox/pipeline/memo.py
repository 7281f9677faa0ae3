"""Vectors by (embedder, text): a text is embedded once, whichever chunkings it comes from.

A folder per embedder holds segments, each a pair of files: hashes and vectors of one batch.
The hashes' file is renamed into place last and makes the segment count; a killed writer
leaves at most one batch undone.
"""

from __future__ import annotations

import hashlib
import io
import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mox.pipeline.store import unwritable, write_synced
from mox.spec import Spec, digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.types import Floats

BATCH = 1024
"""Texts a segment: a second or so of a small transformer's work, all that a kill can lose."""
SEGMENTS = 64
"""Above this many segments they are merged into one."""


def memo_of(root: Path, embedder: Spec, fingerprint: Mapping[str, str]) -> tuple[str, VectorMemo]:
    """The name of an embedder's lock, and its memo.

    Args:
        root: the state folder.
    """
    # Whether cutting texts off is allowed changes no vector.
    model = embedder.model_dump(mode="json", exclude={"truncate"})
    name = digest({"embedder": model, "fingerprint": dict(fingerprint)})
    return name, VectorMemo(root / "memo" / name[:24])


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
    ) -> tuple[Floats, int]:
        """Vectors of all texts, in order; only those not known yet are embedded.

        Args:
            embed: texts → (texts, dims) vectors; or those of the first of them, one at least.
            tick: called after each batch that was embedded and stored.

        Returns:
            (texts, dims) float32, and how many texts were embedded now.
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
            self._append(batch, made)
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

    def lacks(self, texts: Iterable[str]) -> list[str]:
        """Texts that aren't known yet, each once. Changes nothing."""
        import numpy as np

        known: set[bytes] = set()
        for name in self.folder.glob("*.hash.npy"):
            try:
                raw = np.load(name, allow_pickle=False).tobytes()
            except (OSError, ValueError, EOFError):
                continue  # merged meanwhile, or damaged
            known.update(raw[at : at + 16] for at in range(0, len(raw), 16))
        return [text for text in dict.fromkeys(texts) if _hash(text) not in known]

    def _open(self) -> tuple[dict[bytes, tuple[int, int]], list[Floats]]:
        import numpy as np

        known: dict[bytes, tuple[int, int]] = {}
        parts: list[Floats] = []
        names = sorted(self.folder.glob("*.hash.npy"))
        for name in names:
            try:
                hashes = np.load(name, allow_pickle=False)
                vectors = np.load(_vectors_of(name), mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError, EOFError):
                # Cut short by the file system, not by us: its texts are embedded again.
                name.unlink(missing_ok=True)
                continue
            raw = hashes.tobytes()
            for row in range(len(hashes)):
                known.setdefault(raw[row * 16 : row * 16 + 16], (len(parts), row))
            parts.append(vectors)
        if len(names) > SEGMENTS:
            self._merge(known, parts, names)
        return known, parts

    def _append(self, codes: Sequence[bytes], vectors: Floats) -> None:
        import numpy as np

        self.folder.mkdir(parents=True, exist_ok=True)
        hashes = np.frombuffer(b"".join(codes), dtype=np.uint8).reshape(-1, 16)
        name = self.folder / f"{uuid.uuid4().hex}.hash.npy"
        temporary = name.with_suffix(f".{os.getpid()}.tmp")
        try:
            write_synced(_vectors_of(name), _npy(vectors))
            write_synced(temporary, _npy(hashes))
            temporary.rename(name)
        except OSError as error:
            _vectors_of(name).unlink(missing_ok=True)
            temporary.unlink(missing_ok=True)
            raise unwritable(self.folder, error) from None

    def _merge(
        self, known: dict[bytes, tuple[int, int]], parts: list[Floats], names: Sequence[Path]
    ) -> None:
        import numpy as np

        codes = list(known)
        merged = np.stack([parts[part][row] for part, row in known.values()])
        self._append(codes, merged)
        for name in names:
            name.unlink(missing_ok=True)
            _vectors_of(name).unlink(missing_ok=True)


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _vectors_of(hashes: Path) -> Path:
    return hashes.with_name(hashes.name.replace(".hash.npy", ".vectors.npy"))


def _npy(array: NDArray[np.float32] | NDArray[np.uint8]) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
