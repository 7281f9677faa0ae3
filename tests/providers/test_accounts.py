"""Accounts as they are written down: one book for a key, whoever uses it up, and none for two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mox
from mox.bench.providers.entries import Entry, Named
from mox.bench.providers.pooling import accounts
from mox.errors import FieldError
from mox.providers.accounts import book_name, stated
from mox.providers.door import parsed
from mox.providers.embedders import CompatibleEmbed, OpenAiEmbed
from mox.providers.keys import key_of
from mox.providers.pool import Limits

GPT = {"kind": "openai", "model": "gpt-5.4-mini"}


def books(spec: dict[str, Any], *accounts: dict[str, Any], **limits: Any) -> list[str]:
    """What the door calls the books of some accounts."""
    limits = limits or {"requests_per_min": 60}
    return [each.account().name for each in stated(parsed(spec), accounts or [{}], limits=limits)]


def test_who_uses_up_a_key_keeps_one_book_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The door, a benchmark, whatever it calls its providers, and an embedder."""
    both = {"requests_per_min": 500, "tokens_per_min": 200_000, "models": "all"}
    monkeypatch.chdir(tmp_path)
    for key, place in (
        ({}, "OPENAI_API_KEY"),
        ({"key_env": "A_KEY"}, "A_KEY"),
        ({"key_file": "k0"}, str(tmp_path / "k0")),
    ):
        chat = books({**GPT, **key}, **both)
        entry = Entry(name="mine", limits=both)
        bench = accounts(Named("mine", parsed({**GPT, "model": "gpt-5.4", **key}), entry, 0))
        embed = OpenAiEmbed(limits=Limits(**both), **key)
        assert chat == [f"{place} api.openai.com all"]
        assert chat == [one.account().name for one in bench]
        assert chat == [book_name(embed.called, embed.host, embed.model, Limits(**both))]


def test_accounts_by_name_keep_one_book_and_models_apart_where_nothing_else_is_said() -> None:
    host = {"kind": "compatible", "model": "m", "base_url": "http://h:1/v1"}
    both = {"requests_per_min": 500, "models": "all"}
    [chat] = books(host, {"name": "team"}, **both)
    embed = CompatibleEmbed(base_url=host["base_url"], model="e", dims=8, account="team")
    assert chat == book_name(embed.called, embed.host, embed.model, Limits(**both))
    apart = Limits(requests_per_min=500)  # by model, as providers count
    assert book_name("team", "h:1", "m", apart) != book_name("team", "h:1", "e", apart)


def test_two_keys_have_two_books() -> None:
    named = [books({**GPT, **key}) for key in ({"key_env": "A_KEY"}, {"key_env": "B_KEY"}, {})]
    projects = [books({**GPT, "project": project}) for project in ("p1", "p2")]
    assert len({book for found in (*named, *projects) for book in found}) == 5
    assert len(set(books(GPT, {"project": "p1"}, {"project": "p2"}, {"key_env": "A_KEY"}))) == 3


@pytest.mark.parametrize("key", [{}, {"key_env": "A_KEY"}])
def test_two_servers_of_ones_own_have_two_books_and_one_has_one(key: dict[str, Any]) -> None:
    """Without a key, or with one that both take."""
    own = {"kind": "compatible", "model": "m", "base_url": "http://gpu1:8000/v1", **key}
    two = [{"name": "west"}, {"name": "east", "base_url": "http://gpu2:8000/v1"}]
    assert books(own, *two) == ["west gpu1:8000 m", "east gpu2:8000 m"]
    place = "A_KEY" if key else "default"
    with pytest.raises(FieldError, match=f"both use {place} at gpu1:8000"):
        books(own, {"name": "west"}, {"name": "east", "base_url": "http://gpu1:8000/v1/"})


def test_an_accounts_own_key_goes_before_the_providers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        monkeypatch.setenv(f"{name.upper()}_KEY", f"key-of-account-{name}")
        (tmp_path / name).write_text(f"key-of-file-{name}")
    written = [{"name": "a", "key_env": "A_KEY"}, {"name": "b", "key_file": str(tmp_path / "b")}]
    for key in ({"key_file": str(tmp_path / "a")}, {"key_env": "B_KEY"}):
        ways = stated(parsed({**GPT, **key}), written, limits={"unlimited": True})
        assert [key_of(way.spec) for way in ways] == ["key-of-account-a", "key-of-file-b"]


def test_two_places_of_one_key_are_refused() -> None:
    both = {"key_env": "A_KEY", "key_file": "k0"}
    with pytest.raises(FieldError, match="openai names two places of a key"):
        parsed({**GPT, **both})
    with pytest.raises(FieldError, match="openai names two places of a key"):
        mox.model(GPT, accounts=[{"name": "a", **both}], limits={"unlimited": True})


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ([{"name": "a", "key_env": "A_KEY"}, {"name": "a", "key_env": "B_KEY"}],
         "two accounts are called 'a'"),
        ([{"name": "a"}, {"name": "b"}], "two accounts are one: both use OPENAI_API_KEY"),
        ([{"name": "a"}, {"key_env": "OPENAI_API_KEY"}], "both use OPENAI_API_KEY"),
        ([{"name": "a", "project": "p"}, {"name": "b", "project": "p"}], "OPENAI_API_KEY p"),
        ([{}, {}], "both use OPENAI_API_KEY"),
    ],
)  # fmt: skip
def test_accounts_that_are_one_or_are_called_alike_are_refused(
    written: list[dict[str, Any]], said: str
) -> None:
    """Two books of one key would let through twice what it may."""
    with pytest.raises(FieldError, match=said):
        mox.model(GPT, accounts=written, limits={"unlimited": True})


def test_a_key_for_a_name_is_refused() -> None:
    with pytest.raises(FieldError, match="holds a key") as caught:
        mox.model(GPT, accounts=[{"name": "sk-" + "x" * 30}], limits={"unlimited": True})
    assert "xxx" not in str(caught.value)
