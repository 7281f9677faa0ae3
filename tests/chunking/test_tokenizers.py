"""Tokenizers: tiktoken's ids, offline, on texts of any length."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.chunking import tokenizers
from mox.chunking.tokenizers import (
    COUNTED,
    COUNTS,
    NAMES,
    SEGMENT,
    Bpe,
    fingerprint,
    open_tokenizer,
    segments,
)
from mox.errors import SpecError
from mox.vocabulary import Vocabulary

# By tiktoken 0.14: `decode_single_token_bytes` of each id of `encode_ordinary`, and from the
# bytes' ends the characters begun by then.
TIKTOKEN = {
    "cl100k": {
        "The quick brown fox.\r\n\r\nJumps!": [3, 9, 15, 19, 24, 25, 29, 30],
        "I said \U0001f926\u200d\u2642\ufe0f twice": [1, 6, 8, 8, 8, 9, 9, 10, 10, 11, 17],
        "<|endoftext|>": [1, 2, 6, 8, 11, 12, 13],
        "\U0010ffff\U0010ffffa": [1, 1, 1, 1, 2, 2, 2, 2, 3],
        "日本語のテキスト": [1, 2, 3, 3, 4, 5, 6, 8],
        "": [],
    },
    "o200k": {
        "The quick brown fox.\r\n\r\nJumps!": [3, 9, 15, 19, 24, 25, 29, 30],
        "I said \U0001f926\u200d\u2642\ufe0f twice": [1, 6, 8, 8, 9, 10, 11, 17],
        "<|endoftext|>": [1, 2, 5, 7, 11, 12, 13],
        "\U0010ffff\U0010ffffa": [1, 1, 1, 1, 2, 2, 2, 2, 3],
        "日本語のテキスト": [2, 3, 4, 5, 6, 8],
        "": [],
    },
}
# `expected_hash` of the two tables in tiktoken 0.14's source.
TABLES = {
    "cl100k": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}


@pytest.mark.parametrize("name", TIKTOKEN)
def test_tokens_end_where_tiktokens_do(name: str) -> None:
    tokenizer = open_tokenizer(name)
    for text, ends in TIKTOKEN[name].items():
        assert tokenizer.ends(text).tolist() == ends
        assert tokenizer.count(text) == len(ends)


@pytest.mark.parametrize("name", TABLES)
def test_the_vocabulary_is_tiktokens(name: str) -> None:
    package = find_spec("bpe_openai")  # found, not imported: it warns, and reads all its tables
    assert package is not None
    assert package.origin is not None
    packed = Path(package.origin).parent / "data" / f"{NAMES[name]}.tiktoken.gz"
    assert hashlib.sha256(gzip.decompress(packed.read_bytes())).hexdigest() == TABLES[name]


def test_a_text_past_the_librarys_limits_is_counted(cl100k: Bpe) -> None:
    """Its package refuses 1,000,000 characters, and 200,000 tokens whatever the length."""
    # A line's end after a full stop closes a token, so a repeated line repeats its tokens.
    line = "Some words in a line, then its end.\n"
    assert len(line) * 30_000 > 1_000_000
    assert cl100k.count(line * 30_000) == cl100k.count(line) * 30_000
    dense = "\U0010ffff" * 60_000  # four tokens each, as above
    assert cl100k.count(dense) == 240_000


def test_ends_of_a_long_text_are_in_its_own_characters(cl100k: Bpe) -> None:
    line = "Ein Satz mit Ümläuten, und seinem Ende.\n"
    ends = cl100k.ends(line * 5_000)
    assert len(line) * 5_000 > 2 * SEGMENT
    once = cl100k.ends(line)
    assert ends.tolist() == [len(line) * i + end for i in range(5_000) for end in once.tolist()]


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["word", " and", "\n", "\n\n  ", "!", "é", "12", "。", "\r\n/"])))
def test_segments_tokenize_like_the_whole(parts: list[str]) -> None:
    tokenizer = open_tokenizer("cl100k")
    text = "".join(parts) + "\n" + "some words more\n" * 20
    cut = list(segments(text, longest=60 + len("".join(parts))))
    assert "".join(cut) == text
    assert sum(map(tokenizer.count, cut)) == tokenizer.count(text)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.text(max_size=80), st.integers(1, 20))
def test_segments_are_whole_and_short(text: str, longest: int) -> None:
    cut = list(segments(text, longest=longest))
    assert "".join(cut) == text
    assert all(len(segment) <= longest for segment in cut)


def test_ends_cannot_be_changed_by_who_asks(cl100k: Bpe) -> None:
    with pytest.raises(ValueError, match="read-only"):
        cl100k.ends("some text")[0] = 7


def test_the_memo_of_counts_is_bounded() -> None:
    seen: list[str] = []

    class Toy(Vocabulary):
        token_lengths = np.array([1], dtype=np.int32)

        def encode(self, text: str) -> list[int]:
            seen.append(text)
            return [0]

    tokenizer = Bpe("toy", Toy("cl100k_base"))
    for number in range(COUNTS + 10):
        tokenizer.count(str(number))
    assert tokenizer._remembered.cache_info().currsize == COUNTS
    tokenizer.count(str(COUNTS))
    assert len(seen) == COUNTS + 10, "a count that was remembered was made again"
    long = "x" * (COUNTED + 1)
    tokenizer.count(long)
    tokenizer.count(long)
    assert seen.count(long) == 2, "a long text was kept in memory"


def test_a_tokenizer_is_opened_once() -> None:
    assert open_tokenizer("o200k") is open_tokenizer("o200k")
    assert open_tokenizer().name == "cl100k"


@pytest.mark.parametrize("use", [open_tokenizer, fingerprint])
def test_an_unknown_name_is_refused_with_the_nearest(use: object) -> None:
    assert callable(use)
    with pytest.raises(SpecError, match="'cl100k_base', did you mean 'cl100k'") as caught:
        use("cl100k_base")
    assert caught.value.mend == "use one of cl100k, o200k."


def test_a_fingerprint_names_vocabulary_and_version() -> None:
    assert fingerprint("cl100k") != fingerprint("o200k")
    assert set(fingerprint("cl100k")) == {"bpe-openai", "tokenizer", "tokenizer_version"}


def test_the_room_is_light_until_it_works(tmp_path: Path) -> None:
    """Looking kinds up loads no tokenizer, no splitter and no parser."""
    script = (
        "import sys; from mox.chunking import chunkers, tokenizers, cut; chunkers.kinds();"
        "print([m for m in ('bpe_openai._bindings', 'semchunk', 'markdown_it', 'tqdm', 'nupunkt')"
        " if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert (found.stdout.strip(), found.stderr) == ("[]", "")


def test_tokenizing_needs_no_network(tmp_path: Path) -> None:
    """Every name, in a process in which opening a connection fails."""
    script = (
        "import socket\n"
        "def refuse(*a, **k): raise SystemExit('went for the network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from mox.chunking.tokenizers import NAMES, open_tokenizer\n"
        "print([open_tokenizer(name).count('two words') for name in NAMES])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert (found.stdout.strip(), found.stderr) == ("[2, 2]", "")


def test_every_name_is_held_to_tiktoken() -> None:
    assert set(tokenizers.NAMES) == set(TIKTOKEN) == set(TABLES)
