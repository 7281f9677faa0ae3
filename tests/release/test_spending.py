"""Asking a release never embeds a corpus for money unasked: it says what that costs, and is held to
what may be spent."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import mox
from mox.cli.app import app
from mox.errors import BudgetError, StoreError
from mox.pipeline.dollars import no_less
from mox.providers.ledger import Ledger
from mox.release.bundle import Release

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def promoted(
    tmp_path_factory: pytest.TempPathFactory, corpus_writer: Callable[..., Path], proxy: Any
) -> tuple[Any, Release, Path]:
    folder = tmp_path_factory.mktemp("paid")
    corpus = corpus_writer(folder / "corpus", documents=4, paragraphs=5)
    prices = folder / "prices.yaml"
    prices.write_text(
        "prices: [{provider: [compatible], model: m, per: 1M, input: 1000, sure: true}]\n"
    )
    how = {"kind": "compatible", "base_url": proxy.url, "model": "m", "dims": 8,
           "key_env": "TEAM_KEY", "limits": {"requests_per_min": 60_000}}  # fmt: skip
    experiment = {
        "name": "paid",
        "corpus": {"kind": "evidence", "path": str(corpus)},
        "axes": {
            "chunk": [{"kind": "recursive", "size": 48}],
            "embed": [how],
            "index": [{"kind": "exact"}],
            "search": [{"kind": "dense", "k": 5}],
        },
        "measure": ["recall@5"],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOX_HOME", str(folder / "state"))
        patch.setenv("MOX_PRICES", str(prices))
        patch.setenv("MOX_WORKERS", "1")
        patch.setenv("TEAM_KEY", "planted-team-key")
        results = mox.run(experiment, offline=True, quiet=True)
        trial = results.run.trials[0]
        assert trial.status == "FINISHED", trial.error
        release = mox.promote(results, trial=trial.id, offline=True).release
    return proxy, release, prices


@pytest.fixture
def elsewhere(
    promoted: tuple[Any, Release, Path], own_state: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, Release]:
    """Another machine: the release, a key, prices, and a store that has none of its vectors."""
    api, release, prices = promoted
    monkeypatch.setenv("MOX_PRICES", str(prices))
    monkeypatch.setenv("TEAM_KEY", "planted-team-key")
    api.asked.clear()
    return api, release


def test_a_corpus_is_not_embedded_for_money_unasked(elsewhere: tuple[Any, Release]) -> None:
    api, release = elsewhere
    with pytest.raises(BudgetError, match=r"embeds its corpus first.* texts, about \$ ") as caught:
        mox.ask(release.path, "where is the copper lantern")
    assert "usd=" in caught.value.mend
    assert not api.asked


def test_a_limit_below_the_estimate_is_refused_and_one_above_it_is_held(
    elsewhere: tuple[Any, Release], own_state: Path
) -> None:
    api, release = elsewhere
    with pytest.raises(BudgetError, match=r"may cost \$ 0\.001 at most"):
        mox.ask(release.path, "where is the copper lantern", usd=0.001)
    assert not api.asked
    assert mox.ask(release.path, "where is the copper lantern", usd=50).passages
    spent = sum(Decimal(str(row["usd"])) for row in Ledger(own_state).rows())
    assert spent == Decimal(sum(api.asked)) / 1000  # a token a text, at 1,000 USD a million
    api.asked.clear()
    assert mox.ask(release.path, "who has the violin").passages
    assert api.asked == [1]  # the question: the corpus is in the store now


def test_damaged_chunks_are_said_and_redone_before_anything_is_paid(
    elsewhere: tuple[Any, Release], own_state: Path
) -> None:
    """One flipped bit: as many bytes as before, so that the artifact counts as stored."""
    api, release = elsewhere
    with pytest.raises(BudgetError, match="embeds its corpus first"):
        mox.ask(release.path, "where is the copper lantern")
    [chunks] = own_state.glob("artifacts/chunk/*/data.npz")
    raw = bytearray(chunks.read_bytes())
    raw[len(raw) // 2] ^= 1
    chunks.write_bytes(raw)
    with pytest.raises(StoreError, match=r"artifact chunk/.* is damaged .checksum differs"):
        mox.ask(release.path, "where is the copper lantern", usd=50)
    assert not api.asked
    assert mox.ask(release.path, "where is the copper lantern", usd=50).passages


def test_the_limit_that_is_named_is_enough_where_the_provider_counts_as_we_do(
    elsewhere: tuple[Any, Release], own_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each text is held at its bytes until it is counted; the last one and the question, too."""
    api, release = elsewhere
    count = pytest.importorskip("bpe_openai").get_encoding("cl100k_base").encode
    monkeypatch.setattr(api, "count", lambda text: len(count(text)))
    question = "where is the copper lantern"
    with pytest.raises(BudgetError) as caught:
        mox.ask(release.path, question)
    [about] = re.findall(r"about \$ (\d+\.\d\d)\.", caught.value.message)
    [named] = re.findall(r"usd=(\d+\.\d\d)\)", caught.value.mend)
    assert f"--usd {named}" in caught.value.mend
    below = Decimal(about) - Decimal("0.01")  # it is rounded up: this is less than what it costs
    with pytest.raises(BudgetError, match=rf"about \$ {about}, and may cost \$ {below} at most"):
        mox.ask(release.path, question, usd=float(below))
    assert not api.asked
    assert mox.ask(release.path, question, usd=float(named)).passages
    spent = sum(Decimal(str(row["usd"])) for row in Ledger(own_state).rows())
    assert spent <= Decimal(named)


@pytest.mark.parametrize(
    ("usd", "shown"),
    [("0.35455", "0.36"), ("0.35", "0.35"), ("12.001", "12.01"), ("0.0421", "0.043"),
     ("0.00000712", "0.0000072"), ("0.0999", "0.100")],
)  # fmt: skip
def test_a_limit_that_is_named_is_never_less_than_what_it_is_to_hold(usd: str, shown: str) -> None:
    assert no_less(Decimal(usd)) == shown


def test_the_command_takes_a_limit_and_says_where_the_key_is(
    elsewhere: tuple[Any, Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    api, release = elsewhere
    monkeypatch.delenv("TEAM_KEY")
    monkeypatch.setenv("HERE", "planted-here")
    command = ["ask", str(release.path), "where is the copper lantern", "--json"]
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2
    assert "--usd" in refused.output
    assert not api.asked
    more = ["--usd", "50", "--embedder", "key_env=HERE", "--embedder", "account=here"]
    done = CliRunner().invoke(app, [*command, *more])
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.output)["passages"]) == 5


@pytest.mark.parametrize("before", ["", "key_env ", "key_env:", "=", "key="])
def test_a_key_that_is_typed_in_the_place_of_a_setting_is_not_repeated(
    elsewhere: tuple[Any, Release], before: str
) -> None:
    key = "sk-proj-a1B2c3D4e5F6g7H8i9J0"
    command = ["ask", str(elsewhere[1].path), "where", "--embedder", before + key, "--json"]
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2
    assert "mend" in refused.output
    assert key not in refused.output


def test_a_limit_that_is_none_is_refused(elsewhere: tuple[Any, Release]) -> None:
    with pytest.raises(mox.MoxError, match="can't be meant"):
        mox.ask(elsewhere[1].path, "where is the copper lantern", usd=-1)
