"""What can go wrong, in one tree; every message carries its mend.

MoxError
├── SpecError          what a user wrote cannot be meant
│   └── FieldError     … and which field of a Spec it is
├── DataError          a corpus, a question or a label is not what it says
├── MissingError       a package, a model or a file that was asked for is not here
├── EngineError        a store or a server refused, is away, or built something else
├── ProviderError      a provider of models refused, failed, or did not answer; `kind` says how
├── PoolError          no account may take a call in time; `would_wait_s` says how long
├── PriceError         what something costs is not known, or not believable
├── BudgetError        the next call would cost more than is left; it was not made
├── StoreError         the state folder cannot be used as it is
└── StageError         a stage failed, died or ran past its time
    └── StageTimeout
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mox.types.providers import ErrorKind, Usage


class MoxError(Exception):
    """Base of all errors that Mox raises on purpose.

    Args:
        message: what is wrong, naming the place.
        mend: what the reader can do about it.
    """

    def __init__(self, message: str, *, mend: str) -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.message}\n  mend: {self.mend}"


class SpecError(MoxError):
    """What a user wrote cannot be meant."""


class FieldError(SpecError):
    """A Spec refused one field; `field` names it, dotted."""

    def __init__(self, message: str, *, mend: str, field: str) -> None:
        super().__init__(message, mend=mend)
        self.field = field


class DataError(MoxError):
    """A corpus, a question or a label is not what it says."""


class MissingError(MoxError):
    """A package, a model or a file that was asked for is not here."""


class EngineError(MoxError):
    """A store or a server refused, is away, or built something else than asked for."""


class ProviderError(MoxError):
    """A provider of models refused, failed, or did not answer.

    Args:
        kind: one of `mox.types.providers.ErrorKind`.
        status: of HTTP, where there was one.
        retry_after_s: how long the provider asks to wait.
        request_id: the provider's own, for its support.
        usage: what the provider counted all the same; it is charged.
        billable: whether it may be charged though nobody counted (`mox.providers.charging`); None
            where its kind tells.
    """

    def __init__(
        self,
        message: str,
        *,
        mend: str,
        kind: ErrorKind,
        status: int | None = None,
        retry_after_s: float | None = None,
        request_id: str | None = None,
        usage: Usage | None = None,
        billable: bool | None = None,
    ) -> None:
        super().__init__(message, mend=mend)
        self.kind = kind
        self.status = status
        self.retry_after_s = retry_after_s
        self.request_id = request_id
        self.usage = usage
        self.billable = billable


class PoolError(MoxError):
    """No account may take a call within its deadline, or all are put aside.

    Args:
        would_wait_s: how long the call would have waited; None where no time is known.
        why: `late`: nothing is free by the deadline. `held`: its provider asked to wait longer.
            `turn`: others are first. `closed`, `tried`: its provider fails. `aside`: it is put
            aside, by somebody or since its quota is used up. `limits`: somebody else states other
            ones. Empty where the pool isn't used as it can be.
    """

    def __init__(
        self, message: str, *, mend: str, would_wait_s: float | None = None, why: str = ""
    ) -> None:
        super().__init__(message, mend=mend)
        self.would_wait_s = would_wait_s
        self.why = why


class PriceError(MoxError):
    """What something costs is not known, or not believable."""


class BudgetError(MoxError):
    """The next call would cost more than is left; it was not made."""


class StoreError(MoxError):
    """The state folder cannot be used as it is."""


class StageError(MoxError):
    """A stage failed or its worker died."""


class MirrorWarning(UserWarning):
    """Results are kept in the store, and MLflow doesn't have them yet; `mox sync` writes them."""


class MemoWarning(UserWarning):
    """An answer could not be remembered, here or for other machines; it is whole all the same."""


class PoolWarning(UserWarning):
    """Redis is away: each process goes on with its own share of the limits."""
