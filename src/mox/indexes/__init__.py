"""Vectors and texts to an index to hits: exact search, and engines that are verified after each
build.

Traits of a back end: `service` names what its address is of; `least` gives the score that no hit
can be under, from a Spec; `check_search(spec, settings, engine)` refuses search settings that an
engine's version lacks; `check_filter(spec, engine)` refuses an index that an engine's version
answers wrongly under a filter; of a pair, `fusions` are the Specs by which its engine fuses
vectors and texts, and `parts` the Specs that its fields may hold, by field.
"""

from collections.abc import Mapping
from typing import Any

from mox.errors import FieldError, SpecError
from mox.registry import Registry, validate
from mox.services import running
from mox.settings import Settings
from mox.spec import IndexSpec, SearchSettings, Spec
from mox.types import IndexBackend

indexes: Registry[IndexBackend] = Registry(
    "mox.indexes",
    [
        "mox.indexes.exact",
        "mox.indexes.milvus.backend",
        "mox.indexes.milvus.text_backend",
        "mox.indexes.milvus.hybrid",
        "mox.indexes.pgvector.backend",
        "mox.indexes.pgvector.text_backend",
        "mox.indexes.pgvector.hybrid",
    ],
)


def address(spec: IndexSpec, settings: Settings) -> str | None:
    """URI of the service that an index lives in; None where that is embedded, or there is none."""
    return settings.uri(service(spec))


def service(spec: IndexSpec) -> str | None:
    """The service that an index lives in; None where there is none."""
    found: str | None = indexes.entry(spec.kind).traits.get("service")
    return found


def engine(spec: IndexSpec, settings: Settings) -> Mapping[str, str]:
    """Name and version of the engine that an index would be built in, asked now.

    Raises:
        EngineError: it is away, or it was started here and has gone since.
    """
    uri = address(spec, settings)
    running.check(settings.root, service(spec) or "", uri)
    return indexes[spec].engine(uri)


def check(spec: IndexSpec, engine: Mapping[str, str], settings: Settings) -> None:
    """Refuse what the engine's version, or the server that was started here, cannot build.

    Raises:
        SpecError: names what it lacks, or what the engine has.
    """
    server = running.at(settings.root, service(spec) or "", address(spec, settings))
    for one in (spec, *getattr(spec, "parts", ())):
        if server is None or not server.lacks_kind(one.kind):
            continue
        raise SpecError(
            f"{one.kind}: the {server.service} {server.version} that `mox up {server.service}`"
            f" started here was built without {', '.join(server.lacks)}; it would take the build"
            " and never end it.",
            mend=f"leave {one.kind} out, or set MOX_{server.service.upper()}_URI to a server that"
            " has it.",
        )
    indexes[spec].check(spec, engine)


def check_search(spec: IndexSpec, settings: SearchSettings, engine: Mapping[str, str]) -> None:
    """Refuse search settings that an engine's version lacks.

    Raises:
        SpecError: names the setting.
    """
    refuse = indexes.entry(spec.kind).traits.get("check_search")
    if refuse is not None:
        refuse(spec, settings, engine)


def check_filter(spec: IndexSpec, engine: Mapping[str, str]) -> None:
    """Refuse to filter an index that an engine's version answers wrongly then.

    Raises:
        SpecError: names both.
    """
    refuse = indexes.entry(spec.kind).traits.get("check_filter")
    if refuse is not None:
        refuse(spec, engine)


def engine_fusion(index: IndexSpec, settings: Mapping[str, Any]) -> Spec:
    """How an index' engine is to fuse vectors and texts, of what it can do.

    Raises:
        FieldError: it can't, or a setting that it refuses.
    """
    shapes = indexes.entry(index.kind).traits.get("fusions", ())
    known: dict[str, type[Spec]] = {shape.model_fields["kind"].default: shape for shape in shapes}
    kind = settings.get("kind")
    if kind not in known:
        raise FieldError(
            f"{index.kind} fuses by {' or '.join(known) or 'nothing'}, not {kind!r}.",
            mend="let Mox fuse (`kind: hybrid`), or use what the engine has.",
            field="kind",
        )
    return validate(known[str(kind)], settings, name=f"{index.kind}'s fusion {kind}")
