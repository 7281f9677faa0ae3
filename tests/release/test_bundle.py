"""A release says everything, the same each time, and notices when it was changed."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

import mox
from mox.errors import DataError, MissingError, SpecError, StoreError
from mox.pipeline.stages import Ref
from mox.pipeline.store import Store
from mox.release.bundle import dump, promote, read_release
from mox.release.trial import trial_of
from mox.results import Results
from mox.spec import digest

pytestmark = pytest.mark.timeout(120)


def test_the_chosen_trial_is_released_with_every_setting(results: Results) -> None:
    content = promote(results).content
    chosen = results.chosen
    assert chosen is not None
    assert content["trial"] == chosen.id
    assert content["config"] == chosen.config
    assert trial_of(content["config"]).config == chosen.config  # nothing is left to a default
    assert content["choice"]["by"] == "rule"
    assert results.choice is not None
    assert content["choice"]["reason"] == results.choice.reason


def test_a_release_has_scores_with_intervals_on_dev_and_on_test(results: Results) -> None:
    content = promote(results).content
    for split in ("dev", "test"):
        for measure in ("recall@5", "ndcg@30t"):
            interval = results.summary[content["trial"]][split][measure]
            assert content["scores"][split][measure] == {
                "mean": interval.mean, "low": interval.low, "high": interval.high,
                "n": interval.n,
            }  # fmt: skip


def test_a_release_says_what_it_stands_on(results: Results, here: Path) -> None:
    content = promote(results).content
    assert content["corpus"]["fingerprint"] == results.run.corpus["fingerprint"]
    assert content["corpus"]["settings"] == {"kind": "evidence", "path": "corpus"}
    assert content["corpus"]["base"] == "../.."
    assert content["run"]["id"] == results.run.id
    assert {"tokenizer", "chunk"} <= set(content["fingerprints"])
    assert content["environment"] == dict(results.run.environment)
    assert str(here) not in dump(content)


def test_an_index_is_released_with_its_engines_version(results: Results) -> None:
    trial = next(trial for trial in results.run.trials if "build" in trial.roles)
    prints = promote(results, trial=trial.id).content["fingerprints"]
    assert "3." in json.dumps(prints["engine"])  # milvus-lite's version
    assert prints["embed"]
    assert prints["index"]


def test_the_same_results_give_the_same_bytes(results: Results) -> None:
    first = promote(results)
    raw = first.path.read_bytes()
    again = promote(results)
    assert again.path == first.path
    assert again.path.read_bytes() == raw
    assert first.path.name == f"books-{first.sha256[:10]}.yaml"


def test_the_checksum_is_of_the_canonical_content_without_it(results: Results) -> None:
    release = promote(results)
    content = YAML(typ="safe").load(release.path)
    said = content.pop("sha256")
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(canonical.encode()).hexdigest() == said == release.sha256


def test_a_release_reads_back_as_it_was_written(results: Results) -> None:
    release = promote(results)
    assert read_release(release.path).content == release.content


texts = st.text(st.characters(codec="utf-8"), max_size=12)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    st.recursive(
        texts
        | st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda part: st.lists(part, max_size=3) | st.dictionaries(texts, part, max_size=3),
        max_leaves=6,
    )
)
@example("a\x85b")
@example({"a\u2028b\ufeff": ["\x85", "line\nnext\x85", " \x85 ", "\r\n\x85"]})
def test_whatever_stands_in_a_release_reads_back(value: Any) -> None:
    content: dict[str, Any] = {"schema": 1, "name": "x", "value": value}
    content["sha256"] = digest(content)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r.yaml"
        path.write_bytes(dump(content).encode())
        assert read_release(path).content == content


def test_a_changed_release_is_refused(results: Results) -> None:
    path = promote(results).path
    path.write_text(path.read_text().replace("  size: 16", "  size: 17"))
    with pytest.raises(DataError, match="was changed after it was written"):
        read_release(path)


def test_a_release_of_a_newer_mox_is_refused(results: Results) -> None:
    path = promote(results).path
    path.write_text(path.read_text().replace("schema: 1", "schema: 2"))
    with pytest.raises(StoreError, match=r"newer Mox .schema 2"):
        read_release(path)


def test_what_is_no_release_is_refused(here: Path) -> None:
    with pytest.raises(DataError, match=r"e\.yaml is no release"):
        read_release(here / "e.yaml")
    with pytest.raises(MissingError, match="no such file"):
        read_release(here / "absent.yaml")


def test_a_release_goes_where_it_is_asked_to(results: Results, tmp_path: Path) -> None:
    out = tmp_path / "elsewhere" / "r.yaml"
    release = promote(results, out=out)
    assert release.path == out
    base = out.parent / release.content["corpus"]["base"]
    assert (base / "corpus" / "documents.jsonl").is_file()


def test_a_release_behind_a_link_finds_its_corpus(
    results: Results, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`..` of a linked folder is that of what it links to: a state folder on a larger disk."""
    big, deep = here.parent / "big", here.parent / "a" / "b"
    (here / "state").rename(big)
    (here / "state").symlink_to("../big")
    deep.mkdir(parents=True)
    (here / "linked").symlink_to("../a/b")
    linked = Results(results.run, Store(here / "state"))
    in_state = mox.promote(linked, offline=True).release
    elsewhere = mox.promote(linked, out=here / "linked" / "r.yaml", offline=True).release
    monkeypatch.chdir(here.parent)  # and it is found from where nothing is a link, too
    for path in (in_state.path, elsewhere.path, deep / "r.yaml", Path("here/linked/r.yaml")):
        assert mox.ask(path, "copper lantern").passages


def test_an_experiment_is_not_overwritten_and_a_release_is(results: Results, here: Path) -> None:
    """A changed release too: to promote again is its mend."""
    before = (here / "e.yaml").read_text()
    with pytest.raises(SpecError, match=r"e\.yaml is there already, and is no release"):
        promote(results, out=here / "e.yaml")
    assert (here / "e.yaml").read_text() == before
    path = promote(results, out=here / "r.yaml").path
    raw = path.read_text()
    path.write_text(raw.replace("  size: 16", "  size: 17"))
    assert promote(results, out=path).path.read_text() == raw


def test_a_trial_named_by_hand_is_released_and_says_so(results: Results) -> None:
    other = next(trial for trial in results.finished if trial.id != results.chosen.id)  # type: ignore[union-attr]
    choice = promote(results, trial=other.id).content["choice"]
    assert choice["by"] == "hand"
    assert choice["rule_chose"] == results.chosen.id  # type: ignore[union-attr]
    assert "was named by hand" in choice["reason"]


def test_without_a_rule_a_trial_can_be_named(results: Results, change: Any) -> None:
    free = change(results, choose=None)
    with pytest.raises(SpecError, match="has no `choose`"):
        promote(free)
    assert promote(free, trial=results.finished[0].id).content["choice"]["by"] == "hand"


def test_a_stopped_run_is_not_promoted(results: Results, change: Any) -> None:
    with pytest.raises(SpecError, match=r"was stopped .budget") as caught:
        promote(change(results, stopped="budget"))
    assert "resumes" in caught.value.mend


def test_a_failed_trial_is_not_promoted(results: Results, change: Any) -> None:
    first, *others = results.run.trials
    failed = replace(first, status="FAILED", error="the engine is away")
    with pytest.raises(SpecError, match="is FAILED: the engine is away"):
        promote(change(results, trials=(failed, *others)), trial=first.id)


def test_a_refused_choice_is_not_promoted(results: Results, change: Any) -> None:
    trials = tuple(replace(t, status="FAILED", error="x") for t in results.run.trials)
    with pytest.raises(SpecError, match="chose nothing: no trial finished"):
        promote(change(results, trials=trials))


def test_what_changed_since_the_run_is_not_promoted(results: Results, change: Any) -> None:
    """Another version of a chunker would give another release than was measured."""
    trials = tuple(
        replace(t, roles={**t.roles, "chunk": Ref("chunk", "0" * 64)}) for t in results.run.trials
    )
    for trial in results.run.trials:
        shutil.copytree(
            results.store.folder(*trial.roles["chunk"]),
            results.store.folder("chunk", "0" * 64),
            dirs_exist_ok=True,
        )
    with pytest.raises(StoreError, match=r"has changed since it was run .chunk"):
        promote(change(results, trials=trials))


def test_a_release_holds_no_credentials(
    results: Results, change: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = {"kind": "evidence", "path": "http://user:s3cret-word@host/corpus"}
    settings = {**results.run.settings, "corpus": corpus}
    with pytest.raises(SpecError, match="carry credentials"):
        promote(change(results, settings=settings))
    monkeypatch.setenv("MOX_MILVUS_URI", "http://user:s3cret-word@127.0.0.1:1")
    monkeypatch.setenv("SOME_API_KEY", "sk-planted-0123456789")
    raw = promote(results).path.read_text()
    assert "s3cret-word" not in raw
    assert "sk-planted" not in raw


def test_nothing_is_left_over_where_a_release_cannot_be_written(
    results: Results, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((StoreError, OSError)):
        promote(results, out=tmp_path / "file" / "r.yaml")
    assert not (tmp_path / "here" / "state" / "releases").exists()


def test_a_corpus_that_changed_since_the_run_is_not_promoted(results: Results, here: Path) -> None:
    """The release could not be opened: what it stands on isn't there any more."""
    file = here / "corpus" / "documents.jsonl"
    file.write_text(file.read_text().replace("Sentence 3 of book 5:", "Sentence 33 of book 5:"))
    with pytest.raises(DataError, match=r"not the corpus .* 1 changed \(book-5\)"):
        promote(results)
    assert not list((here / "state").glob("releases/*"))


def test_a_mappings_release_knows_its_corpus_wherever_it_is_promoted_from(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = {
        "name": "mapped",
        "corpus": {"kind": "evidence", "path": "corpus"},
        "axes": {
            "chunk": [{"kind": "recursive", "size": 16}],
            "search": [{"kind": "bm25", "k": 5}],
        },
        "measure": ["recall@5"],
    }
    monkeypatch.chdir(here)
    run = mox.run(experiment, offline=True, quiet=True).run.id
    monkeypatch.chdir(tmp_path)
    loaded = mox.load(run)
    release = promote(loaded, trial=loaded.finished[0].id)
    assert release.content["corpus"]["base"] == "../.."
    assert mox.ask(release.path, "copper lantern").passages
