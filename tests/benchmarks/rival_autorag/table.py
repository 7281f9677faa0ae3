"""What was measured, as one table for a reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rival_autorag.parts import PARTS

Found = Mapping[str, Any]
WIDTH = 52
ABSENT = "not run"


def table(found: Found) -> str:
    """Every line of it."""
    mine, theirs = found["mox"], found.get("autorag")
    name = f"AutoRAG {theirs['version']}" if theirs else "AutoRAG: absent"
    lines = [_row("", "Mox", name, "ratio")]
    lines += [_row(*_plain(part, found)) for part in ("load", "configurations")]
    lines += _costs(mine, theirs)
    if theirs is None:
        lines.append("AutoRAG's half was not run: --autorag-python names no environment with it.")
    if "faults" in mine:
        lines += ["", *_faults(mine["faults"], theirs and theirs.get("faults"))]
    if found.get("agreement"):
        lines += ["", *_agreement(found["agreement"])]
    return "\n".join([*lines, "", *HOW])


def _row(what: str, mine: str, theirs: str, ratio: str = "") -> str:
    return f"{what:<{WIDTH}} {mine:>14} {theirs:>16} {ratio:>8}".rstrip()


def _plain(part: str, found: Found) -> tuple[str, str, str]:
    mine, theirs = found["mox"], found.get("autorag")
    if part == "load":
        what = f"load when it began, ended ({found['cores']} cores)"
        return what, _load(mine), _load(theirs) if theirs else ABSENT
    return "configurations scored", str(mine[part]), str(theirs[part]) if theirs else ABSENT


def _load(side: Found) -> str:
    return ", ".join(f"{value:.1f}" for value in side["load"])


def _costs(mine: Found, theirs: Found | None) -> Iterator[str]:
    yield "CPU seconds of the first run"
    first, other = mine["first"], theirs["first"] if theirs else None
    for part in PARTS:
        yield _seconds(f"  {part}", first["cpu_s"][part], other and other["cpu_s"][part])
    yield _seconds("  all", first["total"], other and other["total"])
    yield _seconds(
        "outside the first embedding (goal 40 ×)", first["outside"], other and other["outside"]
    )
    yield _seconds("  and outside start and imports", first["work"], other and other["work"])
    yield _row("MLflow mirror, beside these", f"{mine['mirror_cpu_s']:.2f}", "has none")
    again = theirs["again"] if theirs else None
    yield _seconds(
        "CPU seconds of a second run (goal 100 ×)", mine["again"]["total"], again and again["total"]
    )
    for what, key in (("texts embedded, distinct", "distinct"), ("  with repeats", "texts")):
        yield _count(what, first["embedded"][key], other and other["embedded"][key])
    yield _count(
        "  in a second run",
        mine["again"]["embedded"]["texts"],
        again and again["embedded"]["texts"],
    )
    yield _row(
        "chunks of 128 and 256 tokens",
        ", ".join(map(str, mine["chunks"])),
        ", ".join(map(str, theirs["chunks"])) if theirs else ABSENT,
    )
    yield _count("peak memory of all processes, MB", first["peak_mb"], other and other["peak_mb"])
    yield _count("wall seconds (other work ran beside)", first["wall_s"], other and other["wall_s"])


def _seconds(what: str, mine: float, theirs: float | None) -> str:
    if theirs is None:
        return _row(what, f"{mine:.2f}", ABSENT)
    ratio = f"{theirs / mine:.1f} ×" if mine > 0.05 and theirs > 0.05 else ""
    return _row(what, f"{mine:.2f}", f"{theirs:.2f}", ratio)


def _count(what: str, mine: float, theirs: float | None) -> str:
    return _row(what, f"{mine:.0f}", ABSENT if theirs is None else f"{theirs:.0f}")


def _faults(mine: Found, theirs: Found | None) -> Iterator[str]:
    """What happened, in a sentence a side."""
    for title, ours, others in (
        ("(a) vector store away at the start", _away(mine), theirs and _their_away(theirs)),
        ("(a) vector store killed in mid-sweep", _midway(mine), theirs and _their_midway(theirs)),
        ("(b) kill -9 in mid-run, then resume", _killed(mine), theirs and _their_killed(theirs)),
        ("(c) the same texts chunked again", _again(mine), theirs and _their_again(theirs)),
        ("(d) labels from 512 to 128 tokens", _lost(mine), theirs and _lost(theirs)),
    ):
        yield title
        yield f"  Mox: {ours}"
        yield f"  AutoRAG: {others or ABSENT}"


def _away(found: Found) -> str:
    away = found["away"]
    scored = f"{away['scored']} scores" if away["scored"] else "nothing scored"
    return f"exit {away['code']}, {scored}: {away['said'].splitlines()[0]}"


def _their_away(found: Found) -> str:
    true = _recall(found["true"])
    random = found["away, random vectors"]
    return (
        f"{found['away']['outcome']}, recall {_recall(found['away'])} (with the store {true});"
        f" with random vectors for a model: {random['outcome']}, recall {_recall(random)}"
    )


def _recall(trial: Found) -> str:
    value = trial["means"]["retrieval_recall"] if trial["means"] else "none"
    return value if isinstance(value, str) else f"{value:.2f}"


def _midway(found: Found) -> str:
    m = found["midway"]
    return (
        f"exit {m['code']}; of {m['trials']} trials {m['failed']} FAILED ({m['named']} naming"
        f" Milvus), {m['scored']} scored, {m['scored_wrong']} of them wrongly; store back, run"
        f" again: {'equal to' if m['resumed_equal'] else 'DIFFERS from'} the undisturbed run"
    )


def _their_midway(found: Found) -> str:
    m = found["midway"]
    killed = "" if m["killed"] else " (the store was not killed in time)"
    return f"{m['outcome']}, recall {_recall(m)} (with the store {_recall(found['true'])}){killed}"


def _killed(found: Found) -> str:
    k = found["killed"]
    equal = "equal to" if k["equal"] else "DIFFERS from"
    same = "the same" if k["same_bytes"] else "NOT all the same"
    return (
        f"killed {len(k['codes'])} times, {k['left_for_the_end']} of {k['stages']} stages left for"
        f" the end; {equal} the undisturbed run, {same} bytes in every artifact"
    )


def _their_killed(found: Found) -> str:
    k = found["resumed"]
    nodes = [node for node in k["whole"] if node != "trial"]
    equal = all(k["resumed"][node] == k["whole"][node] for node in nodes)
    return (
        f"restart_trial {k['outcome']}; nodes' scores {'equal' if equal else 'DIFFER'}; the trial's"
        f" summary has {k['resumed']['trial']} rows, undisturbed {k['whole']['trial']}"
    )


def _again(found: Found) -> str:
    c = found["chunked again"]
    return (
        f"{c['embedded']} of {c['chunks']} chunks embedded again; one document more:"
        f" {c['embedded_for_them']} embedded for its {c['new_chunks']} chunks"
    )


def _their_again(found: Found) -> str:
    c = found["chunked again"]
    asked = c["embedded"] - c["questions"]
    texts = "the same texts" if c["same_texts"] else "other texts"
    return (
        f"{texts}, {'the same' if c['same_ids'] else 'new'} ids: {asked} of {c['chunks']} chunks"
        f" embedded again; the trial then: {c['outcome']}, recall {_recall(c)} (before"
        f" {_recall(found['true'])})"
    )


def _lost(found: Found) -> str:
    d = found["labels_lost"]
    return (
        f"{d['lost']} of {d['overlapping']} overlapping chunks lost, {d['touched']} of {d['of']}"
        " labels touched"
    )


def _agreement(rows: list[Found]) -> Iterator[str]:
    yield "agreement on AutoRAG's own chunks and labels (Mox cannot cut as AutoRAG does)"
    yield _wide("", "size", "asked", "same order", "ties only", "overlap", "nDCG Mox, AutoRAG")
    for row in rows:
        pair = row["ndcg"]
        yield _wide(
            row["what"],
            *(str(row[key]) for key in ("size", "questions", "same", "tied")),
            f"{row['overlap']:.3f}",
            "on AutoRAG's lists" if pair is None else f"{pair[0]:.4f}, {pair[1]:.4f}",
        )
    gaps = [row["gap"] for row in rows if row["gap"] is not None]
    yield f"  dense: scores differ by {max(gaps):.1e} at most. Where they disagree:"
    yield from WHERE


def _wide(what: str, *cells: str) -> str:
    widths = (5, 6, 11, 10, 8, 20)
    return f"  {what:<41}" + "".join(
        f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)
    )


WHERE = (
    "  dense: chunks of equal text, which Mox has in its one order of ties, AutoRAG as its store",
    "  returns them; the evidence lies in one of them, so nDCG moves with the order.",
    "  bm25: another formula (bm25s' lucene; BM25Okapi with a floor under the idf) and other words",
    "  (AutoRAG's porter_stemmer counts a word once a text, however often it stands there).",
    "  rrf: equal scores of one list share a rank in AutoRAG and have places in Mox; all else, and",
    "  all of weighted, are ties of the sum, which AutoRAG leaves to an unstable sort.",
)

HOW = (
    "How it was measured. All of Mox: user and system time of the process and its workers, by",
    "wait4; parts by process clocks around each call, in the same run. AutoRAG: process clocks",
    "around imports, chunking and each trial; its labels and records are left out. Both: the same",
    "wrapper around `encode` counts texts by hash and takes their CPU seconds; byte code is kept.",
    "Mox' own half ran `--offline`, the mirror is `mox sync` after it. Memory: sum of proportional",
    "set sizes, sampled each second. AutoRAG's second run has its chunks, labels and vector store",
    "kept. Faults on a small corpus; Mox' with the model wordllama.",
)
