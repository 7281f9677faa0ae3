"""An event loop of one's own, for those who ask without being asynchronous themselves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future, wait
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")
TICK_S = 0.1
ENDS_WITHIN_S = 5.0
"""How long is waited for what was cancelled: it settles what it had booked, and closes."""


class OwnLoop:
    """A loop in a thread of its own: callable from a script, a worker, and a notebook whose own
    loop runs already."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._turn, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], *, tick: Callable[[], None] | None = None) -> T:
        """What an awaitable returns, awaited there. Interrupted, it is cancelled there, and has
        ENDS_WITHIN_S to end.

        Args:
            tick: called here, now and then while it runs.
        """
        done: Future[T] = Future()
        tasks: list[asyncio.Task[T]] = []

        def begin() -> None:
            tasks.append(self._loop.create_task(work))
            tasks[0].add_done_callback(partial(_tell, done))

        self._loop.call_soon_threadsafe(begin)
        try:
            while wait([done], TICK_S if tick is not None else None).not_done:
                if tick is not None:
                    tick()
        except BaseException:
            # What still ran when its owner closes, or is forgotten, would be torn off.
            self._loop.call_soon_threadsafe(lambda: tasks[0].cancel())
            wait([done], ENDS_WITHIN_S)
            raise
        return done.result()

    def close(self, last: Coroutine[Any, Any, object] | None = None) -> None:
        """Await the last work, cancel what is left then, and stop the loop.

        In the loop's own thread nothing is waited for: so it is where a task of the loop held the
        last reference to whom the loop belongs to.
        """
        if threading.current_thread() is self._thread:
            ending = self._loop.create_task(self._end(last))
            ending.add_done_callback(lambda _: self._loop.stop())
            return
        try:
            self.run(self._end(last))
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    async def _end(self, last: Coroutine[Any, Any, object] | None) -> None:
        try:
            if last is not None:
                await last
        finally:
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left, timeout=ENDS_WITHIN_S)
            await self._loop.shutdown_asyncgens()

    def _turn(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()


def _tell(done: Future[T], task: asyncio.Task[T]) -> None:
    if task.cancelled():
        done.set_exception(CancelledError())
    elif (error := task.exception()) is not None:
        done.set_exception(error)
    else:
        done.set_result(task.result())
