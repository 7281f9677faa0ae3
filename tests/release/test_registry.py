"""A release in MLflow: a version with its evidence, and the alias that points to it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mox
from mox.errors import DataError, SpecError, StoreError
from mox.release.bundle import promote
from mox.release.registry import check_alias, model_name, parent_run, register
from mox.results import Results
from mox.tracking import server

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def uri(here: Path, empty_mlflow: Path) -> str:
    shutil.copyfile(empty_mlflow, here / "state" / "mlflow.db")
    return server.tracking_uri(here / "state")


def test_a_release_becomes_a_version_that_an_alias_finds(
    results: Results, change: Any, uri: str, tmp_path: Path
) -> None:
    place = parent_run(results, uri)
    release = promote(results, mlflow=lambda: place)
    found = register(results, release, uri, alias="candidate")
    assert (found.model, found.version, found.previous) == ("books", "1", None)
    client = server.client(uri)
    version = client.get_model_version_by_alias("books", "candidate")
    assert version.tags["mox.sha256"] == release.sha256
    assert version.tags["mox.trial"] == release.content["trial"]
    assert version.tags["mox.run_id"] == results.run.id
    assert results.choice is not None
    assert version.description == results.choice.reason
    assert version.run_id == release.content["mlflow"]["trial_run_id"]
    assert release.content["mlflow"]["run_id"] == place.parent_id
    # Another release of the same trial has a folder of its own.
    later = promote(change(results, notes=("later",), started="2031-01-01T00:00:00Z"))
    register(results, later, uri, alias="candidate")
    source = f"release/{release.sha256}"
    assert version.source == f"runs:/{version.run_id}/{source}"
    folder = Path(client.download_artifacts(version.run_id, source, str(tmp_path)))
    [file] = folder.iterdir()
    assert file.read_bytes() == release.path.read_bytes()


def test_the_same_release_is_registered_once(results: Results, uri: str) -> None:
    release = promote(results)
    first = register(results, release, uri, alias="candidate")
    again = register(results, release, uri, alias="candidate")
    other = register(results, release, uri, alias="production")
    assert first.version == again.version == other.version == "1"
    assert again.previous is None
    aliases = server.client(uri).get_registered_model("books").aliases
    assert {name: str(at) for name, at in aliases.items()} == {"candidate": "1", "production": "1"}


def test_an_alias_that_moves_notes_where_it_pointed_and_can_go_back(
    results: Results, uri: str
) -> None:
    first, second = (promote(results, trial=trial.id) for trial in results.finished[:2])
    register(results, first, uri, alias="candidate")
    moved = register(results, second, uri, alias="candidate")
    assert (moved.version, moved.previous) == ("2", "1")
    version = server.client(uri).get_model_version("books", "2")
    assert version.tags["mox.previous_version"] == "candidate: 1"
    back = register(results, first, uri, alias="candidate")
    assert (back.version, back.previous) == ("1", "2")


def test_promotion_registers_unless_offline(results: Results, uri: str) -> None:
    offline = mox.api.promote(results, offline=True)  # type: ignore[attr-defined]
    assert offline.registered is None
    promotion = mox.api.promote(results)  # type: ignore[attr-defined]
    assert promotion.registered is not None
    assert promotion.registered.version == "1"
    assert promotion.release.content["mlflow"] is not None
    assert promotion.document()["registered"]["alias"] == "candidate"


@pytest.mark.parametrize("alias", ["v1", "V20", "latest", "", "with space", "a/b", "ä"])
def test_an_alias_that_mlflow_would_not_take_is_refused(alias: str) -> None:
    with pytest.raises(SpecError, match="the alias"):
        check_alias(alias)


@given(st.text(max_size=12))
@settings(derandomize=True, max_examples=200, deadline=None)
def test_what_passes_as_an_alias_passes_with_mlflow(alias: str) -> None:
    from mlflow.utils.validation import (
        _validate_model_alias_name,
        _validate_model_alias_name_reserved,
    )

    try:
        check_alias(alias)
    except SpecError:
        return
    _validate_model_alias_name(alias)
    _validate_model_alias_name_reserved(alias)


@given(st.text(min_size=1, max_size=40))
@settings(derandomize=True, max_examples=200, deadline=None)
def test_every_experiments_name_becomes_a_models(name: str) -> None:
    from mlflow.utils.validation import _validate_model_name

    made: Any = model_name(name)
    _validate_model_name(made)
    assert "'" not in made


def test_what_cannot_be_promoted_is_not_mirrored_either(
    results: Results, change: Any, here: Path
) -> None:
    for stopped in ("going on", "cut off"):
        with pytest.raises(SpecError, match=rf"was stopped .{stopped}"):
            mox.promote(change(results, stopped=stopped))
    with pytest.raises(SpecError, match="is no release"):
        mox.promote(results, out=here / "e.yaml")
    corpus = {"kind": "evidence", "path": "http://user:s3cret-word@host/corpus"}
    with pytest.raises(SpecError, match="carry credentials"):
        mox.promote(change(results, settings={**results.run.settings, "corpus": corpus}))
    trials = tuple(
        replace(trial, config={**trial.config, "tokenizer": "o200k"})
        for trial in results.run.trials
    )
    with pytest.raises(StoreError, match="has changed since it was run"):
        mox.promote(change(results, trials=trials))
    file = here / "corpus" / "documents.jsonl"
    file.write_text(file.read_text().replace("Sentence 3 of book 5:", "Sentence 33 of book 5:"))
    with pytest.raises(DataError, match="is not the corpus"):
        mox.promote(results)
    assert not (here / "state" / "mirrored").exists()
    assert not (here / "state" / "mlflow.db").exists()
