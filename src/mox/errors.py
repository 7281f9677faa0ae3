"""What can go wrong, in one tree; every message carries its mend.

MoxError
├── SpecError          what a user wrote cannot be meant
│   └── FieldError     … and which field of a Spec it is
├── DataError          a corpus, a question or a label is not what it says
├── MissingError       a package, a model or a file that was asked for is not here
├── EngineError        a store or a server refused, is away, or built something else
├── StoreError         the state folder cannot be used as it is
└── StageError         a stage failed, died or ran past its time
    └── StageTimeout
"""

from __future__ import annotations


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


class StoreError(MoxError):
    """The state folder cannot be used as it is."""


class StageError(MoxError):
    """A stage failed or its worker died."""


class MirrorWarning(UserWarning):
    """Results are kept in the store, and MLflow doesn't have them yet; `mox sync` writes them."""
