"""Keys: from the environment or a file, at the moment of use, and nowhere else."""

from __future__ import annotations

import os

from mox.errors import MissingError, ProviderError
from mox.providers.spec import ProviderSpec
from mox.secrets import guard
from mox.settings import expanded

_BEGINS = {"sk-ant-": "Anthropic", "sk-": "OpenAI", "gsk_": "Groq", "xai-": "xAI"}
"""Whose a key is, by how it begins; the longer beginnings first."""
_HOSTS = {"api.openai.com": "OpenAI", "api.anthropic.com": "Anthropic"}


def key_of(spec: ProviderSpec) -> str | None:
    """The key that a spec points to; None where it points to none and needs none.

    From now on `mox.secrets.scrub` hides it, wherever it was read.

    Raises:
        MissingError: the variable is not set, the file is not there or empty, or what stands in
            either can't be a key.
    """
    if spec.key_file is not None:
        path = expanded(spec.key_file)
        try:
            found = path.read_text(encoding="utf-8").strip()
        except UnicodeDecodeError:
            raise MissingError(
                f"{spec.kind}: the key file {path} is no text.",
                mend="write the key, and nothing else, into that file.",
            ) from None
        except OSError as error:
            raise MissingError(
                f"{spec.kind}: the key file {path} can't be read ({error.strerror}).",
                mend="write the key, and nothing else, into that file.",
            ) from None
        if not found:
            raise MissingError(f"{spec.kind}: the key file {path} is empty.", mend="write the key.")
        return _key(found, f"the key file {path}", spec)
    name = spec.key_env or spec.KEY_ENV
    if name is None:
        return None
    found = os.environ.get(name, "").strip()
    if not found:
        raise MissingError(
            f"{spec.kind}: no key, {name} is not set.",
            mend=f"export {name}=…, or name another variable with key_env, or a file with"
            " key_file.",
        )
    return _key(found, name, spec)


def _key(found: str, place: str, spec: ProviderSpec) -> str:
    """What was found, if it can be sent in a header; else nothing is said but where it stands."""
    if not found.isascii() or not found.isprintable() or " " in found:
        raise MissingError(
            f"{spec.kind}: {place} holds characters that no key has, such as a space, a line break"
            " or a typographic dash.",
            mend="write the key there once more, and nothing else.",
        )
    return guard(found)


def owner_of(host: str) -> str | None:
    """Whose address it is, of the providers whose keys are known by how they begin."""
    return _HOSTS.get(host.lower())


def refuse_others(key: str | None, *, provider: str | None, kind: str) -> None:
    """Refuse a key that is another provider's by how it begins, before it is sent there.

    Args:
        provider: whose key it has to be, `OpenAI` or `Anthropic`; None: anybody's.

    Raises:
        ProviderError: `auth`; the key is not repeated.
    """
    if key is None or provider is None:
        return
    start = next((start for start in _BEGINS if key.startswith(start)), None)
    if start is not None and _BEGINS[start] != provider:
        raise ProviderError(
            f"{kind}: the key begins as {_BEGINS[start]}'s do ({start}…), and would have gone to"
            f" {provider}. It was not sent.",
            mend=f"point key_env or key_file to a key of {provider}.",
            kind="auth",
        )
