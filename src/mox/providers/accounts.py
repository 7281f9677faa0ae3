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
from mox.settings import expanded

if TYPE_CHECKING:
    from mox.providers.pool.limits import Account, Limits
    from mox.providers.spec import ProviderSpec

KEYLESS = "default"
"""What the account of a server is called that asks for no key."""


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
    limits: Mapping[str, Any] | None = None,
) -> Iterator[Stated]:
    """The accounts of a provider.

    Args:
        written: of each, `name`, `key_env` or `key_file`, and its `limits`; a limit may also stand
            beside them (`requests_per_min: 500`). One without a name is called by `account_name`.
        limits: of those that state none.

    Raises:
        FieldError: an account states no limits, has a field that it can't have, or the name of
            another one, or its key for the same server.
    """
    from mox.providers.pool.limits import Limits

    taken: dict[str, str] = {}
    for at, one in enumerate(written):
        beside = {key: value for key, value in one.items() if key in Limits.model_fields}
        rest = {key: value for key, value in one.items() if key not in (*beside, "limits", "name")}
        plain = spec.model_dump(exclude_unset=True)
        if rest.get("key_env") or rest.get("key_file"):  # its own goes before the provider's
            plain = {k: v for k, v in plain.items() if k not in ("key_env", "key_file")}
        own = validate(type(spec), {**plain, **rest}, name=f"accounts.{at}")
        place = account_name(own)
        called = str(one.get("name") or place)
        place += f" at {service_of(own)}"
        _check_name(called, at)
        _check_apart(called, place, taken, at)
        taken[called] = place
        found = {**(one.get("limits") or {}), **beside} or limits
        if not found:
            raise _no_limits(spec)
        yield Stated(called, own, limits_of(found))


def account_name(spec: ProviderSpec) -> str:
    """What an account is called where nobody names it, the same in each process and each file:
    where its key stands, and whose it is of those that a key may belong to."""
    key = spec.key_env or spec.KEY_ENV or getattr(spec, "account", None) or KEYLESS
    if spec.key_file is not None:
        key = str(expanded(spec.key_file).absolute())
    whose = (getattr(spec, name, None) for name in ("organisation", "project"))
    return " ".join([key, *(each for each in whose if each)])


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
    and embedders, each process and each file that calls it alike (see `account_name`)."""
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
        found["key_file"] = str(base / expanded(name))
    accounts = found.get("accounts")
    if isinstance(accounts, list | tuple):
        found["accounts"] = [
            key_files_from(one, base) if isinstance(one, Mapping) else one for one in accounts
        ]
    return found


def _check_name(name: str, at: int) -> None:
    if looks_like_a_key(name) or scrub(name) != name:
        raise FieldError(
            f"accounts.{at}.name holds a key or another secret; names are stored and shown.",
            mend="give it a plain name, and name its key's variable with key_env.",
            field=f"accounts.{at}.name",
        )


def _check_apart(name: str, place: str, taken: Mapping[str, str], at: int) -> None:
    """Refuse what would have two books, and so twice its limits."""
    if place in taken.values():
        raise FieldError(
            f"two accounts are one: both use {place}.",
            mend="write it once, or give each a key of its own with key_env or key_file.",
            field=f"accounts.{at}",
        )
    if name in taken:
        raise FieldError(
            f"two accounts are called {name!r}.",
            mend="several keys of one project share its limits and are one account: write it once."
            " Give others a `name:` of their own.",
            field=f"accounts.{at}",
        )


def _no_limits(spec: ProviderSpec) -> FieldError:
    named = f"{spec.kind}/{spec.model}"
    return FieldError(
        f"{named}: an account states no limits.",
        mend="give `limits`, or each account its own: requests_per_min and tokens_per_min (or"
        " input_per_min and output_per_min) as the provider's page has them, or `unlimited: true`"
        f" for a server of your own. `mox call {named} hello` shows those that its answers tell.",
        field="limits",
    )
