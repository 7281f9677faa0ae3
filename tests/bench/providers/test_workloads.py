"""Prompts: exact to the token, unlike each other where the cache is off, the same every time."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox.bench.providers.passages import Questions, asked, content_words, quality
from mox.bench.providers.sections import Own, Rag, Sized
from mox.bench.providers.words import WARM
from mox.bench.providers.workloads import Workload, sized
from mox.chunking.tokenizers import open_tokenizer
from mox.errors import SpecError

SIZES = {"short": (100, 300), "standard": (1000, 1000), "long": (10_000, 1500)}


def tokens(workload: Workload, round_: int, number: int) -> int:
    messages = workload(round_, number).messages
    return sum(open_tokenizer("o200k").count(message.text) for message in messages)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("kind", SIZES)
def test_a_prompt_has_its_tokens_exactly(kind: str, shared: bool) -> None:
    workload = sized(Sized(kind=kind), shared=shared, salt="0")  # type: ignore[arg-type]
    for number in (-1, 0, 1, 69):
        assert tokens(workload, 2, number) == SIZES[kind][0]
    assert workload(0, 0).max_output_tokens == SIZES[kind][1]
    assert workload.input_tokens == SIZES[kind][0]


@given(st.integers(80, 5000), st.integers(0, 9), st.integers(-9, 500), st.booleans())
def test_a_prompt_of_any_size_has_its_tokens_exactly(
    size: int, round_: int, number: int, shared: bool
) -> None:
    workload = sized(Own(input=size, output=10), shared=shared, salt="0")
    assert tokens(workload, round_, number) == size


def test_without_a_cache_no_two_prompts_share_sixteen_words() -> None:
    workload = sized(Sized(kind="standard"), shared=False, salt="0")
    begins = {
        tuple(workload(round_, number).messages[0].text.split()[:16])
        for round_, number in itertools.product(range(3), range(-5, 300))
    }
    assert len(begins) == 3 * 305


def test_with_a_cache_four_fifths_are_one_message_that_all_share() -> None:
    workload = sized(Sized(kind="long"), shared=True, salt="0")
    first, second = workload(0, 0), workload(2, 7)
    assert first.cached_messages == 1
    assert first.messages[0] == second.messages[0]
    assert first.messages[1] != second.messages[1]
    assert open_tokenizer("o200k").count(first.messages[0].text) == 8000


def test_prompts_are_the_same_every_time_and_others_with_another_salt() -> None:
    one, same, other = (sized(Sized(kind="short"), shared=False, salt=salt) for salt in "001")
    crossed = pickle.loads(pickle.dumps(one))  # noqa: S301  our own
    assert one(1, 5) == same(1, 5) == crossed(1, 5)
    assert one(1, 5) != other(1, 5)


def test_a_request_that_warms_up_asks_for_few_tokens() -> None:
    workload = sized(Sized(kind="short"), shared=False, salt="0")
    assert workload(0, -1).max_output_tokens == WARM


def test_too_few_tokens_for_the_task_are_refused() -> None:
    with pytest.raises(SpecError, match=r"40 tokens hold no task(.|\n)*raise `input` to \d\d"):
        sized(Own(input=40, output=10), shared=True, salt="0")


@pytest.fixture(scope="module")
def questions() -> Questions:
    part = Rag(corpus={"kind": "card", "name": "python-reference"}, questions=12, k=4, size=100)
    return asked(part, shared=False, salt="0", base=Path("experiments").absolute())


class TestRag:
    def test_its_prompt_is_numbered_passages_and_then_the_question(
        self, questions: Questions
    ) -> None:
        text = questions(0, 3).messages[0].text
        head, *passages, last = text.split("\n\n[")[0], *text.split("\n\n["), ""
        assert head.startswith("Request ")
        assert [part.split("]")[0] for part in passages[1:]] == ["1", "2", "3", "4"]
        assert text.splitlines()[-1] == f"Question: {questions.asked[3].question}"
        assert last == ""

    def test_passages_have_at_most_their_tokens_and_are_the_corpus_own(
        self, questions: Questions
    ) -> None:
        for one in questions.asked:
            assert len(one.passages) == 4
            for passage in one.passages:
                assert open_tokenizer("o200k").count(passage) <= 100

    def test_its_tokens_are_counted(self, questions: Questions) -> None:
        found = [tokens(questions, 0, number) for number in range(12)]
        assert questions.input_tokens == pytest.approx(sum(found) / 12, abs=1)

    def test_questions_are_asked_in_turn_and_never_alike(self, questions: Questions) -> None:
        first, again = questions(0, 0).messages[0].text, questions(0, 12).messages[0].text
        assert first.splitlines()[-1] == again.splitlines()[-1]
        assert first.splitlines()[0] != again.splitlines()[0]

    def test_the_gold_evidence_is_a_perfect_answer_and_an_abstention_is_none(
        self, questions: Questions
    ) -> None:
        # pr-001 of the card's questions, its one evidence word by word.
        evidence = (
            "Names in the target list are not deleted when the loop is finished, but if the"
            " sequence is empty, they will not have been assigned to at all by the loop."
        )
        assert questions.quality(0, f"{evidence} [2]") == 1.0
        assert questions.quality(0, "The passages don't say.") == 0.0
        assert questions.quality(12, evidence) == 1.0


def test_quality_is_the_best_span_of_each_group_and_the_mean_of_groups() -> None:
    one, two, three = (content_words(text) for text in ("red blue", "green", "black white grey"))
    gold = ((one, two), (three,))
    # Group 1: of red and blue one half, green whole; group 2: two of three words.
    assert quality(gold, "The green red WHITE black.") == pytest.approx((1 + 2 / 3) / 2)
    assert quality((), "anything") is None
