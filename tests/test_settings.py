"""Where state lies when nobody says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from mox.corpus.evidence import need_folder
from mox.embedding.transformers import SentenceTransformers, folder_of
from mox.errors import MissingError
from mox.providers.accounts import account_name, key_files_from
from mox.providers.keys import key_of
from mox.providers.openai import OpenAI
from mox.providers.prices import Prices
from mox.secrets import scrub
from mox.settings import expanded, redact, settings, state_folder

NOBODY = "~nobody-of-this-name"


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
    "uri", ["file:/home/me/at:work@corp/mlruns", "FILE:///home/me/at:work@corp/mlruns",
            "sqlite+pysqlite:////home/me/at:work@corp/mlflow.db", "/home/me/at:work@corp/mlruns"],
)  # fmt: skip
def test_a_folder_whose_name_has_an_at_is_no_password(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's own way to name a folder: of a directory's users, `@` stands in their homes."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert redact(uri) == uri
    for path in ("/home/me/at:work@corp/openai.key", "/home/me/at", "no file at work@corp"):
        assert scrub(path) == path


def test_a_sockets_password_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOX_REDIS_URL", "unix://:hunter22@/run/valkey.sock")
    assert scrub("no hunter22, it says") == "no ***, it says"


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


@pytest.mark.parametrize("where", [f"{NOBODY}/x", NOBODY])
def test_the_home_folder_of_nobody_is_named_with_its_mend(where: str) -> None:
    with pytest.raises(MissingError, match=f"{NOBODY} isn't known here") as caught:
        expanded(where)
    assert "begins with ./~" in str(caught.value.mend)


def test_nobodys_home_folder_is_one_clear_error_wherever_a_path_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = OpenAI(model="gpt-5-mini", key_file=Path(NOBODY) / "key")
    monkeypatch.setenv("MOX_HOME", f"{NOBODY}/state")
    reads = (
        lambda: settings().root,
        lambda: key_of(spec),
        lambda: account_name(spec),
        lambda: key_files_from({"key_file": f"{NOBODY}/key"}, tmp_path),
        lambda: Prices.load(Path(NOBODY) / "prices.yaml"),
        lambda: need_folder(tmp_path, f"{NOBODY}/corpus"),
        lambda: folder_of(SentenceTransformers(model=f"{NOBODY}/model")),
    )
    for read in reads:
        with pytest.raises(MissingError, match="isn't known here"):
            read()
