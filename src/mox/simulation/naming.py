"""Models as a configuration names them: one that is known, or one like it with other settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mox.errors import MoxError
from mox.simulation.models import EMBEDDING_MODELS, MODELS
from mox.simulation.profiles import NO_QUEUE, PROFILES, read_profile
from mox.source import Source

BASE = "sim-swift"
EMBEDDING_BASE = "sim-embed-small"
FILES = (".yaml", ".yml")
"""How a profile's name ends that is a file's."""


def models(given: Any) -> Any:
    """Settings of each model, whole: those of the model that it is like, and its own over them.

    `sim-swift` alone, `{like: sim-swift, profile: careful}` and `{profile: {first_s: 1}}` are
    understood; `like` is `sim-swift` where it isn't said.
    """
    return _whole(given, {name: model.model_dump() for name, model in MODELS.items()}, BASE)


def embedding_models(given: Any) -> Any:
    """The same of embedding models; `like` is `sim-embed-small` where it isn't said."""
    known = {name: model.model_dump() for name, model in EMBEDDING_MODELS.items()}
    return _whole(given, known, EMBEDDING_BASE)


def with_profiles(found: Source) -> dict[str, Any]:
    """A file's settings, with each profile that it names as a file beside it read.

    Raises:
        SpecError: no such file, or it holds no profile; names the line.
    """
    settings = dict(found.settings)
    models = settings.get("models")
    if isinstance(models, Mapping):
        settings["models"] = {name: _read(found, name, one) for name, one in models.items()}
    return settings


def _read(found: Source, name: str, model: Any) -> Any:
    file = model.get("profile") if isinstance(model, Mapping) else None
    if not isinstance(file, str) or not file.endswith(FILES):
        return model
    try:
        return {**model, "profile": read_profile(found.base / file).model_dump()}
    except MoxError as error:
        raise found.error(("models", name, "profile"), error) from None


def _whole(given: Any, known: Mapping[str, dict[str, Any]], base: str) -> Any:
    if not isinstance(given, Mapping):
        return given
    return {name: _one(name, settings, known, base) for name, settings in given.items()}


def _one(name: str, given: Any, known: Mapping[str, dict[str, Any]], base: str) -> Any:
    given = {"like": given} if isinstance(given, str) else given
    if not isinstance(given, Mapping):
        return given  # a model already, or what its own class refuses by name
    own = dict(given)
    like = own.pop("like", name if name in known else base)
    if like not in known:
        raise ValueError(f"no model {like!r} to be like; use one of {', '.join(known)}")
    if isinstance(own.get("profile"), str):
        if own["profile"] not in PROFILES:
            raise ValueError(
                f"no profile {own['profile']!r}; use one of {', '.join(PROFILES)}, or in a file of"
                " a simulation the name of a profile's YAML beside it"
            )
        own["profile"] = PROFILES[own["profile"]].model_dump()
    return {**_merged(known[like], own), "name": name}


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(base)
    for name, value in own.items():
        below = found.get(name)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            found[name] = _merged(below, value)
        else:
            found[name] = value
    return found


def even(*, first_s: float = 0.1, token_s: float = 0.02) -> dict[str, Any]:
    """A model without chance or load in its times: one token at a time, as many as are allowed.

    For tests and benchmarks, as a value of `Simulation.models`.
    """
    profile = {
        "name": "even", "network_s": 0.0, "first_s": first_s, "first_per_token_s": 0.0,
        "first_sigma": 0.0, "token_s": token_s, "token_shape": 1e9, "stall_share": 0.0,
        "chunk_shares": [1.0], "slots": NO_QUEUE, "slowdown": 0.0, "fills": True,
    }  # fmt: skip
    return {"like": BASE, "profile": profile}
