"""What a stage works with: artifacts, read once and kept for a while, and the open engine."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

from mox.chunking.tokenizers import open_tokenizer
from mox.corpus import corpora  # noqa: F401  rooms register when imported
from mox.embedding import embedders
from mox.errors import EngineError, SpecError
from mox.indexes import address, indexes
from mox.pipeline import codec
from mox.pipeline.stages import Ref
from mox.pipeline.store import Artifact, Store
from mox.settings import Settings
from mox.spec import IndexSpec, Spec, canonical
from mox.types import (
    ChunkTable,
    Document,
    Embedder,
    Hits,
    Place,
    Question,
    Tokenizer,
)

if TYPE_CHECKING:
    from mox.types import Floats

T = TypeVar("T")

KEPT = 24
"""Decoded artifacts kept per process: a few chunkings, their vectors and hits."""


class Context:
    """One process' view of the store. Not shared between threads."""

    def __init__(self, store: Store, settings: Settings, tick: Callable[[], None]) -> None:
        self.store = store
        self.settings = settings
        self.tick = tick
        """Called as work goes on, so that a time limit measures standstill, not size."""
        self._kept: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._fresh: dict[str, Hits] = {}
        self._engine: tuple[str, ExitStack, Any] | None = None
        self._embedders: dict[str, Embedder] = {}

    def artifact(self, ref: Ref) -> Artifact:
        return self.store.read(ref.kind, ref.key)

    def documents(self, ref: Ref) -> tuple[Document, ...]:
        return self.kept(ref, lambda: codec.unpack_documents(self.artifact(ref).arrays))

    def questions(self, ref: Ref) -> tuple[Question, ...]:
        return self.kept(ref, lambda: codec.unpack_questions(self.artifact(ref).arrays))

    def chunks(self, ref: Ref) -> ChunkTable:
        return self.kept(ref, lambda: codec.unpack_chunks(self.artifact(ref).arrays))

    def vectors(self, ref: Ref) -> Floats:
        return self.kept(ref, lambda: cast("Floats", self.artifact(ref).arrays["vectors"]))

    def hits(self, ref: Ref) -> Hits:
        if ref.key in self._fresh:
            return self._fresh[ref.key]
        return self.kept(ref, lambda: codec.unpack_hits(self.artifact(ref).arrays))

    def fresh(self, ref: Ref, hits: Hits) -> None:
        """Have hits at hand that the job under way has made, for its stages that score them."""
        self._fresh[ref.key] = hits

    def end_job(self) -> None:
        """Give back what only one job has use for: its own hits, and the open collection."""
        self._fresh.clear()
        self.close_engine()

    def kept(self, ref: Ref, make: Callable[[], T], role: str = "") -> T:
        """A decoded artifact, or what was made of it (`role`), from memory where it still is."""
        name = (role, ref.key)
        if name not in self._kept:
            self._kept[name] = make()
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(name)
        return cast("T", self._kept[name])

    def tokenizer(self, name: str) -> Tokenizer:
        return open_tokenizer(name)

    def embedder(self, spec: Spec) -> Embedder:
        """A loaded model; loaded once a process."""
        name = canonical([spec.model_dump(mode="json"), spec.runtime])
        if name not in self._embedders:
            self._embedders[name] = embedders[spec](spec)
        return self._embedders[name]

    def place(self, build: Ref, spec: IndexSpec) -> Place:
        """Where a build's collection lives."""
        return place_of(self.store, self.settings, build, spec)

    def opened(self, build: Ref, spec: IndexSpec) -> Any:
        """The open collection of a build, a searcher of what its Spec holds; another build's is
        closed first."""
        if self._engine is not None and self._engine[0] == build.key:
            return self._engine[2]
        self.close_engine()
        stack = ExitStack()
        searcher = stack.enter_context(indexes[spec].open(spec, self.place(build, spec)))
        self._engine = (build.key, stack, searcher)
        return searcher

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Hold a name of the store. Waiting for who holds it, for another sweep's paid stage or
        loads maybe, is no standstill.

        Who is waited for may need the collection that is open here, and in Milvus Lite one process
        has it at a time: it is given back.
        """
        with ExitStack() as held:
            while True:
                try:
                    held.enter_context(self.store.lock(name, wait_s=1.0))
                    break
                except TimeoutError:
                    self.close_engine()
                    self.tick()
            yield

    def close_engine(self, because: BaseException | None = None) -> None:
        """Give the open collection back: its memory, its threads and its lock.

        Args:
            because: what was raised in using it. The engine is told, so that one that is away
                isn't waited for again, and what it raises in closing then says nothing new.
        """
        if self._engine is None:
            return
        _, stack, _ = self._engine
        self._engine = None
        if because is None:
            stack.close()
            return
        with suppress(EngineError):
            stack.__exit__(type(because), because, because.__traceback__)


def place_of(store: Store, settings: Settings, build: Ref, spec: IndexSpec) -> Place:
    """Where a build's collection lives: named after store and key, so that no other store's
    collection on the same server is ever touched."""
    folder = store.root / "services" / "indexes"
    folder.mkdir(parents=True, exist_ok=True)
    return Place(f"mox_{store.id}_{build.key[:20]}", folder, address(spec, settings))


def index_spec(settings: dict[str, Any]) -> IndexSpec:
    """The Spec of an index from a stage's plain settings."""
    spec = indexes.parse(settings)
    if not isinstance(spec, IndexSpec):
        raise SpecError(
            f"{spec.kind} registers a Spec that is no IndexSpec.",
            mend="derive its Spec from mox.spec.IndexSpec.",
        )
    return spec
