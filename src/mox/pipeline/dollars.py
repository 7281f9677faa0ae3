"""What a plan will cost in dollars, before a call is made; and what would refuse it.

Exact as far as the texts are known: what stands in the memo costs nothing, what is new is counted.
Of a chunking that isn't made yet only the corpus is known, and the estimate says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any, Literal

from mox.embedding import embedders
from mox.errors import BudgetError, DataError, StoreError
from mox.pipeline import codec
from mox.pipeline.memo import memo_of
from mox.pipeline.paid import price_of
from mox.pipeline.plan import Plan
from mox.pipeline.stages import Stage
from mox.spec import Spec, canonical
from mox.types import PaidEmbedder
from mox.types.providers import Call, Usage

Basis = Literal["texts", "characters"]
SAMPLE = 200_000
"""Characters of the corpus that are counted for an estimate."""


@dataclass(frozen=True)
class Cost:
    """What one embedder of a plan will cost, as far as it isn't paid for yet.

    `basis`: `texts` where all of them are known and counted; `characters` where some chunking
    isn't made yet, and its tokens are estimated from the corpus.
    """

    embedder: str
    texts: int
    tokens: int
    usd: Decimal
    basis: Basis
    simulated: bool

    def document(self) -> dict[str, Any]:
        return {**vars(self), "usd": float(self.usd)}


def costs(plan: Plan) -> list[Cost]:
    """What a plan lacks that has to be paid for, by embedder, in the order of the axis.

    Raises:
        PriceError: a price isn't known; the mend is what to write.
        MissingError: a tokenizer or a table of prices isn't installed.
    """
    found: dict[str, list[Stage]] = {}
    for stage in plan.lacking(filter(is_paid, plan.stages.values())):
        found.setdefault(canonical(stage.spec["of"]), []).append(stage)
    counted: dict[Path, set[str]] = {}
    return [_cost(plan, stages, counted) for stages in found.values()]


def in_all(paid: Iterable[Cost]) -> tuple[Decimal, Decimal]:
    """USD of some costs, real and simulated: two purses, which are never added."""
    sums = {False: Decimal(0), True: Decimal(0)}
    for cost in paid:
        sums[cost.simulated] += cost.usd
    return sums[False], sums[True]


def is_paid(stage: Stage) -> bool:
    """Whether a stage asks a provider that wants money."""
    if stage.kind not in ("embed", "queries"):
        return False
    return "paid" in embedders.entry(stage.spec["of"]["kind"]).traits


def spec_of(stage: Stage) -> Spec:
    """The embedder of a stage, with what it needs to run."""
    return embedders.parse({**stage.spec["of"], **stage.runtime.get("embedder", {})})


def check_paid(plan: Plan) -> None:
    """Refuse a plan whose paid stages can't run: no package, no key, no price, no budget.

    Raises:
        MissingError: the extra isn't installed, or there is no key; says which.
        PriceError: a price isn't known.
        BudgetError: the budget is 0.
    """
    lacking = plan.lacking(filter(is_paid, plan.stages.values()))
    stages = {canonical(stage.spec["of"]): stage for stage in lacking}
    for stage in stages.values():
        spec = spec_of(stage)
        if ready := embedders.entry(spec.kind).traits.get("ready"):
            ready(spec)
    most = max(in_all(costs(plan)))
    if plan.experiment.budget.usd == 0 and most > 0:
        raise BudgetError(
            f"budget.usd is 0, and embedding costs about $ {money(most)}: nothing could be paid.",
            mend="raise `budget.usd`, or leave it out to spend without a bound.",
        )


def money(usd: Decimal | float) -> str:
    """Dollars with as many digits as they need: 12.30, 0.0042."""
    value = Decimal(str(usd))
    if value == 0 or abs(value) >= Decimal("0.1"):
        return f"{value:.2f}"
    return f"{value:.2g}" if abs(value) >= Decimal("0.0001") else f"{value:.1E}"


def no_less(usd: Decimal) -> str:
    """Dollars rounded up to as many digits as `money` has, for a limit that is to hold them;
    without an exponent. 0 < usd."""
    digits = 2 if usd >= Decimal("0.1") else 1 - usd.adjusted()
    return f"{usd.quantize(Decimal(1).scaleb(-digits), ROUND_CEILING):f}"


def _cost(plan: Plan, stages: Iterable[Stage], counted: dict[Path, set[str]]) -> Cost:
    """What an embedder's stages cost, but for texts that one before buys for the same memo.

    Args:
        counted: those texts, by the memo's folder; this one's are added.
    """
    stages = list(stages)
    first = stages[0]
    spec = spec_of(first)
    call: Call = embedders.entry(spec.kind).traits["paid"](spec)
    known, chunkings = _texts(plan, stages)
    _, memo = memo_of(plan.store.root, spec, first.fingerprint)
    embedder: PaidEmbedder = embedders[spec](spec)  # type: ignore[assignment]
    before = counted.setdefault(memo.folder, set())
    lacking = [text for text in memo.lacks(embedder.sent(known)) if text not in before]
    before.update(lacking)
    tokens = int(embedder.tokens(lacking).sum()) if lacking else 0
    if chunkings:
        often = sum(_overlap(chunking) * _read(chunking, spec) for chunking in chunkings)
        tokens += round(_corpus_tokens(plan, embedder) * often)
    return Cost(
        embedder=f"{spec.kind} {call.model}, {embedder.dims} dimensions",
        texts=len(lacking),
        tokens=tokens,
        usd=price_of(call, Usage(input_tokens=tokens)),
        basis="characters" if chunkings else "texts",
        simulated=call.simulated,
    )


def _texts(plan: Plan, stages: Iterable[Stage]) -> tuple[list[str], list[Mapping[str, Any]]]:
    """Texts that are known already, and the chunkings that aren't made yet."""
    texts: list[str] = []
    chunkings: list[Mapping[str, Any]] = []
    for stage in stages:
        if stage.kind == "queries":
            texts += [question.text for question in plan.corpus.questions]
            continue
        ref = stage.inputs["chunk"]
        chunking = plan.stages.get(ref.key)
        try:
            if chunking is not None and not plan.store.has(*ref):
                raise KeyError(ref.key)
            texts += codec.unpack_chunks(plan.store.read(*ref).arrays).texts
        except (KeyError, StoreError, DataError):
            if chunking is None:
                raise  # of a part of a plan: its chunks were there
            chunkings.append(chunking.spec["of"])
    return texts, chunkings


def _corpus_tokens(plan: Plan, embedder: PaidEmbedder) -> float:
    """Tokens of the whole corpus, by those of its first documents."""
    characters = sum(len(document.text) for document in plan.corpus.documents)
    sample: list[str] = []
    counted = 0
    for document in plan.corpus.documents:
        sample.append(document.text[: SAMPLE - counted])
        counted += len(sample[-1])
        if counted >= SAMPLE:
            break
    return int(embedder.tokens(sample).sum()) * characters / counted if counted else 0.0


def _overlap(chunking: Mapping[str, Any]) -> float:
    """How often a chunking says each token: more than once where its windows overlap."""
    size, overlap = chunking.get("size"), chunking.get("overlap") or 0
    if not isinstance(size, int) or not 0 < overlap < size:
        return 1.0
    return size / (size - overlap)


def _read(chunking: Mapping[str, Any], spec: Spec) -> float:
    """Share of a full chunk that is sent, where longer ones are cut."""
    size, reads = chunking.get("size"), embedders.entry(spec.kind).traits["reads"](spec)
    if not isinstance(size, int) or reads is None or not getattr(spec, "truncate", False):
        return 1.0
    return float(min(1.0, reads / size))
