"""Collecting garbage: what goes and why, what stays and for whom, and nothing by halves."""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mox.embedding import embedders
from mox.errors import MissingError, SpecError, StoreError
from mox.pipeline.memo import VectorMemo, memo_of
from mox.pipeline.running import COLLECTING
from mox.pipeline.stages import Ref
from mox.pipeline.store import REMOVED, Store
from mox.results import Results, Run
from mox.results import run as records
from mox.results.collect.garbage import Holder
from mox.results.collect.gc import BUSY, Standing, Swept, sweep
from mox.settings import settings
from mox.spec import digest

MEASURES = ("recall@60t", "recall@2")
HNSW = {"kind": "HNSW", "m": 8, "ef_construction": 100}


@pytest.fixture
def two(made: Any) -> tuple[Run, Run]:
    """Two runs of a store: `first` with the trials a and b, `second` with b and c."""
    for name, size in (("a", 16), ("b", 32), ("c", 64)):
        made.trial(name, {"kind": "recursive", "size": size}, MEASURES)
    run = made.results(MEASURES).run
    first = replace(run, id="first", trials=run.trials[:2])
    second = replace(run, id="second", trials=run.trials[1:], started="2026-02-01T00:00:00Z")
    for one in (first, second):
        records.save(made.store, one)
    return first, second


def collect(store: Store, *, dry: bool = False, **options: Any) -> Swept:
    return sweep(store, settings(), dry=dry, **options)


def snapshot(root: Path) -> dict[str, bytes]:
    """Every file of a store but its locks."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.parent.name != "locks"
    }


def size(root: Path) -> int:
    return sum(path.stat().st_size for path in (root / "artifacts").rglob("*") if path.is_file())


def keys(swept: Swept) -> set[str]:
    return {f"{one.ref.kind}/{one.ref.key}" for one in swept.going}


def test_what_a_run_reaches_stays(made: Any, two: Any) -> None:
    before = snapshot(made.store.root)
    swept = collect(made.store)
    assert swept.document()["removed"] == []
    assert swept.whole
    assert len(swept.found.kept) == 2 + 3 * 4  # documents, questions; four stages a trial
    assert snapshot(made.store.root) == before


def test_forgetting_a_run_frees_just_the_bytes_that_only_it_holds(made: Any, two: Any) -> None:
    store = made.store
    only = {one.id: one.only_bytes for one in collect(store, dry=True).found.holders}
    dry = collect(store, dry=True, forget=["fir"])
    before = size(store.root)
    swept = collect(store, forget=["fir"])
    assert keys(swept) == {f"{kind}/a" for kind in ("chunk", "tokens", "lexical", "score")}
    assert before - size(store.root) == only["first"] == swept.freed_bytes
    assert dry.document()["freed_bytes"] == only["first"]
    assert [run.id for run in records.every(store)] == ["second"]
    results = Results(two[1], store)
    assert set(results.summary) == {"b", "c"}


def test_a_dry_run_changes_nothing_not_even_what_is_damaged(made: Any, two: Any) -> None:
    store = made.store
    data = store.folder("chunk", "a") / "data.npz"
    data.write_bytes(data.read_bytes()[:-3])
    before = snapshot(store.root)
    swept = collect(store, dry=True, forget=["second"])
    assert snapshot(store.root) == before
    reasons = {f"{one.ref.kind}/{one.ref.key}": one.reason for one in swept.going}
    assert reasons["chunk/a"].startswith("damaged: its bytes are not all there")
    assert reasons["score/c"] == "of run second (made), forgotten by this gc"


def write(store: Store, kind: str, key: str, facts: Any = None, **note: Any) -> Ref:
    noted = {"version": 1, "spec": {}, "inputs": {}, **note}
    store.write(kind, key, {"x": np.zeros(3)}, facts or {}, noted)
    return Ref(kind, key)


def test_reasons_say_what_is_known(made: Any, two: Any) -> None:
    store = made.store
    write(store, "chunk", "old", version=0)
    write(store, "chunk", "other", fingerprint={"numpy": "0.0.1", "tokenizer_version": "1"})
    write(store, "chunk", "lone")
    records.forget(store, two[0])
    reasons = {one.ref.key: one.reason for one in collect(store, dry=True).going}
    assert reasons["old"] == "no run, release or sweep reaches it; stage version 0, now 1"
    now = np.__version__
    assert reasons["other"].endswith(f"; made with numpy 0.0.1, now {now}")
    assert reasons["lone"] == "no run, release or sweep reaches it"
    assert reasons["a"] == "of run first (made), which was forgotten"


def test_a_release_keeps_what_it_stands_on_and_its_run_unless_forced(made: Any, two: Any) -> None:
    store = made.store
    standing = Standing("shelf/r.yaml", "first", "a", frozenset({Ref("score", "a")}))
    with pytest.raises(SpecError, match=r"run first .* 1 release stands on: shelf/r.yaml") as said:
        collect(store, releases=[standing], forget=["first"])
    assert "--force" in said.value.mend
    assert (records.folder(store) / "first.json").exists()
    swept = collect(store, releases=[standing], forget=["first"], force=True)
    assert keys(swept) == set()  # the score of a stands on all that a has
    held = {one.kind: one.only_bytes for one in swept.found.holders}
    assert held["release"] > 0
    assert keys(collect(store)) == {f"{kind}/a" for kind in ("chunk", "tokens", "lexical", "score")}


def test_what_stands_on_others_goes_before_them(made: Any, two: Any) -> None:
    """Killed half way, no score is left over without the hits that explain it."""
    records.forget(made.store, two[0])
    order = [one.ref.kind for one in collect(made.store, dry=True).going]
    assert order == ["score", "lexical", "tokens", "chunk"]


def test_a_forgotten_run_still_counts_as_a_look_at_the_test_side(made: Any, two: Any) -> None:
    choose = {"maximise": "recall@60t", "within": None, "prefer": None}
    first, second = (replace(run, choose=choose) for run in two)
    for run in (first, second):
        records.save(made.store, run)
    chosen = Results(second, made.store).choice
    assert chosen is not None
    assert chosen.test_looks == 2
    collect(made.store, forget=["first"])
    again = Results(second, made.store).choice
    assert again is not None
    assert again.test_looks == 2


def test_a_run_that_is_run_again_is_no_longer_forgotten(made: Any, two: Any) -> None:
    collect(made.store, forget=["first"])
    assert [run.id for run in records.forgotten(made.store)] == ["first"]
    records.save(made.store, two[0])
    assert list(records.forgotten(made.store)) == []


def test_an_unknown_run_is_not_forgotten(made: Any, two: Any) -> None:
    with pytest.raises(MissingError, match="no run 'third'"):
        collect(made.store, forget=["third"])


@pytest.mark.parametrize("raw", [b"{", b"{}", b'{"schema": 99}'])
def test_a_record_that_cannot_be_read_stops_everything(made: Any, two: Any, raw: bytes) -> None:
    write(made.store, "chunk", "lone")
    (records.folder(made.store) / "first.json").write_bytes(raw)
    with pytest.raises(StoreError, match=r"first\.json"):
        collect(made.store)
    assert made.store.has("chunk", "lone")


def indexes(store: Store) -> Path:
    folder = store.root / "services" / "indexes"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def lite(store: Store, key: str, *, owner: str = "") -> Path:
    """The folder of a Lite collection, as far as `drop` looks at it."""
    path = indexes(store) / f"mox_{owner or store.id}_{key[:20]}.db"
    (path / "collections").mkdir(parents=True)
    (path / "LOCK").touch()
    (path / "collections" / "data").write_bytes(b"x" * 1000)
    return path


def test_a_builds_collection_goes_with_it_and_one_of_no_build_too(made: Any, two: Any) -> None:
    store = made.store
    ours, lone = lite(store, "a" * 64), lite(store, "b" * 64)
    theirs = lite(store, "c" * 64, owner="0123abcd")
    (indexes(store) / f"mox_{store.id}_{'d' * 20}.npy").write_bytes(b"x" * 50)
    write(store, "build", "a" * 64, spec={"of": HNSW}, fingerprint={"engine": "milvus-lite"})
    dry = collect(store, dry=True)
    assert [one.name for one in dry.found.orphans] == [
        f"mox_{store.id}_{'b' * 20}", f"mox_{store.id}_{'d' * 20}",
    ]  # fmt: skip
    assert dry.going[0].bytes > 1000  # the collection's bytes among its build's
    swept = collect(store)
    assert swept.whole
    assert not ours.exists()
    assert not lone.exists()
    assert theirs.exists()
    assert [path.name for path in indexes(store).iterdir()] == [theirs.name]
    assert swept.freed_bytes == dry.document()["freed_bytes"]


def test_a_collection_in_use_stays_with_its_build_and_stops_nothing_else(
    made: Any, two: Any
) -> None:
    store = made.store
    path = lite(store, "a" * 64)
    write(store, "build", "a" * 64, spec={"of": HNSW})
    write(store, "chunk", "lone")
    with (path / "LOCK").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        swept = collect(store)
    assert not swept.whole
    assert "Milvus Lite lets one process in" in swept.refused[f"build/{'a' * 64}"]
    assert store.has("build", "a" * 64)
    assert path.exists()
    assert keys(swept) == {"chunk/lone"}
    assert "Milvus Lite lets one process in" in swept.text()
    assert collect(store).whole
    assert not path.exists()


def test_a_build_on_a_server_stays_while_no_server_is_named(made: Any, two: Any) -> None:
    write(made.store, "build", "s" * 64, spec={"of": HNSW}, fingerprint={"engine": "milvus"})
    swept = collect(made.store)
    assert "MOX_MILVUS_URI isn't set" in swept.refused[f"build/{'s' * 64}"]
    assert made.store.has("build", "s" * 64)


def test_a_server_that_is_away_is_said_and_the_rest_goes(
    made: Any, two: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOX_MILVUS_URI", "http://127.0.0.1:1")
    write(made.store, "chunk", "lone")
    swept = collect(made.store)
    assert keys(swept) == {"chunk/lone"}
    assert not swept.whole
    [said] = swept.document()["unseen"]
    assert "127.0.0.1:1 is away" in said


def test_what_another_process_writes_stays(made: Any, two: Any) -> None:
    write(made.store, "chunk", "lone")
    with made.store.lock("lone"):
        swept = collect(made.store)
    assert swept.refused == {"chunk/lone": BUSY}
    assert made.store.has("chunk", "lone")
    assert keys(collect(made.store)) == {"chunk/lone"}


def test_two_collectors_are_not_let_in_at_once(made: Any, two: Any) -> None:
    with (
        made.store.lock(COLLECTING),
        pytest.raises(StoreError, match="another process collects garbage"),
    ):
        collect(made.store)


def test_leftovers_go_once_they_are_old_and_what_was_being_removed_at_once(
    made: Any, two: Any
) -> None:
    folder = made.store.root / "artifacts" / "chunk"
    fresh, old = folder / ".k.12.0123abcd", folder / ".k.34.0123abcd"
    removed = folder / f".k{REMOVED}0123abcd"
    begun = made.store.root / "running" / ".k.0123abcd.json.34.0123abcd"
    begun.parent.mkdir(exist_ok=True)
    begun.write_bytes(b"{")
    hidden = made.store.root / ".gitignore"  # a user's, not ours
    hidden.touch()
    for path in (fresh, old, removed):
        path.mkdir()
        (path / "data.npz").write_bytes(b"x" * 10)
    past = time.time() - 7200
    for path in (old, begun, hidden):
        os.utime(path, (past, past))
    swept = collect(made.store)
    assert set(swept.found.leftovers) == {old, begun, removed}
    assert fresh.exists()
    assert hidden.exists()
    assert not old.exists()
    assert not begun.exists()
    assert not removed.exists()


def test_answers_and_what_they_cost_are_kept(made: Any, two: Any) -> None:
    root = made.store.root
    answers, ledger = root / "memo" / "answers", root / "ledger"
    for folder in (answers, ledger):
        folder.mkdir(parents=True)
    (answers / "0a.json").write_text("{}")
    (ledger / "calls.sqlite").write_text("calls")
    left = answers / "0b.1.2.tmp"
    left.write_text("killed")
    os.utime(left, (1, 1))
    swept = collect(made.store)
    assert (answers / "0a.json").exists()
    assert (ledger / "calls.sqlite").exists()
    assert not left.exists()
    assert swept.document()["memo"]["embedders"] == []


def test_the_memo_is_kept_measured_and_named_by_its_embedder(made: Any, two: Any) -> None:
    store = made.store
    spec, prints = {"kind": "hashing", "dims": 4}, {"numpy": "2"}
    name = digest({"embedder": spec, "fingerprint": prints})
    for folder in (name[:24], "f" * 24):
        memo = VectorMemo(store.root / "memo" / folder)
        made_ = memo.vectors(
            ["one", "two", "three"], lambda texts: np.ones((len(texts), 4)), 4, tick=lambda: None
        )
        assert made_[1] == 3
    write(store, "embed", "e", spec={"of": {**spec, "truncate": True}}, fingerprint=prints)
    swept = collect(store, dry=True)
    memo_ = swept.document()["memo"]
    assert memo_["kept"] is True
    assert {one["embedder"]: one["vectors"] for one in memo_["embedders"]} == {
        "hashing dims=4": 3, "": 3,
    }  # fmt: skip
    files = [p for p in (store.root / "memo").rglob("*") if p.is_file()]
    assert memo_["bytes"] == sum(path.stat().st_size for path in files)
    assert "3 vectors of hashing dims=4" in swept.text()
    collect(store)
    assert all(path.exists() for path in files)


def test_a_paid_memo_is_named_whatever_its_texts_were_cut_at(made: Any, two: Any) -> None:
    """How many tokens it reads is no part of its name: texts are kept as they are sent."""
    store = made.store
    kind = {"kind": "compatible", "base_url": "https://h/v1", "model": "m", "dims": 4}
    specs = [embedders.parse({**kind, "reads": reads}) for reads in (None, 8)]
    prints = embedders.fingerprint(specs[0])
    (one, memo), (other, _) = (memo_of(store.root, spec, prints) for spec in specs)
    assert one == other
    memo.vectors(["one"], lambda texts: np.ones((len(texts), 4)), 4, tick=lambda: None)
    written = {"of": specs[1].model_dump(mode="json")}
    write(store, "embed", "e", spec=written, fingerprint=prints, facts={"paid_usd": 0.0})
    [named] = collect(store, dry=True).document()["memo"]["embedders"]
    assert named["embedder"].startswith("compatible model=m base_url=https://h/v1")
    assert "reads=8" not in named["embedder"]


def test_text_and_json_tell_the_same_on_one_screen(made: Any, two: Any) -> None:
    for at in range(30):
        write(made.store, "chunk", f"lone{at}")
    swept = collect(made.store, dry=True)
    shown = json.loads(json.dumps(swept.document(), allow_nan=False))
    text = swept.text()
    assert len(text.splitlines()) <= 24
    assert max(map(len, text.splitlines())) <= 100
    assert f"would remove {len(shown['removed'])} artifacts" in text
    assert shown["kept"] == 14
    assert f"keeps {shown['kept']} artifacts" in text
    assert [one["id"] for one in shown["held_by"]] == ["first", "second"] or [
        one["id"] for one in shown["held_by"]
    ] == ["second", "first"]
    assert shown["held_by"][0]["only_bytes"] >= shown["held_by"][1]["only_bytes"]
    for one in shown["held_by"]:
        assert f"{one['artifacts']} artifacts: run {one['id']}" in text
    assert shown["by_kind"]["chunk"] == {
        "removed": {"artifacts": 30, "bytes": shown["freed_bytes"]},
        "kept": {"artifacts": 3, "bytes": shown["by_kind"]["chunk"]["kept"]["bytes"]},
    }


def test_everything_that_holds_artifacts_has_a_line(made: Any, two: Any) -> None:
    roots = frozenset({Ref("score", "a")})
    standing = [
        Standing("shelf/r.yaml", "first", "a", roots),
        Standing("growth/grown.json", "grown", "", roots, kind="growth"),
    ]
    found = collect(made.store, dry=True, releases=standing).found
    going = Holder("sweep", "third", "made", "2026-03-01T00:00:00Z", 1, 10, 10)
    text = Swept(replace(found, holders=(*found.holders, going)), dry=True).text()
    for what in ("run first made", "run second made", "release shelf/r.yaml",
                 "growth growth/grown.json", "run third made, which goes on now"):  # fmt: skip
        assert f"artifacts: {what}" in text
