"""Vectors to an index to hits: exact search, and engines that are verified after each build."""

from collections.abc import Mapping

from mox.errors import SpecError
from mox.registry import Registry
from mox.services import running
from mox.settings import Settings
from mox.spec import IndexSpec
from mox.types import IndexBackend

indexes: Registry[IndexBackend] = Registry(
    "mox.indexes",
    [
        "mox.indexes.exact",
        "mox.indexes.milvus.backend",
        "mox.indexes.milvus.text_backend",
        "mox.indexes.milvus.hybrid",
        "mox.indexes.pgvector.backend",
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
    if server is not None and server.lacks_kind(spec.kind):
        raise SpecError(
            f"{spec.kind}: the {server.service} {server.version} that `mox up {server.service}`"
            f" started here was built without {', '.join(server.lacks)}; it would take the build"
            " and never end it.",
            mend=f"leave {spec.kind} out, or set MOX_{server.service.upper()}_URI to a server that"
            " has it.",
        )
    indexes[spec].check(spec, engine)
