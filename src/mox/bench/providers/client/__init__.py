"""The measuring client: what a provider's answers took, and whether the client can be believed.

It is no SDK. While answers stream it keeps the bytes of each network read and when they came; what
they say is found out afterwards, in another process.
"""

from mox.bench.providers.client.instrument import Errors, Setting, instrument
from mox.bench.providers.client.jobs import Cell, Member, Pooling, Prompts, Target, Timeouts
from mox.bench.providers.client.measure import Turn, measure
from mox.bench.providers.client.selfcheck import SelfCheck, doubt

__all__ = [
    "Cell",
    "Errors",
    "Member",
    "Pooling",
    "Prompts",
    "SelfCheck",
    "Setting",
    "Target",
    "Timeouts",
    "Turn",
    "doubt",
    "instrument",
    "measure",
]
