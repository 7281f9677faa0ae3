"""Credentials reach no server and no file."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mox.results import Results
from mox.secrets import scrub, scrubbed

USER_AND_PASSWORD = "root:pa55-w0rd"  # noqa: S105
KEY = "sk-planted-0123456789"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("cannot reach http://u:p@host:19530/db.", "cannot reach http://***@host:19530/db."),
        ("http://u:p@ss@host", "http://***@host"),
        ("https://host/x?token=abc&page=2", "https://host/x?token=***&page=2"),
        ("mail a@b.c, no URI", "mail a@b.c, no URI"),
        ("s3://bucket/key stays", "s3://bucket/key stays"),
    ],
)
def test_a_uri_is_told_without_its_credentials(text: str, clean: str) -> None:
    assert scrub(text) == clean


def test_a_secret_of_the_environment_is_blotted_out_wherever_it_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOME_API_KEY", KEY)
    monkeypatch.setenv("MOX_MILVUS_URI", f"http://{USER_AND_PASSWORD}@host:19530")
    said = {"error": [f"refused pa55-w0rd and {KEY}"], "n": 3}
    assert scrubbed(said) == {"error": ["refused *** and ***"], "n": 3}


def test_a_secret_is_blotted_out_of_json_however_that_writes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = 'pa"ss\\w0rd-é'  # noqa: S105
    monkeypatch.setenv("TEAM_PASSWORD", secret)
    for ascii_ in (True, False):
        raw = json.dumps({"note": f"login with {secret} failed"}, ensure_ascii=ascii_)
        assert json.loads(scrub(raw)) == {"note": "login with *** failed"}


def test_ordinary_settings_of_the_environment_are_no_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "overlap")
    monkeypatch.setenv("KEYBOARD", "recursive")
    assert scrub("recursive overlap") == "recursive overlap"


def bytes_under(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_planted_secrets_are_nowhere_in_what_is_mirrored(
    root: Path, results: Results, change: Any, mirrored: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOX_MILVUS_URI", f"http://{USER_AND_PASSWORD}@host:19530")
    monkeypatch.setenv("SOME_API_KEY", KEY)
    message = f"http://{USER_AND_PASSWORD}@host:19530 refused {KEY}"
    first, second, *others = results.run.trials
    failed = replace(first, status="FAILED", error=message)
    config = {**second.config, "search": {**second.config["search"], "uri": message}}
    planted = change(
        results,
        trials=(failed, replace(second, config=config), *others),
        varying=(*results.run.varying, "search.uri"),
        notes=(message,),
        settings={**results.run.settings, "corpus": {"kind": "s3", "uri": message}},
        environment={"python": "3", "seen": message},
    )
    mirrored(planted)
    places = [path for path in root.iterdir() if path.name.startswith(("mlflow", "mirrored"))]
    found = {path: path.read_bytes() for path in places if path.is_file()}
    for folder in places:
        found |= bytes_under(folder)
    assert any(b"refused" in raw for raw in found.values())  # the message itself is there
    assert len(found) > 10
    for path, raw in found.items():
        for secret in ("pa55-w0rd", "root:pa55", KEY):
            assert secret.encode() not in raw, os.fspath(path)
