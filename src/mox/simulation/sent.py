"""What was sent when, of the latest requests."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any


class SentLog:
    """Rows of `Reply.sent`, the oldest forgotten before they take more memory than they may.

    Args:
        requests: rows kept, some 1 KB each.
        pieces: of all rows together, some 100 bytes each.
    """

    def __init__(self, *, requests: int, pieces: int) -> None:
        self.rows: OrderedDict[str, dict[str, Any]] = OrderedDict()
        """By request id, the oldest first."""
        self._most = (requests, pieces)
        self._pieces = 0

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row; the last one is always kept."""
        requests, pieces = self._most
        self.rows[row["request_id"]] = row
        self._pieces += len(row["sent_ns"])
        while len(self.rows) > 1 and (len(self.rows) > requests or self._pieces > pieces):
            _, gone = self.rows.popitem(last=False)
            self._pieces -= len(gone["sent_ns"])

    def clear(self) -> None:
        """Forget all."""
        self.rows.clear()
        self._pieces = 0
