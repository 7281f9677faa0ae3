"""Files of the state folder: written so that they are there whole or not at all, removed, and what
is said where the system refuses.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from pathlib import Path

from mox.errors import StoreError

GONE = (FileNotFoundError, NotADirectoryError)
"""That a file isn't there is damage. What else the system says of it may pass: too many files are
open, memory is short, a disk is slow to come back."""
_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def write_synced(path: Path | str, raw: bytes) -> None:
    """Write a file whose bytes are on the disk when this returns."""
    with open(path, "wb") as file:  # noqa: PTH123  a hot path, as those below
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())


def write_unsynced(path: str, raw: bytes) -> None:
    """Write a file whose bytes the system brings to the disk when it likes."""
    with open(path, "wb", buffering=0) as file:  # noqa: PTH123
        left = memoryview(raw)
        while left:
            left = left[file.write(left) :]


def read_bytes(path: str) -> bytes:
    """All bytes of a file, by one read where it is small."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        return file.read()


def write_whole(path: Path, raw: bytes) -> None:
    """Write or replace a file at once: a reader sees the old bytes or the new ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    try:
        write_synced(temporary, raw)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path | str) -> None:
    """Make a rename in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_tree(path: Path) -> None:
    """Remove a file, or a folder with all in it; no error where there is none.

    Raises:
        StoreError: the system doesn't let it be removed.
    """
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        return  # another process removes it too
    except OSError as error:
        raise unremovable(path, error) from None


def unremovable(path: Path, error: OSError) -> StoreError:
    """A clear error for a path that the system would not remove."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    said = "the disk is full" if full else error.strerror
    mend = "free some space by other means" if full else "make MOX_HOME writable for this user"
    return StoreError(
        f"cannot remove {path}: {said}.",
        mend=f"{mend} and run `mox gc` again; what is stored is whole.",
    )


def unwritable(path: Path, error: OSError) -> StoreError:
    """A clear error for a path that the system would not write."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            f"the disk is full: cannot write {path}.",
            mend="free some space (`mox gc` removes what no run needs) and run again: what was"
            " finished is kept.",
        )
    return StoreError(f"cannot write {path}: {error.strerror}.", mend="check MOX_HOME.")


def unreadable(path: Path, error: OSError, *, redone: bool = False) -> StoreError:
    """A clear error for what is there and can't be read now: nothing is known to be damaged.

    Args:
        redone: whether the path is an artifact's folder, which a run makes again where it is gone.
    """
    if error.errno in _SHORT:
        mend = "raise the limit (`ulimit -n` for files, `ulimit -v` for memory) and run again"
    else:
        mend = "check the disk, and that this user may read MOX_HOME"
        if redone:  # this user may never read it: a bad block, another owner
            mend += ", or remove that folder, which is redone"
        mend += "; then run again"
    return StoreError(
        f"{path} cannot be read: {error.strerror or error}.", mend=f"{mend}: nothing was removed."
    )
