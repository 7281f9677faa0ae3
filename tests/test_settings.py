"""Where state lies when nobody says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from mox.secrets import scrub
from mox.settings import redact, settings, state_folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree" / "notebooks" / "deep").mkdir(parents=True)
    return tmp_path / "tree"


@pytest.mark.parametrize("below", [".", "notebooks", "notebooks/deep"])
def test_a_folder_of_a_working_tree_has_the_trees_state(tree: Path, below: str) -> None:
    (tree / "pyproject.toml").touch()
    assert state_folder(tree / below) == tree / ".mox"


def test_experiments_make_a_tree_without_a_project(tree: Path) -> None:
    (tree / "experiments").mkdir()
    assert state_folder(tree / "notebooks") == tree / ".mox"


def test_state_that_is_there_already_is_taken_up(tree: Path) -> None:
    (tree / "pyproject.toml").touch()
    (tree / "notebooks" / ".mox").mkdir()
    assert state_folder(tree / "notebooks" / "deep") == tree / "notebooks" / ".mox"


def test_without_a_tree_it_lies_in_the_working_directory() -> None:
    # Not under the tests' own folder, above which anything might lie.
    assert state_folder(Path("/no/such/tree")) == Path("/no/such/tree/.mox")


def test_the_working_directory_is_asked_each_time(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MOX_HOME")
    (tree / "pyproject.toml").touch()
    monkeypatch.chdir(tree / "notebooks")
    assert settings().root == tree / ".mox"


def test_mox_home_wins(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "pyproject.toml").touch()
    monkeypatch.chdir(tree)
    monkeypatch.setenv("MOX_HOME", "elsewhere")
    assert settings().root == tree / "elsewhere"


TORN = ("hunter2/abc=", "hunter2#abc", "hunter2?abc", "hunter2[abc", "7/abc", "7?abc", "7@x/abc")
"""Passwords whose `/`, `#`, `?`, `[` or `@` ends a URL's host, or the URL, too early."""


@pytest.mark.parametrize("password", TORN)
@pytest.mark.parametrize("user", ["", "default"])
def test_an_address_that_a_password_tears_apart_shows_no_part_of_it(
    password: str, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"redis://{user}:{password}@host:6379/0"
    assert redact(url) == "redis://…"
    monkeypatch.setenv("MOX_REDIS_URL", url)
    if len(password) >= 6:  # shorter ones would blot out ordinary words
        assert scrub(f"no port {password}, it says") == "no port ***, it says"


@pytest.mark.parametrize(
    "url", [":hunter22@host:6379/0", "user:hunter22@host", "redis:user:hunter22@host:6379/0",
            "redis:/user:hunter22@host"],
)  # fmt: skip
def test_a_password_is_known_without_the_slashes_of_its_address(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOX_REDIS_URL", url)
    assert scrub("no port hunter22, it says") == "no port ***, it says"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://someone:secret@host:19530/x?token=secret#secret", "http://host:19530/x"),
        ("redis://:a%2Fb@[::1]:6379/0", "redis://[::1]:6379/0"),
        ("postgresql://u:p@host/db?options=a@b", "postgresql://host/db"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("unix:///run/valkey.sock?password=secret", "unix:///run/valkey.sock"),
        ("./milvus.db", "./milvus.db"),
        ("./me@work/milvus.db", "./me@work/milvus.db"),
        ("/home/me@work/milvus.db", "/home/me@work/milvus.db"),
        ("file:/home/me@work/mlruns", "file:/home/me@work/mlruns"),
        ("mlruns", "mlruns"),
        (":hunter2@host:6379/0", "…"),
        ("hunter2@host:6379/0", "…"),
        ("user:hunter2@host", "…"),
        ("//:hunter2@host:6379/0", "…"),
        ("://:hunter2@host:6379/0", "…"),
        ("redis:user:hunter2@host", "…"),
        ("redis:/user:hunter2@host", "…"),
        ("redis:///user:hunter2@host", "redis://…"),
        ("my_redis://user:hunter2@host", "…"),
        (":hunter2@host/x://", "…"),
    ],
)
def test_an_address_is_shown_without_what_is_secret_in_it(uri: str, shown: str) -> None:
    assert redact(uri) == shown
