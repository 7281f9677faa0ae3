"""Which of a file's providers can be asked: those whose key is there."""

from __future__ import annotations

from mox.bench.providers.entries import Named
from mox.bench.providers.pooling import accounts
from mox.errors import FieldError, MissingError, MoxError, SpecError
from mox.providers.spec import ProviderSpec
from mox.source import Source

WHOSE = {"openai": "OpenAI", "anthropic": "Anthropic"}
"""Kinds that take their own provider's keys only."""


def reachable(source: Source, every: tuple[Named, ...]) -> tuple[tuple[Named, ...], dict[str, str]]:
    """Those whose key is there, and why the optional others are left out."""
    from mox.providers.keys import key_of, refuse_others

    found, left = [], {}
    for one in every:
        specs = _accounts(source, one) or [one.spec]
        try:
            for spec in specs:
                key, whose = key_of(spec), WHOSE.get(spec.kind)
                if key is not None and whose is not None:
                    refuse_others(key, provider=whose, kind=spec.kind)
        except MissingError as error:
            if not one.entry.optional:
                mend = f"{error.mend} Or write `optional: true` to leave it out."
                raise source.error(
                    ("providers", one.at), MissingError(error.message, mend=mend)
                ) from None
            left[one.name] = error.message
        except MoxError as error:
            raise source.error(("providers", one.at), error) from None
        else:
            found.append(one)
    if not found:
        raise source.error(
            ("providers",),
            SpecError(
                "no provider is left: " + "; ".join(left.values()),
                mend="set a key, or add `{kind: simulated, model: sim-swift}`.",
            ),
        )
    return tuple(found), left


def _accounts(source: Source, one: Named) -> list[ProviderSpec]:
    """The Specs of a provider's accounts, where the pool paces it; refused where one states no
    limits."""
    try:
        return [each.spec for each in accounts(one)]
    except FieldError as error:
        raise source.error(("providers", one.at, *error.field.split(".")), error) from None
