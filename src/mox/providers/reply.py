"""What comes back from a question, with what it took; shown in a notebook and in a terminal."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, overload

from mox.errors import MoxError
from mox.providers.rates import added

if TYPE_CHECKING:
    import pandas as pd

    from mox.types.providers import Answer

_SHADE = "padding:1px 6px;border-radius:3px;background:rgba(234,179,8,.3)"
_SMALL = "font-size:12px;opacity:.75;padding-top:4px"


@dataclass(frozen=True, slots=True, repr=False)
class Reply:
    """An answer, and what it took this time."""

    question: str
    answer: Answer
    usd: Decimal | None
    """What the answer cost now: 0 where it was remembered; None where it has no price, or can't be
    priced by its usage. Attempts that failed before it, and may be billed, stand in the ledger."""
    seconds: float
    """From the question to its whole answer."""
    waited_s: float = 0.0
    """Of those, for an account to be free."""
    attempts: int = 0
    """How often it was sent; 0: it was remembered."""
    account: str = ""

    @property
    def text(self) -> str:
        """What the model said."""
        return self.answer.text

    @property
    def simulated(self) -> bool:
        """Whether nobody was asked: Mox' simulator made it up from what it was given."""
        return self.answer.simulated

    @property
    def remembered(self) -> bool:
        """Whether it had been answered before, and cost nothing now."""
        return self.attempts == 0

    @property
    def first_text_s(self) -> float | None:
        """From the last sending to the first text; None where it was remembered, or said none."""
        timings = self.answer.timings
        if self.remembered or timings.first_text is None:
            return None
        return (timings.first_text - timings.sent) / 1e9

    def facts(self) -> list[str]:
        """What it took, in words."""
        usage, first = self.answer.usage, self.first_text_s
        said = [
            self.answer.model,
            f"{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out",
            f"{self.seconds:.2f} s",
        ]
        if self.remembered:
            return [*said, "remembered: 0 USD"]
        parts = [f"first text {first:.2f} s"] if first is not None else []
        parts.append(f"waited {self.waited_s:.2f} s")
        said[-1] += f" ({', '.join(parts)})"
        said += [f"{self.attempts} attempts"] if self.attempts > 1 else []
        return [*said, _money(self.usd)]

    def document(self) -> dict[str, Any]:
        """As JSON; money as text, so that it stays exact."""
        answer, left = self.answer, self.answer.standing
        return {
            "schema": 1,
            "simulated": self.simulated,
            "model": answer.model,
            "account": self.account,
            "text": answer.text,
            "reasoning": answer.reasoning,
            "finish": answer.finish,
            "usage": asdict(answer.usage),
            "usd": None if self.usd is None else f"{self.usd:f}",
            "remembered": self.remembered,
            "attempts": self.attempts,
            "seconds": self.seconds,
            "waited_s": self.waited_s,
            "first_text_s": self.first_text_s,
            "request_id": answer.request_id,
            "standing": None if left is None else asdict(left),
        }

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        marks = ["SIMULATED"] if self.simulated else []
        return f"{self.text}\n[{' · '.join([*self.facts(), *marks])}]"

    def _repr_html_(self) -> str:
        mark = f" <span style='{_SHADE}'>SIMULATED</span>" if self.simulated else ""
        facts = html.escape(" · ".join(self.facts()))
        return (
            f"<div style='white-space:pre-wrap'>{html.escape(self.text)}</div>"
            f"<div style='{_SMALL}'>{facts}{mark}</div>"
        )


class Replies(Sequence["Reply | MoxError"]):
    """What came of several questions, in their order: a Reply each, or the error in its place."""

    def __init__(self, questions: Sequence[str], items: Sequence[Reply | MoxError]) -> None:
        self.questions = tuple(questions)
        self._items = tuple(items)

    @overload
    def __getitem__(self, at: int) -> Reply | MoxError: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Reply | MoxError]: ...
    def __getitem__(self, at: int | slice) -> Reply | MoxError | Sequence[Reply | MoxError]:
        return self._items[at]

    def __len__(self) -> int:
        return len(self._items)

    @property
    def answered(self) -> list[Reply]:
        """Those that were answered."""
        return [one for one in self._items if isinstance(one, Reply)]

    @property
    def errors(self) -> dict[int, MoxError]:
        """Place in the list → why it was not answered."""
        return {at: one for at, one in enumerate(self._items) if isinstance(one, MoxError)}

    @property
    def usd(self) -> Decimal | None:
        """What all of them cost now; None where one has no price (`repr` has the sum of the rest,
        and the ledger the most that it may have cost)."""
        return None if self._unpriced else added(self._priced)

    @property
    def _priced(self) -> list[Decimal]:
        return [one.usd for one in self.answered if one.usd is not None]

    @property
    def _unpriced(self) -> int:
        return len(self.answered) - len(self._priced)

    def frame(self) -> pd.DataFrame:
        """A line for each question."""
        import pandas as pd

        return pd.DataFrame([dict(zip(_COLUMNS, row, strict=True)) for row in self._rows()])

    def __repr__(self) -> str:
        lines = [
            f"{at}: {_why(one) if isinstance(one, MoxError) else repr(one)}"
            for at, one in enumerate(self._items)
        ]
        return "\n".join([*lines, self._summary()])

    def _repr_html_(self) -> str:
        heads = "".join(f"<th style='text-align:left'>{name}</th>" for name in _COLUMNS)
        rows = "".join(
            f"<tr>{''.join(f'<td style=text-align:left>{_cell(part)}</td>' for part in row)}</tr>"
            for row in self._rows()
        )
        return (
            f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
            f"<div style='{_SMALL}'>{html.escape(self._summary())}</div>"
        )

    def _summary(self) -> str:
        failed = len(self.errors)
        known, unknown = self._priced, self._unpriced
        money = _money(added(known) if known or not unknown else None)
        money += f" and {unknown} without a price" if known and unknown else ""
        said = f"{len(self.answered)} of {len(self)} answered · {money}"
        said += f" · {failed} failed" if failed else ""
        return said + (" · SIMULATED" if any(one.simulated for one in self.answered) else "")

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        for question, one in zip(self.questions, self._items, strict=True):
            if isinstance(one, MoxError):
                yield question, None, _why(one), None, None, None, None, None, None
                continue
            usage = one.answer.usage
            yield (
                question, one.text, None, usage.input_tokens, usage.output_tokens,
                round(one.seconds, 3), round(one.waited_s, 3), one.usd, one.simulated,
            )  # fmt: skip


_COLUMNS = (
    "question", "text", "error", "input_tokens", "output_tokens", "seconds", "waited_s", "usd",
    "simulated",
)  # fmt: skip


def _why(error: MoxError) -> str:
    kind = getattr(error, "kind", None) or type(error).__name__
    return f"{kind}: {error.message}"


def _money(usd: Decimal | None) -> str:
    from mox.providers.costs import shown

    return "no price" if usd is None else f"{shown(usd)} USD"


def _cell(part: Any) -> str:
    return (
        "" if part is None else html.escape(f"{part:f}" if isinstance(part, Decimal) else str(part))
    )
