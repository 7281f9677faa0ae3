"""What a prompt cache has, by both providers' rules."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.simulation.caching import Found, PromptCache
from mox.simulation.core import script
from mox.simulation.models import MODELS
from mox.simulation.script import Asked, End
from mox.simulation.tokens import PER_MESSAGE, count
from mox.types.providers import Message

LONG = "word " * 2_000  # 2,001 tokens of o200k: each word with its space is one, and the last space


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def asked(*texts, marked=0, account="one"):
    """A mark after so many messages, as far as there is one."""
    messages = tuple(Message("user", text) for text in texts)
    ends = tuple(End(at, len(text), kept=at + 1 == marked) for at, text in enumerate(texts))
    return Asked("chat", account, "m", messages, 10, ends=ends)


def openai(clock, **more):
    return PromptCache("openai", clock=clock, **more)


def anthropic(clock, **more):
    return PromptCache("anthropic", clock=clock, **more)


def test_openai_finds_a_beginning_from_1024_tokens_in_steps_of_128(clock):
    cache = openai(clock)
    assert cache.look(asked(LONG, "a")) == Found()
    # 2,004 tokens are shared: 1024 + 7 · 128 = 1920 is the last step below.
    assert count(LONG) + PER_MESSAGE == 2_004
    assert cache.look(asked(LONG, "b")) == Found(read_tokens=1920)


@settings(max_examples=25, deadline=None)
@given(st.integers(900, 2_200))
def test_openai_reads_no_more_than_is_shared(words):
    cache = openai(Clock())
    shared = "word " * words
    cache.look(asked(shared + "one " * 400))
    read = cache.look(asked(shared + "two " * 400)).read_tokens
    assert read == 0 or (read >= 1024 and (read - 1024) % 128 == 0)
    assert read <= words + PER_MESSAGE + 1
    assert read > words + PER_MESSAGE - 130 or read == 0
    assert (read == 0) == (words + PER_MESSAGE < 1024)


def test_a_prompt_under_the_minimum_is_never_kept(clock):
    for cache in (openai(clock), anthropic(clock)):
        short = asked("word " * 900, marked=1)
        assert [cache.look(short), cache.look(short)] == [Found(), Found()]


def test_anthropic_keeps_only_what_is_marked(clock):
    cache = anthropic(clock)
    assert [cache.look(asked(LONG, "a")) for _ in range(2)] == [Found(), Found()]
    assert cache.look(asked(LONG, "a", marked=1)) == Found(written_tokens=2_004)
    assert cache.look(asked(LONG, "b", marked=1)) == Found(read_tokens=2_004)


def test_anthropic_reads_an_earlier_mark_and_writes_what_is_new(clock):
    cache = anthropic(clock)
    cache.look(asked(LONG, marked=1))
    assert cache.look(asked(LONG, LONG, marked=2)) == Found(2_004, 2_004)
    assert cache.look(asked(LONG, LONG, marked=2)) == Found(4_008, 0)


@pytest.mark.parametrize("make", [openai, anthropic])
def test_what_was_kept_is_forgotten_in_time_and_a_hit_renews_it(make, clock):
    cache = make(clock, ttl_s=300)
    cache.look(asked(LONG, marked=1))
    for moment in (299, 590):
        clock.now = moment
        assert cache.look(asked(LONG, marked=1)).read_tokens
    clock.now = 590 + 301
    assert not cache.look(asked(LONG, marked=1)).read_tokens


def test_a_hit_renews_the_shorter_beginning_that_was_read(clock):
    """At 200 s it is read by a longer prompt, at 400 s by its own again."""
    cache = anthropic(clock, ttl_s=300)
    cache.look(asked(LONG, marked=1))
    clock.now = 200
    assert cache.look(asked(LONG, "x " * 50, marked=2)).read_tokens == 2_004
    clock.now = 400
    assert cache.look(asked(LONG, "q", marked=1)).read_tokens == 2_004


def test_a_mark_under_the_minimum_beside_one_above_it_keeps_nothing(clock):
    cache = anthropic(clock)
    short = "word " * 900
    texts = (short, LONG)
    both = tuple(End(at, len(text), kept=True) for at, text in enumerate(texts))
    cache.look(replace(asked(*texts), ends=both))
    assert cache.look(asked(short, "else " * 2_000, marked=2)).read_tokens == 0


@pytest.mark.parametrize("make", [openai, anthropic])
def test_accounts_share_nothing(make, clock):
    cache = make(clock)
    cache.look(asked(LONG, marked=1))
    assert not cache.look(asked(LONG, marked=1, account="two")).read_tokens


@pytest.mark.parametrize("make", [openai, anthropic])
def test_the_least_recently_used_is_dropped_when_it_is_full(make, clock):
    cache = make(clock, entries=16)
    cache.look(asked(LONG, marked=1))
    for number in range(16):
        cache.look(asked(f"{number} {LONG}", marked=1))
    assert not cache.look(asked(LONG, marked=1)).read_tokens


def test_a_full_cache_forgets_the_end_of_a_prompt_before_its_beginning(clock):
    cache = openai(clock, entries=12)  # of 2,004 tokens' 15 blocks of 128
    cache.look(asked(LONG))
    assert cache.look(asked(LONG)).read_tokens == 12 * 128


@pytest.mark.parametrize("make", [openai, anthropic])
def test_what_is_only_looked_up_leaves_nothing_behind(make, clock):
    cache = make(clock)
    cache.look(asked(LONG, marked=1), keep=False)
    assert not cache.look(asked(LONG, marked=1), keep=False).read_tokens


def test_another_word_at_the_beginning_finds_nothing(clock):
    cache = openai(clock)
    cache.look(asked(LONG))
    assert cache.look(asked("other " + LONG)) == Found()


def test_a_script_carries_what_the_cache_did(clock):
    question = asked(LONG, LONG, marked=2)
    cache = anthropic(clock)
    cache.look(asked(LONG, marked=1))
    found = cache.look(question)
    made = script(question, MODELS["sim-swift"], seed=0, cached_tokens=found.read_tokens)
    usage = found.on(made).usage
    assert (usage.cached_tokens, usage.cache_write_tokens) == (2_004, 2_004)
    assert usage.input_tokens == 2 * 2_004 + PER_MESSAGE
