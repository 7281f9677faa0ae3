"""Language models behind one interface: who is asked, what it may cost, how fast it may be asked.

A back end is a function from its Spec to an opened `mox.types.providers.Provider`. It makes
single attempts. The pool (`mox.providers.pool`) alone says when an attempt may start and whether
there is another one; the ledger (`mox.providers.ledger`) says what it cost.
"""

from collections.abc import Callable
from typing import Any

from mox.registry import Registry
from mox.types.providers import Provider

providers: Registry[Callable[[Any], Provider]] = Registry(
    "mox.providers",
    [
        "mox.providers.simulated",
        "mox.providers.openai",
        "mox.providers.anthropic",
        "mox.providers.compatible",
    ],
)
