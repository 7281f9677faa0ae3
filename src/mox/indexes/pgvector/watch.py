"""A thread that cuts a connection to PostgreSQL once what was asked of it takes too long."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

GRACE_S = 5.0
"""How long past its limit a server may still end a statement itself."""
POLL_S = 0.25


class Watch(threading.Thread):
    """Cuts a connection whose server does not even keep its own time limits."""

    def __init__(self, handle: int) -> None:
        super().__init__(name="mox-postgres-watch", daemon=True)
        self._socket = socket.fromfd(handle, socket.AF_UNIX, socket.SOCK_STREAM)
        self._until = float("inf")
        self._done = threading.Event()
        self.cut = False

    @contextmanager
    def within(self, limit_s: float) -> Iterator[None]:
        """What is inside has so long. A limit inside another may lengthen it, never shorten it."""
        outer, ours = self._until, time.monotonic() + limit_s + GRACE_S
        self._until = ours if math.isinf(outer) else max(ours, outer)
        try:
            yield
        finally:
            self._until = outer

    def run(self) -> None:
        while not self._done.wait(POLL_S):
            if time.monotonic() > self._until:
                self.cut = True
                self._socket.shutdown(socket.SHUT_RDWR)
                break
        self._socket.close()

    def end(self) -> None:
        self._done.set()
