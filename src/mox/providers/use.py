"""What a model is opened for."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Use(BaseModel):
    """What a model is opened for. Nothing of it changes an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    budget_usd: float | str | None = None
    """What may be spent through it, at most; 0 refuses whatever costs something."""
    run: str | None = None
    """Whose budget it is, in the ledger; one of its own where not set."""
    purpose: str = "answer"
    """As the ledger calls it: `answer`, `judge`, …"""
    trial: str | None = None
    remember: bool = True
    """Whether what was answered before is answered from memory, for nothing."""
    priority: Literal["interactive", "batch"] = "interactive"
    """Who waits for an answer goes before what runs by itself."""
    tenant: str = ""
    """On whose behalf; those who want more than there is share it alike."""
    shared: bool = False
    """Share the accounts' limits with all processes of this machine. With MOX_REDIS_URL, or after
    `mox up redis`, they are shared with all that use it, whatever stands here."""
