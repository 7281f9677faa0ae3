"""A release of an embedder behind an API is asked with the key, the account and the limits that it
was measured with, or it is refused: never with others that happen to be there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import mox
from mox.embedding import embedders
from mox.errors import DataError, MissingError, SpecError
from mox.providers.ledger import Ledger
from mox.release.bundle import Release, dump
from mox.release.runtime import told
from mox.spec import digest

pytestmark = pytest.mark.timeout(120)

KINDS = ("openai", "compatible")


@dataclass
class Swept:
    """One sweep of both kinds, and the release of each."""

    proxy: Any
    home: Path
    releases: dict[str, Release]
    keys: list[str | None]
    """What the sweep itself sent."""

    def accounts(self) -> list[str]:
        return [line["account"] for line in Ledger(self.home).rows()]


def environment(patch: pytest.MonkeyPatch, folder: Path) -> None:
    prices = folder / "prices.yaml"
    prices.write_text("prices: [{provider: [openai, compatible], model: m, per: 1M, input: 1}]\n")
    patch.setenv("MOX_HOME", str(folder / "state"))
    patch.setenv("MOX_PRICES", str(prices))
    patch.setenv("MOX_WORKERS", "1")
    patch.setenv("TEAM_KEY", "planted-team-key")
    patch.setenv("OPENAI_API_KEY", "planted-private-key")


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, corpus_writer: Callable[..., Path], proxy: Any
) -> Swept:
    folder = tmp_path_factory.mktemp("swept")
    corpus = corpus_writer(folder / "corpus", documents=4, paragraphs=5)
    how = {
        "base_url": proxy.url, "model": "m", "dims": 8, "key_env": "TEAM_KEY", "account": "team",
        "limits": {"requests_per_min": 60_000}, "timeout_s": 30,
    }  # fmt: skip
    experiment = {
        "name": "swept",
        "corpus": {"kind": "evidence", "path": str(corpus)},
        "axes": {
            "chunk": [{"kind": "recursive", "size": 48}],
            "embed": [{"kind": kind, **how} for kind in KINDS],
            "index": [{"kind": "exact"}],
            "search": [{"kind": "dense", "k": 5}],
        },
        "measure": ["recall@5"],
    }
    with pytest.MonkeyPatch.context() as patch:
        environment(patch, folder)
        results = mox.run(experiment, offline=True, quiet=True)
        releases = {
            kind: mox.promote(results, trial=trial.id, offline=True).release
            for kind, trial in zip(KINDS, results.run.trials, strict=True)
        }
    return Swept(proxy, folder / "state", releases, list(proxy.keys))


@pytest.fixture
def swept(made: Swept, monkeypatch: pytest.MonkeyPatch) -> Swept:
    environment(monkeypatch, made.home.parent)
    made.proxy.keys.clear()
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_a_release_is_asked_as_it_was_measured(swept: Swept, kind: str) -> None:
    release = swept.releases[kind]
    assert set(swept.keys) == {"Bearer planted-team-key"}
    said = release.content["runtime"]["embed"]
    assert {name: said[name] for name in ("key_env", "account", "timeout_s")} == {
        "key_env": "TEAM_KEY", "account": "team", "timeout_s": 30,
    }  # fmt: skip
    assert said["limits"]["requests_per_min"] == 60_000
    assert "planted" not in release.path.read_text()
    answer = mox.ask(release.path, "where is the copper lantern", k=2)
    assert len(answer.passages) == 2
    assert swept.proxy.keys == ["Bearer planted-team-key"]
    assert swept.accounts()[-1] == "team"


def test_another_machine_says_where_its_own_key_is_and_nothing_that_changes_vectors(
    swept: Swept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = swept.releases["compatible"].path
    monkeypatch.delenv("TEAM_KEY")
    with pytest.raises(MissingError, match="TEAM_KEY is not set"):
        mox.ask(path, "who has the violin")
    monkeypatch.setenv("HERE", "planted-here")
    mox.ask(path, "who has the violin", embedder={"key_env": "HERE", "account": "here"})
    assert swept.accounts()[-1] == "here"
    file = tmp_path / "key"
    file.write_text("planted-in-a-file")
    mox.ask(path, "who has the saddle", embedder={"key_file": str(file)})
    assert swept.proxy.keys == ["Bearer planted-here", "Bearer planted-in-a-file"]
    for other in ({"dims": 4}, {"base_url": "http://h"}, {"key_evn": "HERE"}):
        with pytest.raises(SpecError, match="can't be told"):
            mox.ask(path, "who has the anchor", embedder=other)


def test_a_release_that_does_not_say_whose_key_is_refused(swept: Swept, tmp_path: Path) -> None:
    release = swept.releases["compatible"]
    old = {k: v for k, v in release.content.items() if k not in ("runtime", "sha256")}
    path = release.path.with_name("old.yaml")
    path.write_text(dump({**old, "sha256": digest(old)}), encoding="utf-8")
    with pytest.raises(DataError, match="doesn't say whose key and account"):
        mox.ask(path, "where is the harbour")
    assert not swept.proxy.keys
    mox.ask(path, "where is the harbour", embedder={"key_env": "TEAM_KEY", "account": "said"})
    assert swept.proxy.keys == ["Bearer planted-team-key"]
    assert swept.accounts()[-1] == "said"


def test_an_old_release_of_a_simulated_embedder_needs_nobodys_key() -> None:
    def old(**settings: Any) -> dict[str, Any]:
        return {"config": {"embed": embedders.parse(settings).model_dump(mode="json")}}

    assert told(old(kind="simulated"), None) == {}
    assert told(old(kind="simulated"), {"time_scale": 0.5}) == {"time_scale": 0.5}
    with pytest.raises(DataError, match="doesn't say whose key and account"):
        told(old(kind="openai"), None)
