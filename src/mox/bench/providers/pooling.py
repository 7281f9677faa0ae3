"""Providers whose accounts state limits: their requests wait for the token pool's leave."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mox.bench.providers.client import Member, Pooling, Target
from mox.providers.accounts import Stated, account_name, limits_of, stated

if TYPE_CHECKING:
    from mox.bench.providers.entries import Named
    from mox.providers.pool import Account


def accounts(one: Named) -> Iterator[Stated]:
    """Each account, with its Spec and its limits; none where the provider isn't pooled.

    Raises:
        FieldError: an account states no limits, or has a field that it can't have.
    """
    shared = one.entry.limits
    if one.entry.accounts is not None:
        yield from stated(one.spec, one.entry.accounts, limits=shared)
    elif shared is not None:
        yield Stated(account_name(one.spec), one.spec, limits_of(shared))


def pooling(one: Named, target: Target, *, url: str | None) -> Pooling | None:
    """The pool that a provider's requests wait for; None where no limits are stated.

    Args:
        target: its own; each account's differs in its key.
        url: of a Redis that all processes share; None: the pool of one client process.
    """
    from dataclasses import replace

    members = []
    for each in accounts(one):
        spec = each.spec
        way = replace(
            target,
            key_env=(spec.key_env or spec.KEY_ENV) if spec.key_file is None else None,
            key_file=spec.key_file,
            account=getattr(spec, "account", target.account),
        )
        members.append(Member(_in_our_time(each.account(), target.time_scale), way))
    return Pooling(tuple(members), url) if members else None


def _in_our_time(account: Account, scale: float) -> Account:
    """An account whose limits are stated in the provider's minutes, as the pool's clock has it: a
    minute that lasts `scale` of ours lets in as much. It has a book of its own: whoever asks it at
    another speed shares nothing with it."""
    from dataclasses import replace

    from mox.providers.pool.limits import PER_MIN, Limits

    if scale == 1:
        return account
    own = account.limits
    rates = (*PER_MIN.values(), "ramp_per_min")
    ours = {name: rate / scale for name in rates if (rate := getattr(own, name)) is not None}
    times = {name: min(60, getattr(own, name) * scale) for name in ("burst_s", "late_s")}
    said = {**own.model_dump(exclude_unset=True), **ours, **times}
    return replace(account, name=f"{account.name} at {scale:g}", limits=Limits(**said))
