"""What `mox bench providers --json` prints.

```
{"schema": 1, "simulated", "time_scale", "benchmark": ID, "name", "at", "seconds", "host",
 "stopped": null | "budget" | "interrupted", "slo": null | {…}, "prices",
 "usd": {"real", "simulated"},
 "left_out": {name: why},
 "missing": [{"provider", "model", "workload", "load", "rounds", "why"}],
 "notes": […],
 "rows": [{"provider", "model", "workload", "load": {"kind", "value"}, "n", "answers", "valid",
   "why", "ttft_ms": {"p50": {"value", "low", "high"}, "p90", "p95", "p99"}, "answer_ms", "itl_ms",
   "e2e_ms", "e2e_from_schedule_ms", "pool_wait_ms", "tokens_per_s", "chunk_gap_ms",
   "stalls": {"gaps", "stalled", "answers"}, "throughput": {"requests_per_s", "tokens_per_s"},
   "errors": {"rate_limit": 0, …}, "retried": {"rate_limit": 3},
   "attained": null | {"met", "n", "value", "low", "high"},
   "quality", "tokens": {"input", "cached", "output", "reasoning"},
   "usd", "usd_per_request", "usd_per_1k", "usd_per_1k_good",
   "simulated", "time_scale", "client": {"loop_lag_p99_ms", …}, "ended",
   "probes": [{"value", "kept", "share", "low", "high", "met", "n"}]}]}
```
Times and rates are in the provider's time: a simulated one's are divided by its time scale. A
percentile that so few answers don't tell has a `value` of null and a `why`; an end of an interval
that they don't bound is null. `simulated` is true where any row is, `time_scale` the smallest of
simulated ones (by which an error of the client is divided); each row has its own. A row of
`slo` has the highest load that keeps the bounds as its value, null where none does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mox.bench.providers.rows import Row

SCHEMA = 1


def document(
    about: Mapping[str, Any], rows: Sequence[Row], rest: Mapping[str, Any]
) -> dict[str, Any]:
    """The one document.

    Args:
        about: `benchmark`, `name`, `at`, `host`, `slo`.
        rest: `seconds`, `stopped`, `usd`, `left_out`, `missing`, `notes`.
    """
    scales = [row.time_scale for row in rows if row.simulated]
    return {
        "schema": SCHEMA,
        "simulated": any(row.simulated for row in rows),
        "time_scale": min(scales, default=1.0),
        **about,
        **rest,
        "rows": [row.document() for row in rows],
    }
