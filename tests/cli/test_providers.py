"""`mox bench providers`: what it prints, where it goes, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mox.bench.providers import kept
from mox.bench.providers.file import load
from mox.cli.app import app
from mox.pipeline.store import Store

FILE = """
name: small
providers: [{kind: simulated, model: sim-swift}]
workloads: [short]
loads: [{kind: closed, concurrency: [1, 2]}]
prices: prices.yaml
"""
PRICES = """
prices:
  - {provider: simulated, model: sim-swift, per: 1M, simulated: true, input: 0.20, output: 1.00}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "prices.yaml").write_text(PRICES)
    path = tmp_path / "small.yaml"
    path.write_text(FILE)
    return path


def called(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["bench", "providers", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_a_dry_run_says_what_it_would_do(file: Path) -> None:
    status, out, _ = called(file, "--dry-run", "--json", "--set", "requests=10")
    said = json.loads(out)
    assert status == 0
    assert (said["schema"], said["dry_run"], said["usd_at_most"]) == (1, True, 0)
    assert said["providers"][0]["requests"] == 2 * 3 * 10
    status, out, _ = called(file, "--dry-run")
    assert status == 0
    assert "simulated: nobody is paid" in out


def test_what_cannot_be_meant_ends_with_2_and_one_document(file: Path) -> None:
    status, out, err = called(file, "--json", "--set", "rounds=1")
    assert status == 2
    assert json.loads(out)["error"]["mend"]
    assert "rounds" in err


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    status, _, err = called(tmp_path / "no.yaml")
    assert status == 2
    assert "no.yaml: no such file" in err


def test_what_is_kept_whole_is_shown_and_nobody_is_asked(file: Path, own_state: Path) -> None:
    benchmark = load(file).identity
    document = {
        "schema": 1, "simulated": True, "time_scale": 1.0, "benchmark": benchmark,
        "name": "small", "at": "2026-11-26T12:00:00Z", "rows": [], "missing": [], "notes": [],
        "stopped": None, "usd": {"real": 0, "simulated": 0},
    }  # fmt: skip
    kept.save(kept.folder(Store(own_state), benchmark), document)
    status, out, _ = called(file, "--json", "--offline")
    assert (status, json.loads(out)) == (0, document)


def test_a_budget_that_buys_nothing_is_refused(file: Path) -> None:
    status, _, err = called(file, "--offline", "--set", "budget.usd=0.0001")
    assert status == 2
    assert "buys no round" in err
