"""Providers whose accounts state limits: their requests wait for the token pool's leave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mox.bench.providers.client import Member, Pooling, Target
from mox.errors import FieldError
from mox.registry import validate

if TYPE_CHECKING:
    from mox.bench.providers.entries import Named
    from mox.providers.pool import Limits
    from mox.providers.spec import ProviderSpec

OF_ACCOUNT = ("key_env", "key_file", "account")
"""What tells a provider's accounts apart."""


def limits_of(written: Mapping[str, Any]) -> Limits:
    """Limits as the file has them.

    Raises:
        FieldError: none is stated, or they can't be meant.
    """
    from mox.providers.pool import Limits

    try:
        return validate(Limits, written, name="limits")
    except FieldError as error:
        place = f"limits.{error.field}" if error.field else "limits"
        raise FieldError(error.message, mend=error.mend, field=place) from None


def accounts(one: Named) -> Iterator[tuple[str, ProviderSpec, Limits]]:
    """Name, Spec and limits of each account; none where the provider isn't pooled.

    Raises:
        FieldError: an account states no limits, or has a field that it can't have.
    """
    shared = one.entry.limits
    if one.entry.accounts is None:
        if shared is not None:
            yield one.name, one.spec, limits_of(shared)
        return
    for at, written in enumerate(one.entry.accounts):
        rest = {name: value for name, value in written.items() if name != "limits"}
        plain = one.spec.model_dump(exclude_unset=True)
        spec = validate(type(one.spec), {**plain, **rest}, name=f"accounts.{at}")
        name = next((str(rest[key]) for key in OF_ACCOUNT if key in rest), f"{one.name} {at}")
        yield name, spec, limits_of(written.get("limits") or shared or {})


def pooling(one: Named, target: Target, *, url: str | None) -> Pooling | None:
    """The pool that a provider's requests wait for; None where no limits are stated.

    Args:
        target: its own; each account's differs in its key.
        url: of a Redis that all processes share; None: the pool of one client process.
    """
    from dataclasses import replace

    from mox.providers.pool import Account

    members = [
        Member(
            Account(name, limits, provider=spec.kind),
            replace(
                target,
                key_env=(spec.key_env or spec.KEY_ENV) if spec.key_file is None else None,
                key_file=spec.key_file,
                account=getattr(spec, "account", target.account),
            ),
        )
        for name, spec, limits in accounts(one)
    ]
    return Pooling(tuple(members), url) if members else None
