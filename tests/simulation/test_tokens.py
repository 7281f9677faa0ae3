"""Tokens are o200k's, and pieces are the text."""

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.simulation.tokens import BYTES_PER_TOKEN, SEGMENT, count, count_messages, encoded, pieces
from mox.types.providers import Message

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of how it reads its tables
    import bpe_openai

    O200K = bpe_openai.get_encoding("o200k_base")


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_pieces_are_the_text_and_all_of_its_tokens(text):
    found = pieces(text)
    assert "".join(found.texts) == text
    assert sum(found.tokens) == count(text) == len(O200K.encode_ordinary(text))


def test_a_character_of_several_tokens_is_one_piece():
    # U+1F9A9, a flamingo, is no token of its own: its bytes are several.
    assert len(O200K.encode_ordinary("🦩")) > 1
    assert pieces("🦩").texts == ["🦩"]


@pytest.mark.parametrize("length", [SEGMENT - 1, SEGMENT + 1, 1_200_000])
def test_long_texts_are_counted_to_a_token_a_cut(length):
    # "ab " is the words " ab": some 1 token for 3 characters, and one more where a word is cut.
    words = "ab " * (length // 3)
    assert count(words) == pytest.approx(length // 3, abs=length // SEGMENT + 2)


def test_half_of_a_surrogate_pair_is_counted_as_one_character():
    assert count("a \ud800 b") == len(O200K.encode_ordinary("a \ufffd b"))


def test_a_message_costs_three_tokens_and_so_does_the_answers_beginning():
    # OpenAI's cookbook, "How to count tokens": 3 a message, and 3 that prime the answer.
    messages = [Message("system", "Be brief."), Message("user", "Hello")]
    assert count_messages(messages) == count("Be brief.") + count("Hello") + 3 + 3 + 3


def test_encoded_tokens_are_as_many_as_are_counted():
    assert len(encoded("Herons eat fish.")) == BYTES_PER_TOKEN * count("Herons eat fish.")
