"""MLflow beside a run: begun while stages run, written when they are done."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mox.errors import MirrorWarning, MoxError
from mox.pipeline.plan import Plan
from mox.results import Results
from mox.settings import Settings
from mox.tracking import server

if TYPE_CHECKING:
    from mox.tracking.mirror import Mirror


@contextmanager
def kept() -> Iterator[None]:
    """What goes wrong while MLflow is written costs a warning: the results are in the store."""
    try:
        yield
    except MoxError as error:
        warnings.warn(f"not mirrored to MLflow: {error}", MirrorWarning, stacklevel=5)
    except KeyboardInterrupt:
        said = "interrupted while MLflow was written: the results are kept, and `mox sync`"
        warnings.warn(f"{said} writes the rest.", MirrorWarning, stacklevel=5)


class Mirroring:
    """MLflow's side of one run: reachable before it starts, begun beside it, written after it.

    MLflow is imported in a thread of its own while workers do stages, and not at all for a run
    that is mirrored already. A server that is lost on the way costs a warning, never a result.

    Args:
        begin: whether the run has anything to do: it is begun in MLflow beside it then.
    """

    def __init__(self, made: Plan, here: Settings, *, begin: bool) -> None:
        self._made = made
        self._uri = server.tracking_uri(here.root)
        server.reachable(self._uri)
        self._mirror: Mirror | None = None
        self._lost: MoxError | None = None
        self._thread: threading.Thread | None = None
        if begin:
            self._thread = threading.Thread(target=self._begin, daemon=True)
            self._thread.start()

    def _begin(self) -> None:
        from mox.tracking import mirror

        made = self._made
        folder = made.experiment.source.base
        try:
            self._mirror = mirror.begin(
                made.store, made.run_id, made.experiment.name, self._uri, folder=folder
            )
        except MoxError as error:
            self._lost = error

    def finish(self, results: Results) -> None:
        from mox.tracking import mirror

        if self._thread is not None:
            self._thread.join()
        with kept():
            if self._lost is not None:
                raise self._lost
            mirror.finish(results, self._uri, self._mirror)

    def abandon(self) -> None:
        """End a parent run that gets no results."""
        from mox.tracking import mirror

        if self._thread is not None:
            self._thread.join()
        if self._mirror is not None:
            try:
                mirror.end(self._mirror, "FAILED")
            except MoxError as error:
                warnings.warn(f"MLflow's run stays open: {error}", MirrorWarning, stacklevel=3)
