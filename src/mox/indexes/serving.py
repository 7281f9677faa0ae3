"""Collections for several processes at once: what a load needs of a back end beyond searching."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import cast

from mox.errors import SpecError
from mox.indexes import indexes
from mox.spec import IndexSpec
from mox.types import IndexServer, IndexWriter, Place, Served, Writable


def served(spec: IndexSpec, place: Place) -> AbstractContextManager[Served]:
    """A built collection that other processes may open as long as the context lasts.

    A back end that says nothing of this (`mox.types.IndexServer`) is opened where it is.
    """
    backend = indexes[spec]
    if hasattr(backend, "served"):
        return cast("IndexServer", backend).served(spec, place)
    return nullcontext(Served(place, address=place.uri))


def takes_inserts(spec: IndexSpec) -> bool:
    """Whether a collection of this kind can be written to after it was built."""
    return hasattr(indexes[spec], "writable")


def writable(spec: IndexSpec, place: Place) -> Callable[[], AbstractContextManager[Writable]]:
    """Opens a built collection for searching and writing.

    Raises:
        SpecError: its back end takes no inserts.
    """
    if not takes_inserts(spec):
        raise SpecError(
            f"{spec.kind} takes no inserts once it is built.",
            mend="leave `inserts` out of its load, or use an index of Milvus or pgvector.",
        )
    return partial(cast("IndexWriter", indexes[spec]).writable, spec, place)
