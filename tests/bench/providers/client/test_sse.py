"""Events out of bytes, however the network cuts them."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mox.bench.providers.client.sse import events

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(
    lambda text: json.dumps({"delta": text}, ensure_ascii=False).encode()
)
NAMES = st.sampled_from(["", "message_stop", "ping"])


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, list[tuple[str, bytes, int]]]:
    """A body, and of each of its events the name, the data, and where it ends."""
    body, expected = b"", []
    for name, data in draw(st.lists(st.tuples(NAMES, TEXT), max_size=6)):
        end = draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
        if draw(st.booleans()):
            body += b": keep alive" + end + end
        body += (f"event: {name}".encode() + end if name else b"") + b"data: " + data + end + end
        expected.append((name, data, len(body)))
    return body, expected


def cut(body: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({place % len(body) for place in places} - {0}), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


@given(bodies(), st.lists(st.integers(0, 10_000), max_size=30))
def test_any_cutting_of_the_bytes_gives_the_same_events(
    made: tuple[bytes, list[tuple[str, bytes, int]]], places: list[int]
) -> None:
    body, expected = made
    parts = cut(body, places) if body else []
    found = list(events(range(len(parts)), parts))
    assert [(name, data) for _, name, data in found] == [(n, d) for n, d, _ in expected]


@given(bodies(), st.lists(st.integers(0, 10_000), max_size=30))
def test_an_event_came_with_the_read_that_held_its_last_byte(
    made: tuple[bytes, list[tuple[str, bytes, int]]], places: list[int]
) -> None:
    body, expected = made
    parts = cut(body, places) if body else []
    ends, total = [], 0
    for part in parts:
        total += len(part)
        ends.append(total)
    moments = [next(at for at, end in enumerate(ends) if end >= last) for _, _, last in expected]
    assert [event.at_ns for event in events(range(len(parts)), parts)] == moments


def test_several_events_of_one_read_share_its_time() -> None:
    parts = [b"data: 1\n\ndata: 2\n\nda", b"ta: 3\n\n"]
    found = [(event.at_ns, event.data) for event in events([10, 20], parts)]
    assert found == [(10, b"1"), (10, b"2"), (20, b"3")]


def test_an_event_that_no_empty_line_ends_is_none() -> None:
    assert [event.data for event in events([1], [b"data: 1\n\ndata: 2\n"])] == [b"1"]


def test_lines_of_data_are_joined_and_a_byte_order_mark_is_left_out() -> None:
    parts = [b"\xef\xbb\xbfdata: a\ndata:b\nid: 3\n\n"]
    assert [event.data for event in events([1], parts)] == [b"a\nb"]
