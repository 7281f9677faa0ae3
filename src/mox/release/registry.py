"""A release in MLflow's model registry: a version, its evidence, and the alias that points to it.

The version's source is the artifact that holds the release's YAML: its bytes are what is
promoted. Which version an alias pointed to before is noted, since MLflow keeps no such record.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mox.errors import SpecError
from mox.release.bundle import Release
from mox.tracking import mirror, server
from mox.tracking.keys import shortened
from mox.tracking.marker import Mirrored, mirrored
from mox.tracking.writing import Runs, user

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from mox.results import Results

FOLDER = "release"
DESCRIPTION = 5000
"""Most characters of a version's description, by the width of its column."""


@dataclass(frozen=True)
class Registered:
    """Where a release stands in the registry."""

    model: str
    version: str
    alias: str
    previous: str | None
    """The version that the alias pointed to before; None where it is new."""


def check_alias(alias: str) -> None:
    """Refuse a name that MLflow takes for a version, or doesn't take.

    Raises:
        SpecError: letters, digits, `_` and `-` only; not `v1`, not `latest`.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", alias):
        raise SpecError(
            f"the alias {alias!r} has other signs than letters, digits, _ and -.",
            mend="use candidate, say, or production.",
        )
    if re.fullmatch(r"[vV]\d+", alias) or alias == "latest":
        raise SpecError(
            f"the alias {alias!r} reads as a version.", mend="use candidate, say, or production."
        )


def parent_run(results: Results, uri: str) -> Mirrored:
    """Where a run stands in MLflow; mirrored now where it isn't yet.

    Raises:
        EngineError: MLflow is away.
    """
    found = mirrored(results.store, results.run, uri) or mirror.finish(results, uri)
    assert found is not None  # noqa: S101  it wasn't mirrored, so `finish` has written it
    return found


def register(results: Results, release: Release, uri: str, *, alias: str) -> Registered:
    """Register a release as a model version and point an alias to it.

    The same release is registered once: again, only its alias is set.

    Raises:
        SpecError: the alias is none.
        EngineError: MLflow is away.
    """
    check_alias(alias)
    place = parent_run(results, uri)
    name = model_name(release.name)
    with server.speaking(uri), server.first(uri, results.store.root):
        client = server.client(uri)
        _have_model(client, name, release)
        found = _known(client, name, release) or _version(client, name, release, place, uri)
        version = str(found.version)
        before = client.get_registered_model(name).aliases.get(alias)
        previous = str(before) if before is not None and str(before) != version else None
        if before is None or previous is not None:
            _point(client, name, version, alias, previous)
    return Registered(name, version, alias, previous)


def model_name(name: str) -> str:
    """An experiment's name as that of a registered model, which has no `/` and no `:`."""
    return re.sub(r"[^\w .-]+", "-", name).strip(" .-") or "release"


def _have_model(client: MlflowClient, name: str, release: Release) -> None:
    if not client.search_registered_models(f"name = '{name}'", max_results=1):
        corpus = release.content["corpus"]["name"]
        client.create_registered_model(
            name,
            tags={"mox.kind": "release"},
            description=f"Retrieval over {corpus}, promoted by Mox from its experiment {name}.",
        )


def _known(client: MlflowClient, name: str, release: Release) -> ModelVersion | None:
    """The version that holds these very bytes already."""
    for version in client.search_model_versions(f"name = '{name}'"):
        if version.tags.get("mox.sha256") == release.sha256:
            return version
    return None


def _version(
    client: MlflowClient, name: str, release: Release, place: Mirrored, uri: str
) -> ModelVersion:
    """A new version whose source is the YAML among its trial's artifacts."""
    content = release.content
    run_id = place.trials.get(content["trial"], place.parent_id)
    folder = f"{FOLDER}/{release.sha256}"  # its own: a version's source holds no other release
    files: dict[str, str | bytes] = {f"{folder}/{release.path.name}": release.path.read_bytes()}
    Runs(client, uri, place.experiment_id, {}).upload(client.get_run(run_id), files)
    return client.create_model_version(
        name,
        source=f"runs:/{run_id}/{folder}",
        run_id=run_id,
        tags={
            "mox.sha256": release.sha256,
            "mox.run_id": content["run"]["id"],
            "mox.trial": content["trial"],
            "mox.corpus": content["corpus"]["fingerprint"],
            "mox.file": release.path.name,
        },
        description=shortened(content["choice"]["reason"], DESCRIPTION),
        await_creation_for=0,  # it stands there when this returns; else MLflow says that it waits
    )


def _point(client: MlflowClient, name: str, version: str, alias: str, previous: str | None) -> None:
    """Point an alias to a version, and note when, by whom and what it pointed to before."""
    tags = {
        "mox.promoted_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "mox.promoted_by": user(),
        "mox.previous_version": f"{alias}: {previous or 'none'}",
    }
    for key, value in tags.items():
        client.set_model_version_tag(name, version, key, value)
    client.set_registered_model_alias(name, alias, version)
