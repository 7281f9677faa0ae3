"""What a service is to `mox up`: a module that starts it and waits until it answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from mox.services.running import Server

Say = Callable[[str], None]
"""Where progress goes."""


class TakenError(Exception):
    """Somebody else took one of its ports between choice and start: try others."""


class Service(Protocol):
    """A module of this room."""

    ENDS_WITHIN_S: float
    """How long it is given to end once it is asked to; 0 where it is killed at once."""

    def start(self, root: Path, *, port: int | None, say: Say) -> Server:
        """Start it on the state folder's data, without waiting.

        Raises:
            MissingError: its extra isn't installed.
            StoreError: the state folder cannot be written.
        """

    def wait(self, server: Server, say: Say) -> tuple[int, ...]:
        """Wait until it answers; the ports that other machines reach.

        Raises:
            TakenError: one of its ports was taken meanwhile.
            EngineError: it ended, or doesn't answer in time.
        """

    def folder(self, root: Path) -> Path:
        """Where its data lies."""

    def processes(self, root: Path) -> list[int]:
        """The leaders of what works on its data, recorded or not."""
