"""An event loop of one's own, for those who ask without being asynchronous themselves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
TICK_S = 0.1


class OwnLoop:
    """A loop in a thread of its own: callable from a script, a worker, and a notebook whose own
    loop runs already."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], *, tick: Callable[[], None] | None = None) -> T:
        """What an awaitable returns, awaited there. Interrupted, it is cancelled there.

        Args:
            tick: called here, now and then while it runs.
        """
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            while True:
                try:
                    return future.result(TICK_S if tick is not None else None)
                except TimeoutError:
                    if tick is None or future.done():
                        raise  # it is what the work itself raised
                    tick()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Stop the loop, and give its files back."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
