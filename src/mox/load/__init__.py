"""Load: closed-loop client processes against open collections, and what their answers took."""

from mox.load.cells import Ask, Cell, Measured, Round, Subject
from mox.load.engine import cores, find, host, memory_bytes, resident_bytes
from mox.load.measure import measure
from mox.load.ranks import ranks
from mox.load.summary import SAMPLES_P99, SHARE_OF_CLIENTS, Spread, invalid, percentile, summary

__all__ = [
    "SAMPLES_P99",
    "SHARE_OF_CLIENTS",
    "Ask",
    "Cell",
    "Measured",
    "Round",
    "Spread",
    "Subject",
    "cores",
    "find",
    "host",
    "invalid",
    "measure",
    "memory_bytes",
    "percentile",
    "ranks",
    "resident_bytes",
    "summary",
]
