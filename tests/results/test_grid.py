"""Tables of a narrow terminal: minor columns go whole, and none is cut."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from mox.results.show import grid
from mox.results.show.grid import Column, Row

COLUMNS = (
    Column("trial", words=True),
    Column("configuration", words=True, folds=True),
    Column("recall"),
    Column("ndcg", minor=3),
    Column("mrr", minor=3),
    Column("chunks", minor=1),
    Column("", words=True, folds=True),
)
LONG = "a/path/without/a/space" * 5
ROWS = (
    Row(("t1", "size=200 [/b] :warning:", "0.912", "0.700", "0.650", "1,000", "chosen")),
    Row(("t2", f"model={LONG}", "0.712", "0.600", "0.550", "2,000", "not told apart")),
)


def shown(width: int, rows: tuple[Row, ...] = ROWS) -> str:
    buffer = io.StringIO()
    grid.show(Console(file=buffer, width=width, color_system=None), COLUMNS, rows)
    return buffer.getvalue()


def test_a_minor_column_without_a_word_takes_no_room() -> None:
    rows = tuple(Row([*row.cells[:3], "", *row.cells[4:]]) for row in ROWS)
    wide = shown(72, rows)
    assert wide.splitlines()[0].split() == ["trial", "configuration", "recall", "mrr", "chunks"]
    assert "too narrow" not in wide


def test_what_has_room_is_shown_whole_and_to_the_letter() -> None:
    wide = shown(200)
    assert "size=200 [/b] :warning:" in wide
    assert LONG in wide
    for word in ("ndcg", "0.550", "2,000", "not told apart"):
        assert word in wide
    assert "too narrow" not in wide


@pytest.mark.parametrize(
    ("width", "gone"),
    # trial 5, configuration 24, recall 6, ndcg 5, mrr 5, chunks 6, marks 14: 65, and 6 gaps.
    [
        (77, []),
        (76, ["mrr"]),
        (70, ["mrr"]),
        (69, ["ndcg", "mrr"]),
        (62, ["ndcg", "mrr", "chunks"]),
    ],
)
def test_minor_columns_go_first_and_the_last_of_them(width: int, gone: list[str]) -> None:
    narrow = shown(width)
    head = narrow.splitlines()[0].split()
    left = [name for name in ("ndcg", "mrr", "chunks") if name not in gone]
    assert head == ["trial", "configuration", "recall", *left]
    assert f"too narrow for: {', '.join(gone)};" in narrow if gone else "too narrow" not in narrow
    # What is kept is whole: the marks too, which stand last.
    for cell in ("0.912", "0.712", "chosen", "not told apart"):
        assert cell in narrow
    assert max(map(len, narrow.splitlines()[:-1])) <= width
    folded = "".join(line[7:31].strip() for line in narrow.splitlines())
    assert LONG in folded
