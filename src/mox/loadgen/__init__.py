"""Load: closed-loop client processes against open collections, and what their answers took."""

from mox.loadgen.cells import Ask, Cell, Measured, Round, Subject
from mox.loadgen.engine import cores, find, host, memory_bytes, resident_bytes
from mox.loadgen.measure import measure
from mox.loadgen.ranks import ranks
from mox.loadgen.summary import SAMPLES_P99, SHARE_OF_CLIENTS, Spread, invalid, percentile, summary

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
