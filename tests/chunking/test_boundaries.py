"""Where sentences end, in prose, lists, code and other scripts."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from mox.chunking.boundaries import LONGEST, sentence_spans

# Of Pragmatic Segmenter's Golden Rules (English; Kevin S. Dias, MIT licence). `|` stands where
# a sentence ends. Left out: those about quotations that go on, and five that nupunkt misses
# (a sentence that begins with a name behind "p.m." or behind "I", "N°.", "Yahoo!", "....").
GOLDEN = """\
Hello World.| My name is Jonas.
What is your name?| My name is Jonas.
There it is!| I found it.
My name is Jonas E. Smith.
Please turn to p. 55.
Were Jane and co. at the party?
They closed the deal with Pitt, Briggs & Co. at noon.
Let's ask Jane and co.| They should know.
They closed the deal with Pitt, Briggs & Co.| It closed yesterday.
I can see Mt. Fuji from here.
St. Michael's Church is on 5th st. near the light.
That is JFK Jr.'s book.
I visited the U.S.A. last year.
I live in the E.U.| How about you?
I live in the U.S.| How about you?
I work for the U.S. Government in Virginia.
I have lived in the U.S. for 20 years.
She has $100.00 in her bag.
She has $100.00.| It is in her bag.
Her email is Jane.Doe@example.com.| I sent her an email.
The site is: https://www.example.50.com/new-site/awesome_content.html.| Please check it out.
She turned to him, "This is great."| She held the book out to show him.
Hello!!| Long time no see.
Hello?!| Is that you?
"Bohr [...] used the analogy of parallel stairways [...]" (Smith 55)."""


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize("line", GOLDEN.split("\n"))
def test_golden_rules_hold(line: str) -> None:
    assert sentences(line.replace("|", "")) == [part.strip() for part in line.split("|")]


def test_wrapped_lines_are_one_sentence() -> None:
    text = (
        "The quick brown fox jumped over the lazy dog that was\n"
        "lying in the sun since it had been tired. The dog, e.g.\r\n"
        "this one, didn't mind.\n"
    )
    assert [len(part.split()) for part in sentences(text)] == [20, 7]


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\r\r", "\n \t\n\n", "\u2029\n"])
def test_a_blank_line_ends_a_sentence(end: str) -> None:
    assert sentences(f"An end without a full stop{end}Text. More") == [
        "An end without a full stop", "Text.", "More",
    ]  # fmt: skip


def test_headings_and_list_items_stand_by_themselves() -> None:
    text = (
        "# Bees\nThey need water. And shade.\n\n- a hive\n- a veil, since\n  they sting\n2. smoke\n"
    )
    assert sentences(text) == [
        "# Bees", "They need water.", "And shade.",
        "- a hive", "- a veil, since\n  they sting", "2. smoke",
    ]  # fmt: skip


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_fenced_block_is_one_sentence(end: str) -> None:
    code = "````python\n# frames\n\nx = a. B(1.0)\n~~~\n```\n````".replace("\n", end)
    text = (
        f"Call `os.path.join(a, b)` on 3.11.{end}{code}{end}Then. Stop.{end}```{end}Unclosed. So."
    )
    assert sentences(text) == [
        "Call `os.path.join(a, b)` on 3.11.", code, "Then.", "Stop.", "```", "Unclosed.", "So.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "parts",
    [
        ["這是第一句。", "「這是第二句！」", "第三句？", "好"],
        ["これは文です。", "次の文です。"],
        ["यह पहला वाक्य है।", "यह दूसरा है।"],
        ["هل هذا سؤال؟", "نعم"],
    ],
)
def test_full_stops_of_other_scripts_end_a_sentence(parts: list[str]) -> None:
    assert sentences("".join(parts)) == parts
    assert sentences(" ".join(parts)) == parts


def test_offsets_count_code_points() -> None:
    first, second = (
        "We met \U0001f44b\U0001f3fd, cafe\u0301 at 5\u00a0p.m. sharp.",
        "Naïve \U0001d4d0.",
    )
    assert sentence_spans(f" {first}\u00a0 {second} ") == [
        (1, 1 + len(first)), (3 + len(first), 3 + len(first) + len(second)),
    ]  # fmt: skip


def test_no_sentence_is_cut_where_a_long_paragraph_is_fed_in_parts() -> None:
    parts = [f"Sentence {number} of some length says what it says." for number in range(1500)]
    text = " ".join(parts)
    assert len(text) > 3 * LONGEST
    assert sentences(text) == parts


def test_what_has_no_sentences_is_covered_too() -> None:
    text = "x" * (2 * LONGEST + 7)
    assert "".join(sentences(text)) == text
    assert sentences("") == sentences(" \n\r\n\t ") == []


@pytest.mark.parametrize(
    "text", ["\n" * 40_000, "!?" * 10_000, '"(a. ' * 20_000, "```a\n" * 20_000, "`" * 80_000]
)
def test_it_takes_no_minutes(text: str) -> None:
    """nupunkt takes 70 s for the first as it stands."""
    began = time.process_time()
    sentence_spans(f"Text. {text} Text.")
    assert time.process_time() - began < 10


def test_it_needs_no_network_and_no_home(tmp_path: Path) -> None:
    """nupunkt also looks for models in the user's folders; ours is the one in its wheel."""
    script = (
        "import pathlib, socket\n"
        "def refuse(*a, **k): raise SystemExit('went for the network, or home')\n"
        "socket.socket.connect = socket.getaddrinfo = pathlib.Path.home = refuse\n"
        "from mox.chunking.boundaries import sentence_spans\n"
        "print(sentence_spans('Dr. No. He left.'))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert (found.stdout.strip(), found.stderr) == ("[(0, 7), (8, 16)]", "")
