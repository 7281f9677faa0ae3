"""What all back ends that hold texts take and refuse."""

from __future__ import annotations

from collections.abc import Sequence

from mox.errors import DataError, SpecError
from mox.spec import IndexSpec, SearchSettings
from mox.types import Rows


def texts_of(rows: Rows, *, kind: str, most_bytes: int, nul: bool = True) -> Sequence[str]:
    """The texts of what an index is to be built from, each known to fit.

    Args:
        most_bytes: of one text in UTF-8, as the engine counts.
        nul: whether the engine takes the character U+0000.

    Raises:
        SpecError: there are none.
        DataError: one is longer than the engine holds, or is no text to it; names the row.
    """
    texts = rows.texts
    if not texts:
        raise SpecError(f"{kind} has no texts to hold.", mend="build it from `Rows(texts=…)`.")
    for row, text in enumerate(texts):
        try:
            size = len(text.encode())
        except UnicodeEncodeError as error:
            raise DataError(
                f"{kind}: the text of row {row} is no Unicode text ({error.reason} at"
                f" {error.start}).",
                mend="mend the parser that it comes from.",
            ) from None
        if size > most_bytes:
            raise DataError(
                f"{kind}: the text of row {row} has {size:,} bytes, and the engine holds"
                f" {most_bytes:,}.",
                mend="use smaller chunks; nothing is cut off unasked.",
            )
        if not nul and "\0" in text:
            raise DataError(
                f"{kind}: the text of row {row} holds the character U+0000, which the engine's"
                " text type does not.",
                mend="remove it from the document that it stands in.",
            )
    return texts


def check_settings(spec: IndexSpec, settings: SearchSettings, k: int) -> None:
    """Refuse a search that an index cannot answer as it was meant.

    Raises:
        SpecError: settings of another index, or that cannot fill k places.
    """
    if type(settings) is not spec.Search:
        raise SpecError(
            f"{spec.kind} cannot be searched with {type(settings).__qualname__}.",
            mend="use the `Search` of its own Spec.",
        )
    if k < 1:
        raise SpecError(f"k = {k} asks for nothing.", mend="set k to 1 or more.")
    settings.check(spec, k)
