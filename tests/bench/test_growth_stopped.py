"""A growth whose time is short, whose bound is nothing, or that is interrupted: in Milvus Lite."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mox import api
from mox.bench import ask, record
from mox.bench import growth as growing
from mox.bench.ask import Wanted
from mox.bench.growth import expected_s
from mox.bench.record import Growth
from mox.cli.app import app
from mox.errors import StoreError
from mox.experiment.experiment import parse
from mox.experiment.loads import Load
from mox.pipeline.progress import Silent
from mox.pipeline.running import sweeping
from mox.pipeline.stages import Stage
from mox.pipeline.store import Store
from mox.services.running import located
from mox.settings import settings
from mox.source import Source


def two_loads(folder: Path) -> dict[str, Any]:
    """Some 300 chunks in Milvus Lite, under two loads of which the first takes longer."""
    return {
        "name": "short",
        "corpus": {"kind": "evidence", "path": str(folder)},
        "questions": {"limit": 20},
        "axes": {
            "chunk": [{"kind": "recursive", "size": 30}],
            "embed": [{"kind": "hashing", "dims": 64}],
            "index": [{"kind": "FLAT"}],
            "search": [{"kind": "dense", "k": 5}],
            "load": [{"clients": 1, "seconds": 60}, {"clients": 2, "seconds": 30}],
        },
        "measure": ["recall@5"],
    }


@pytest.fixture
def corpus(tmp_path: Path, corpus_writer: Callable[..., Path]) -> Path:
    return corpus_writer(tmp_path / "corpus", documents=50)


def test_what_the_time_is_too_short_for_is_listed_the_cheapest_first(corpus: Path) -> None:
    """Five rounds each, and a second beside each: 5·(30 + 1) and 5·(60 + 1). Nothing is known of
    a build yet."""
    asked = Wanted(sizes=(80, 160), minutes=1)
    found = ask.growth(two_loads(corpus), asked, offline=True, quiet=True)
    left = found.content["left_out"]
    assert [(one["clients"], one["n"], one["expected_s"]) for one in left] == [
        (2, 80, 155.0), (2, 160, 155.0), (1, 80, 305.0), (1, 160, 305.0)
    ]  # fmt: skip
    assert {one["why"] for one in left} == {"the time would not have been enough"}
    assert not found.whole
    assert found.content["points"] == []


def test_a_build_is_expected_to_take_longer_by_more_than_its_size() -> None:
    # Two rounds of 4 s with a second beside each: 10 s. 10 s at 1,000: 2^1.2 = 2.2974 times that.
    load = Load(clients=1, seconds=4, rounds=2)
    assert expected_s(load, 2_000, (1_000, 10.0)) == pytest.approx(32.974, abs=0.001)
    assert expected_s(load, 1_000, (1_000, 10.0)) == pytest.approx(20.0)
    assert expected_s(load, 2_000, None) == 10.0


@pytest.mark.parametrize(
    ("option", "said"),
    [("--recall", "a bound of recall 0."), ("--p95-ms", "a bound of p95 0 ms.")],
)
def test_a_bound_of_nothing_is_refused_before_anything_is_measured(
    corpus: Path, own_state: Path, option: str, said: str
) -> None:
    file = corpus.parent / "e.json"
    file.write_text(json.dumps(two_loads(corpus)))
    given = ["bench", "growth", str(file), "--offline", "--json", option, "0"]
    ran = CliRunner().invoke(app, given)
    assert ran.exit_code == 2, ran.output
    assert json.loads(ran.stdout)["error"]["message"] == said
    assert not (own_state / "artifacts").exists()


def test_no_minutes_are_no_time_and_not_all_of_it(corpus: Path) -> None:
    file = corpus.parent / "e.json"
    file.write_text(json.dumps(two_loads(corpus)))
    given = ["bench", "growth", str(file), "--sizes", "80,160", "--minutes", "0"]
    ran = CliRunner().invoke(app, [*given, "--offline", "--json", "--quiet"])
    assert ran.exit_code == 1, ran.output
    left = json.loads(ran.stdout)["left_out"]
    assert [one["why"] for one in left] == ["the time was up"] * 4


def test_the_bound_is_for_the_loads_that_are_grown(corpus: Path) -> None:
    """The 8 clients filter: no curve is measured of them."""
    asked = two_loads(corpus)
    asked["axes"]["load"] = [{"clients": 8, "selectivity": 0.1}, {"clients": 2}]
    assert Wanted().bound(parse(Source(asked))).clients == 2
    assert Wanted(clients=(1, 4)).bound(parse(Source(asked))).clients == 4


def test_sets_stand_in_the_order_of_their_sizes_whichever_was_stored_first(corpus: Path) -> None:
    """Of some 300 chunks the rest is mixed. No load is begun: each would take five minutes."""
    for sizes in ((600,), (500, 600)):
        asked = Wanted(sizes=sizes, minutes=0.5, tolerance=9.0, recall=0.5)
        found = ask.growth(two_loads(corpus), asked, offline=True, quiet=True)
        assert [one["n"] for one in found.content["mixtures"]["sizes"]] == list(sizes)


def test_what_is_measured_is_announced_till_its_document_is_kept(corpus: Path) -> None:
    """Where documents are kept nobody can write: the sweep's own file stays, as one that was cut
    off, since nothing else tells of what it did."""
    here = located(settings())
    store = Store(here.root)
    (store.root / record.FOLDER).symlink_to("/proc")
    asked = Wanted(sizes=(80,), minutes=0.5)
    with pytest.raises(StoreError, match="growth"):
        ask.growth(two_loads(corpus), asked, offline=True, quiet=True)
    (cut,) = sweeping(store)
    assert "grow" in {ref.kind for ref in cut.stages}


class Interrupts(Silent):
    """A watcher at which somebody presses Ctrl-C once the first load is measured."""

    def finished(self, stage: Stage, *, stored: bool, failed: bool) -> None:
        if stage.kind == "load":
            raise KeyboardInterrupt


def test_interrupted_it_keeps_what_it_has_measured_from_the_sweep(corpus: Path) -> None:
    here = located(settings())
    asked = two_loads(corpus)
    asked["axes"]["load"] = [{"clients": 1, "seconds": 0.1, "rounds": 1}]
    made, store = parse(Source(asked)), Store(here.root)

    def cut(*sizes: int) -> Growth:
        with pytest.raises(KeyboardInterrupt):
            growing.grow(made, growing.Asked(sizes), store, here, Interrupts())
        (found,) = (one for one in record.every(store) if one.content["sizes"] == list(sizes))
        return found

    found, measured = cut(80, 160), store.keys("load")
    assert len(measured) == 1
    api.gc()
    assert store.keys("load") == measured
    assert [point.n for point in found.points] == [80]
    (left,) = found.content["left_out"]
    assert (left["n"], left["why"]) == (160, "it was stopped before")
    sizes = [point.n for point in cut(60, 80).points]
    assert sizes == [60, 80], "stopped at the first size, and the other is stored"
