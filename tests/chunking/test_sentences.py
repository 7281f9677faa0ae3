"""Chunks of whole sentences: packed while they fit, repeated whole."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.chunking import chunkers
from mox.chunking.cut import chunk_document
from mox.chunking.recursive import Recursive
from mox.chunking.sentences import Sentences
from mox.chunking.tokenizers import Bpe, open_tokenizer
from mox.errors import FieldError
from mox.types import Document

# 5, 6, 5 and 4 tokens of cl100k by tiktoken; joined by spaces, 20.
FOUR = [
    "The hive needs water.",
    "They fly two miles away.",
    "Keep the hive dry.",
    "Winter is long.",
]


def cut(spec: Sentences | Recursive, text: str, tokenizer: Bpe) -> list[str]:
    return [chunk.text for chunk in chunk_document(spec, Document("d", text, ""), tokenizer)]


def test_as_many_sentences_as_fit_are_a_chunk(cl100k: Bpe) -> None:
    a, b, c, d = FOUR
    text = " ".join(FOUR)
    assert [cl100k.count(part) for part in FOUR] == [5, 6, 5, 4]
    assert cut(Sentences(size=20), text, cl100k) == [text]
    assert cut(Sentences(size=19), text, cl100k) == [f"{a} {b} {c}", d]
    assert cut(Sentences(size=11), text, cl100k) == [f"{a} {b}", f"{c} {d}"]
    assert cut(Sentences(size=6), text, cl100k) == FOUR


def test_a_chunk_is_filled_by_its_own_tokens_not_by_the_documents(cl100k: Bpe) -> None:
    """` Repeated` is two tokens and `Repeated` one, by tiktoken."""
    text = f"{FOUR[1]} Repeated use wears. It does."
    assert cl100k.count(" Repeated") == cl100k.count("Repeated") + 1
    last = "Repeated use wears. It does."
    assert cut(Sentences(size=cl100k.count(last)), text, cl100k) == [FOUR[1], last]


def test_white_space_between_sentences_is_kept_and_counted(cl100k: Bpe) -> None:
    text = f"{FOUR[0]}\r\n \t\r\n \r\n{FOUR[2]}"
    assert cut(Sentences(size=30), text, cl100k) == [text]
    gap = cl100k.count(text) - 10
    assert gap > 0
    assert cut(Sentences(size=9 + gap), text, cl100k) == [FOUR[0], FOUR[2]]


def test_an_overlap_repeats_whole_sentences(cl100k: Bpe) -> None:
    a, b, c, d = FOUR
    text = " ".join(FOUR)
    assert cut(Sentences(size=11, overlap=6), text, cl100k) == [
        f"{a} {b}", f"{b} {c}", f"{c} {d}",
    ]  # fmt: skip
    # One token less than any of the sentences has, but the last, which nothing follows.
    assert cut(Sentences(size=11, overlap=3), text, cl100k) == cut(Sentences(size=11), text, cl100k)


def test_an_overlap_gives_way_to_the_next_sentence(cl100k: Bpe) -> None:
    a, b, c, d = FOUR
    # 10 tokens: a and b don't fit together, c fits beside neither b; d fits beside c.
    assert cut(Sentences(size=10, overlap=9), " ".join(FOUR), cl100k) == [a, b, f"{c} {d}"]


def test_a_sentence_over_the_size_is_cut_like_recursive(cl100k: Bpe) -> None:
    long = "Of all the things that a keeper has to look at, which are many, water comes first."
    parts = cut(Recursive(size=8), long, cl100k)
    assert len(parts) > 2
    assert cut(Sentences(size=8), long, cl100k) == parts


def test_the_last_part_of_a_long_sentence_is_packed_with_what_follows(cl100k: Bpe) -> None:
    text = "Words " * 20 + "end. Short one. " + FOUR[1]
    found = cut(Sentences(size=16), text, cl100k)
    assert cl100k.count(f"end. Short one. {FOUR[1]}") < 16
    assert found[-1].endswith(f"Words end. Short one. {FOUR[1]}")


def test_no_chunk_ends_at_an_abbreviation(cl100k: Bpe) -> None:
    text = "Dr. Smith et al. saw approx. 5 bees, e.g. in Fig. 2. They left. " * 6
    for size in range(24, 40):
        for chunk in cut(Sentences(size=size), text, cl100k):
            assert chunk.startswith(("Dr. Smith", "They left."))
            assert chunk.endswith(("2.", "left."))


def test_a_very_long_line_is_cut_within_the_size(cl100k: Bpe) -> None:
    text = "x = [" + ", ".join(str(number) for number in range(20_000)) + "]"
    found = cut(Sentences(size=64), text, cl100k)
    assert max(map(cl100k.count, found)) <= 64
    assert "".join("".join(found).split()) == "".join(text.split())


def test_a_code_block_is_a_sentence_of_its_own(cl100k: Bpe) -> None:
    code = "```python\nif a.b > 1.0:\n    print(a. b)\n```"
    text = f"{FOUR[0]}\n\n{code}\n\n{FOUR[1]}"
    assert cut(Sentences(size=cl100k.count(code)), text, cl100k) == [FOUR[0], code, FOUR[1]]


# Sentences whose ends are known by construction, of one to some twenty tokens.
WORDS = st.sampled_from(
    ["bees", "water", "檢查", "naïve", "\U0001f41d", "e.g. honey", "3.5 kg", "hive"]
)
SENTENCE = st.lists(WORDS, min_size=1, max_size=12).map(lambda words: f"It has {' '.join(words)}.")
GAPS = st.sampled_from([" ", "\n\n", "\r\n\r\n", "\r\n", "  "])


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    parts=st.lists(st.tuples(SENTENCE, GAPS), min_size=1, max_size=12),
    size=st.integers(60, 120),
    overlap=st.integers(0, 59),
)
def test_sentences_stay_whole_and_each_chunk_is_full(
    parts: list[tuple[str, str]], size: int, overlap: int
) -> None:
    count = open_tokenizer("cl100k").count
    text = "".join(itertools.chain.from_iterable(parts))
    begins = list(itertools.accumulate((len(a) + len(gap) for a, gap in parts), initial=0))[:-1]
    ends = [begin + len(a) for begin, (a, _) in zip(begins, parts, strict=True)]
    spec = Sentences(size=size, overlap=overlap)
    chunks = chunk_document(spec, Document("d", text, ""), open_tokenizer("cl100k"))
    spans = [
        (begins.index(start), ends.index(end)) for chunk in chunks for start, end in chunk.spans
    ]
    assert spans[0][0] == 0
    assert spans[-1][1] == len(parts) - 1
    for first, last in spans[:-1]:
        assert count(text[begins[first] : ends[last + 1]]) > size, "another one would have fitted"
    for (_, last), (first, _) in itertools.pairwise(spans):
        new = last + 1
        assert first <= new, "a sentence is lost"
        assert first == new or count(text[begins[first] : ends[last]]) <= overlap
        if first - 1 > spans[0][0]:
            more = begins[first - 1]
            fits = count(text[more : ends[last]]) <= overlap
            assert not fits or count(text[more : ends[new]]) > size or (first - 1, last) in spans


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"size": 20, "overlap": 20}, "overlap = 20: .*below size = 20"),
        ({"size": 3}, "size = 3: .*greater than or equal to 4"),
        ({"overlap": -1}, "overlap = -1: .*greater than or equal to 0"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, int], said: str) -> None:
    with pytest.raises(FieldError, match=said):
        chunkers.parse({"kind": "sentences", **settings})


@pytest.mark.parametrize("other", [{"size": 16}, {"overlap": 6}])
def test_every_setting_changes_the_result(other: dict[str, int], cl100k: Bpe) -> None:
    made = [
        cut(Sentences.model_validate({"size": 11} | part), " ".join(FOUR), cl100k)
        for part in ({}, other)
    ]
    assert made[0] != made[1]
