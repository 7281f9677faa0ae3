"""Accounts as they are written down: each with its key, and the limits that its provider states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mox.errors import FieldError
from mox.registry import validate
from mox.secrets import looks_like_a_key, scrub

if TYPE_CHECKING:
    from mox.providers.pool.limits import Account, Limits
    from mox.providers.spec import ProviderSpec

OF_ACCOUNT = ("name", "key_env", "key_file", "account")
"""What tells a provider's accounts apart; the first that is written names one."""


@dataclass(frozen=True, slots=True)
class Stated:
    """An account with its limits."""

    name: str
    spec: ProviderSpec
    """The provider's, with this account's key."""
    limits: Limits

    def account(self) -> Account:
        """As the pool knows it."""
        from mox.providers.pool.limits import Account

        service = service_of(self.spec)
        name = book_name(self.name, service, self.spec.model, self.limits)
        return Account(name, self.limits, service, kind=self.spec.kind, owner=self.name)


def stated(
    spec: ProviderSpec,
    written: Sequence[Mapping[str, Any]],
    *,
    name: str,
    limits: Mapping[str, Any] | None = None,
) -> Iterator[Stated]:
    """The accounts of a provider.

    Args:
        written: of each, `name`, `key_env` or `key_file`, and its `limits`; a limit may also stand
            beside them (`requests_per_min: 500`).
        name: of those that have neither name nor key.
        limits: of those that state none.

    Raises:
        FieldError: an account states no limits, has a field that it can't have, or the name of
            another one.
    """
    from mox.providers.pool.limits import Limits

    names: set[str] = set()
    for at, one in enumerate(written):
        beside = {key: value for key, value in one.items() if key in Limits.model_fields}
        rest = {key: value for key, value in one.items() if key not in (*beside, "limits", "name")}
        plain = spec.model_dump(exclude_unset=True)
        own = validate(type(spec), {**plain, **rest}, name=f"accounts.{at}")
        otherwise = name if len(written) == 1 else f"{name} {at}"
        called = next((str(one[key]) for key in OF_ACCOUNT if one.get(key)), otherwise)
        _check_name(called, names, at)
        names.add(called)
        found = {**(one.get("limits") or {}), **beside} or limits or {}
        yield Stated(called, own, limits_of(found))


def limits_of(written: Mapping[str, Any]) -> Limits:
    """Limits as they are written.

    Raises:
        FieldError: none is stated, or they can't be meant.
    """
    from mox.providers.pool.limits import Limits

    try:
        return validate(Limits, written, name="limits")
    except FieldError as error:
        place = f"limits.{error.field}" if error.field else "limits"
        raise FieldError(error.message, mend=error.mend, field=place) from None


def book_name(account: str, service: str, model: str, limits: Limits) -> str:
    """What an account's book is called in the pool, the same for all who use it up: chat models
    and embedders, each process and each file."""
    return f"{account} {service} {limits.models or model}"


def service_of(spec: ProviderSpec) -> str:
    """Who answers: a host, and its port where it isn't the scheme's own; never a password."""
    from mox.providers import providers

    url = next((one for key in ("base_url", "url") if (one := getattr(spec, key, None))), None)
    if url is None:
        return str(providers.fingerprint(spec).get("service", spec.kind))
    return urlsplit(str(url)).netloc.rpartition("@")[2].lower()


def key_files_from(written: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Settings whose relative `key_file` starts from a folder, as those of a file that names one
    do; so also those of its `accounts`."""
    found = dict(written)
    name = found.get("key_file")
    if isinstance(name, str):
        found["key_file"] = str(base / Path(name).expanduser())
    accounts = found.get("accounts")
    if isinstance(accounts, list | tuple):
        found["accounts"] = [
            key_files_from(one, base) if isinstance(one, Mapping) else one for one in accounts
        ]
    return found


def _check_name(name: str, taken: set[str], at: int) -> None:
    if looks_like_a_key(name) or scrub(name) != name:
        raise FieldError(
            f"accounts.{at}.name holds a key or another secret; names are stored and shown.",
            mend="give it a plain name, and name its key's variable with key_env.",
            field=f"accounts.{at}.name",
        )
    if name in taken:
        raise FieldError(
            f"two accounts are called {name!r}.",
            mend="several keys of one project share its limits and are one account: write it once."
            " Give others a `name:` of their own.",
            field=f"accounts.{at}",
        )
