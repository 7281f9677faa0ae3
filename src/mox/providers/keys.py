"""Keys: from the environment or a file, at the moment of use, and nowhere else."""

from __future__ import annotations

import os
import re

from mox.errors import MissingError, SpecError
from mox.providers.spec import ProviderSpec

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def key_of(spec: ProviderSpec) -> str | None:
    """The key that a spec points to; None where it points to none and needs none.

    Raises:
        MissingError: the variable is not set, or the file is not there or empty.
        SpecError: the variable's name is none (a key was written there, most likely).
    """
    if spec.key_file is not None:
        path = spec.key_file.expanduser()
        try:
            found = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise MissingError(
                f"{spec.kind}: the key file {path} can't be read ({error.strerror}).",
                mend="write the key, and nothing else, into that file.",
            ) from None
        if not found:
            raise MissingError(f"{spec.kind}: the key file {path} is empty.", mend="write the key.")
        return found
    name = spec.key_env or spec.KEY_ENV
    if name is None:
        return None
    if not _NAME.fullmatch(name):
        # Never repeated: what stands there is a key, most likely.
        raise SpecError(
            f"{spec.kind}.key_env is no name of a variable.",
            mend="write the variable's name (OPENAI_API_KEY), never the key itself.",
        )
    found = os.environ.get(name, "").strip()
    if not found:
        raise MissingError(
            f"{spec.kind}: no key, {name} is not set.",
            mend=f"export {name}=…, or name another variable with key_env, or a file with"
            " key_file.",
        )
    return found


def has_key(spec: ProviderSpec) -> bool:
    """Whether a spec's key can be read now."""
    try:
        key_of(spec)
    except MissingError:
        return False
    return True
