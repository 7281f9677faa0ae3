"""A release as a version of an MLflow model: found by an alias, with where it came from."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from mox.errors import SpecError
from mox.release.bundle import Release
from mox.results import Results
from mox.tracking import mirror, server
from mox.tracking.marker import mirrored

FOLDER = "release"


@dataclass(frozen=True)
class Registered:
    """Where a release stands in MLflow's registry."""

    model: str
    version: str
    alias: str
    previous: str | None
    """The version that had the alias before."""


def parent_run(results: Results, uri: str) -> str:
    """The sweep's MLflow run; mirrored now where it isn't yet.

    Raises:
        EngineError: MLflow is away.
    """
    found = mirrored(results.store, results.run, uri)
    if found is None:
        found = mirror.finish(results, uri)
    if found is None:
        found = mirrored(results.store, results.run, uri)
    assert found is not None  # noqa: S101  finish writes the marker, or found it
    return found.parent_id


def register(results: Results, release: Release, uri: str, *, alias: str) -> Registered:
    """Register a release as a model version and point an alias at it.

    The same release registered again is the same version.

    Raises:
        SpecError: MLflow takes no such alias.
        EngineError: MLflow is away.
    """
    if not re.fullmatch(r"[A-Za-z_][\w-]*", alias) or re.fullmatch(r"v\d+", alias):
        raise SpecError(
            f"{alias!r} is no alias: letters, digits, - and _, and not like v1.",
            mend="use candidate, staging or production, say.",
        )
    parent = parent_run(results, uri)
    with server.speaking(uri), server.first(uri, results.store.root):
        client = server.client(uri)
        client.log_artifact(parent, str(release.path), artifact_path=FOLDER)
        model = release.name
        if not client.search_registered_models(f"name = '{model}'"):
            client.create_registered_model(model)
        known = [
            held
            for held in client.search_model_versions(f"name = '{model}'")
            if held.tags.get("mox.sha256") == release.sha256
        ]
        if known:
            version = str(known[0].version)
        else:
            artifacts = client.get_run(parent).info.artifact_uri
            made = client.create_model_version(
                model,
                source=f"{artifacts}/{FOLDER}",
                run_id=parent,
                tags={
                    "mox.sha256": release.sha256,
                    "mox.trial": str(release.content["trial"]),
                    "mox.run_id": results.run.id,
                    "mox.promoted_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                },
                description=str(release.content["choice"]["reason"]),
            )
            version = str(made.version)
        before = client.get_registered_model(model).aliases.get(alias)
        previous = None if before in (None, version) else str(before)
        if before != version:
            client.set_registered_model_alias(model, alias, version)
            if previous:
                client.set_model_version_tag(model, version, "mox.previous_version", previous)
    return Registered(model, version, alias, previous)
