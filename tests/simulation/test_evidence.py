"""What counts as support, word by word."""

import pytest

from mox.simulation.evidence import likeness, sentences, support


def test_support_is_half_shared_words_and_half_likeness():
    # Of heron, eat, fish and mouse three are there.
    claim, said = "Herons eat fish and mice.", "Herons eat fish."
    (alike,) = likeness(claim, [said])
    assert 0.5 < alike < 1.0
    assert support(claim, sentences(said)) == pytest.approx(0.5 * 3 / 4 + 0.5 * alike, abs=1e-5)


def test_a_word_in_the_sentence_beside_it_counts_almost_as_much():
    context = sentences("Albert Einstein was a physicist. He was born in Ulm.")
    (alike,) = likeness("Einstein was born in Ulm.", ["He was born in Ulm."])
    # Of einstein, born and ulm two stand in the sentence and all three beside: 0.9 · 3/3.
    expected = 0.5 * 0.9 + 0.5 * alike
    assert support("Einstein was born in Ulm.", context) == pytest.approx(expected, abs=1e-5)


def test_a_sentence_supports_itself_wholly():
    text = "The Brenn tower, which is 214 metres tall, was not finished."
    assert support(text, sentences(text)) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("claim", ["", "It is.", "Herons sleep at noon."])
def test_what_shares_no_word_has_no_support(claim):
    assert support(claim, sentences("Storks eat frogs.")) == 0.0


def test_nothing_supports_without_a_context():
    assert support("Herons eat fish.", ()) == 0.0


def test_numbers_are_the_same_with_and_without_their_commas():
    (plain,), (grouped,) = sentences("It holds 1200 seats."), sentences("It holds 1,200 seats.")
    assert (plain.stems, plain.numbers) == (grouped.stems, grouped.numbers)


def test_sentences_are_whole_and_abbreviations_end_none():
    found = [
        one.text for one in sentences("Dr. Smith met Mr. Jones, i.e. him.\n\nThey ate 3.5 figs.")
    ]
    assert found == ["Dr. Smith met Mr. Jones, i.e. him.", "They ate 3.5 figs."]


def test_of_a_table_each_line_is_one():
    rows = [f"row {number} holds the value {number * 7}" for number in range(60)]
    assert [one.text for one in sentences("\n".join(rows))] == rows


def test_forms_of_a_word_are_one():
    (one,), (other,) = sentences("Herons waited."), sentences("A heron waits.")
    assert one.stems == other.stems
