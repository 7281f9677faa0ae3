"""The vector memo: each text is embedded once, whatever asks for it and whoever is killed."""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.errors import StoreError
from mox.pipeline import memo as module
from mox.pipeline.memo import VectorMemo


class Counting:
    """An embedder of two dimensions that counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> Any:
        self.asked += texts
        return np.array([[len(text), hash_of(text)] for text in texts], dtype=np.float32)


def hash_of(text: str) -> int:
    return sum(map(ord, text)) % 1000


def ask(folder: Path, embed: Counting, texts: Sequence[str]) -> Any:
    return VectorMemo(folder).vectors(texts, embed, 2, tick=lambda: None)


def test_only_new_texts_are_embedded(tmp_path: Path) -> None:
    embed = Counting()
    first, made = ask(tmp_path / "m", embed, ["a", "bb", "a"])
    assert made == 2
    second, made = ask(tmp_path / "m", embed, ["bb", "ccc", "a"])
    assert made == 1
    assert embed.asked == ["a", "bb", "ccc"]
    assert first[:, 0].tolist() == [1, 2, 1]
    assert second[:, 0].tolist() == [2, 3, 1]


@settings(max_examples=30, derandomize=True, deadline=None)
@given(st.lists(st.lists(st.text("abc", max_size=3), max_size=6), max_size=5))
def test_vectors_are_those_of_the_texts_in_order(batches: list[list[str]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        embed = Counting()
        for texts in batches:
            found, _ = ask(Path(folder) / "m", embed, texts)
            assert found.tolist() == [[len(text), hash_of(text)] for text in texts]
        assert len(embed.asked) == len(set(embed.asked))


def test_a_batch_that_was_stored_survives_a_failure_in_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    embed = Counting()

    def breaks(texts: Sequence[str]) -> Any:
        if "e" in texts:
            raise RuntimeError("killed")
        return embed(texts)

    with pytest.raises(RuntimeError, match="killed"):
        VectorMemo(tmp_path / "m").vectors(list("abcdef"), breaks, 2, tick=lambda: None)
    _, made = ask(tmp_path / "m", embed, list("abcdef"))
    assert made == 2


def test_a_damaged_segment_is_embedded_again(tmp_path: Path) -> None:
    embed = Counting()
    ask(tmp_path / "m", embed, ["a", "b"])
    [vectors] = (tmp_path / "m").glob("*.vectors.npy")
    vectors.write_bytes(vectors.read_bytes()[:-4])
    found, made = ask(tmp_path / "m", embed, ["a", "b"])
    assert made == 2
    assert found[:, 0].tolist() == [1, 1]


@pytest.mark.skipif(sys.platform != "linux", reason="a limit of addresses, and /proc, are Linux'")
def test_vectors_that_cannot_be_mapped_for_now_stay_and_nobody_pays_twice(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    asked: list[int] = []

    def wide(texts: Sequence[str]) -> Any:
        asked.append(len(texts))
        return np.ones((len(texts), 1 << 23), dtype=np.float32)  # 32 MB a text

    def ask_wide() -> Any:
        return VectorMemo(folder).vectors(["a"], wide, 1 << 23, tick=lambda: None)

    ask_wide()
    limit = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (16 << 20), limit[1]))
    try:
        with pytest.raises(StoreError, match="cannot be read: Cannot allocate memory") as caught:
            ask_wide()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)
    assert "nothing was removed" in caught.value.mend
    assert ask_wide()[1] == 0
    assert asked == [1]


@pytest.mark.parametrize("what", ["hash", "vectors"])
def test_a_segment_that_cannot_be_opened_for_now_stays(tmp_path: Path, what: str) -> None:
    embed = Counting()
    ask(tmp_path / "m", embed, ["a", "b"])
    [file] = (tmp_path / "m").glob(f"*.{what}.npy")
    aside = file.rename(tmp_path / "aside")
    file.symlink_to(file)  # a loop: the system refuses to open it, and says so
    with pytest.raises(StoreError, match="cannot be read: Too many levels of symbolic links"):
        ask(tmp_path / "m", embed, ["a", "b"])
    aside.replace(file)
    assert ask(tmp_path / "m", embed, ["a", "b"])[1] == 0
    assert embed.asked == ["a", "b"]


def test_many_segments_become_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENTS", 3)
    embed = Counting()
    for text in "abcdefgh":
        ask(tmp_path / "m", embed, [text])
    assert len(list((tmp_path / "m").glob("*.hash.npy"))) <= 4
    _, made = ask(tmp_path / "m", embed, list("abcdefgh"))
    assert made == 0


def counted(texts: Sequence[str]) -> Any:
    return np.array([10 + len(text) for text in texts], dtype=np.int32)


def test_what_texts_were_billed_is_kept_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEGMENTS", 3)
    folder = tmp_path / "m"
    ask(folder, Counting(), ["old", "older"])  # whose tokens nobody counted
    assert VectorMemo(folder).billed(["old", "new"]) == {}
    for text in ("a", "bb", "ccc", "dddd", ""):
        VectorMemo(folder).vectors([text, "old"], Counting(), 2, tick=lambda: None, billed=counted)
    assert len(list(folder.glob("*.hash.npy"))) < 6  # some were merged
    assert VectorMemo(folder).billed(["ccc", "old", "new", "", "a"]) == {"ccc": 13, "": 10, "a": 11}
    embed = Counting()
    found, made = ask(folder, embed, ["a", "older", "dddd", "old"])
    assert made == 0
    assert found[:, 0].tolist() == [1, 5, 4, 3]
