"""The door to a model: what is written becomes accounts, limits, a budget, and a `Model`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from mox.errors import SpecError
from mox.providers.accounts import stated
from mox.providers.model import Model
from mox.providers.spec import ProviderSpec
from mox.providers.use import Use
from mox.registry import validate


def model(
    spec: str | Mapping[str, Any] | ProviderSpec,
    *,
    accounts: Sequence[Mapping[str, Any]] | None = None,
    limits: Mapping[str, Any] | None = None,
    budget_usd: float | str | None = None,
    run: str | None = None,
    purpose: str = "answer",
    trial: str | None = None,
    remember: bool = True,
    priority: Literal["interactive", "batch"] = "interactive",
    tenant: str = "",
    shared: bool = False,
) -> Model:
    """Open a model. Nothing is asked yet.

    Args:
        spec: `openai/gpt-5.4-mini`, or settings: `{"kind": "openai", "model": "gpt-5.4-mini"}`.
        accounts: several that it may be asked on, each with `name`, `key_env` or `key_file`, and
            its `limits`; where None, the one whose key the spec points to. One without a name is
            called after where its key stands, and so shares its limits with all that use it.
        limits: of accounts that state none: `requests_per_min`, `tokens_per_min` (or
            `input_per_min` and `output_per_min`), or `unlimited: true`. Needed, except for a
            simulator in this process.
        budget_usd: see `Use`, as for all further ones.

    Raises:
        SpecError: what is written can't be meant, or an account states no limits.
        MissingError: no key, or an extra isn't installed.
        ProviderError: `auth`, a key is another provider's.
        PriceError: what the model costs isn't known.
        EngineError: the Redis to share limits by doesn't answer.
    """
    read = spec if isinstance(spec, ProviderSpec) else parsed(spec)
    use = validate(
        Use,
        {
            "budget_usd": budget_usd, "run": run, "purpose": purpose, "trial": trial,
            "remember": remember, "priority": priority, "tenant": tenant, "shared": shared,
        },
        name="mox.model",
    )  # fmt: skip
    if limits is None and read.kind == "simulated" and getattr(read, "url", None) is None:
        limits = {"unlimited": True}
    ways = list(stated(read, accounts or [{}], limits=limits))
    from mox.providers.opened import Opened

    return Model(f"{read.kind}/{read.model}", Opened(ways, use))


def parsed(spec: str | Mapping[str, Any]) -> ProviderSpec:
    """The Spec of `KIND/MODEL`, or of settings.

    Raises:
        SpecError: it names no provider of models, or has a field that one hasn't.
    """
    from mox.providers import providers

    if isinstance(spec, str):
        kind, slash, name = spec.partition("/")
        if not slash or not name:
            raise SpecError(
                f"{spec!r} names no model.", mend="write KIND/MODEL: simulated/sim-swift."
            )
        spec = {"kind": kind, "model": name}
    read = providers.parse(spec)
    if not isinstance(read, ProviderSpec):
        raise SpecError(f"{read.kind} is no provider of models.", mend="name another kind.")
    return read
