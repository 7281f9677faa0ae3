"""The agenda: every stage once, never before what it stands on, never two on one resource."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from mox.pipeline.agenda import TOGETHER, Agenda, resource
from mox.pipeline.stages import Ref, Stage


def stage(key: str, kind: str = "score", **inputs: Stage) -> Stage:
    refs = {role: Ref(part.kind, part.key) for role, part in inputs.items()}
    return Stage(kind, key, {"of": {"kind": key}}, refs)


@st.composite
def graphs(draw: st.DrawFn) -> list[Stage]:
    """Layers of embeds, builds, searches and scores with random links."""
    embeds = [stage(f"e{n}", "embed") for n in range(draw(st.integers(1, 3)))]
    builds = [stage(f"b{n}", "build", embed=draw(st.sampled_from(embeds))) for n in range(3)]
    searches = []
    for n in range(draw(st.integers(0, 6))):
        build, embed = draw(st.sampled_from(builds)), draw(st.sampled_from(embeds))
        searches.append(stage(f"s{n}", "search", build=build, embed=embed))
    scores = [stage(f"z{n}", "score", hits=search) for n, search in enumerate(searches)]
    loads = [stage(f"l{n}", "load", build=build) for n, build in enumerate(builds[:2])]
    return [*embeds, *builds, *searches, *scores, *loads]


@settings(max_examples=100, derandomize=True, deadline=None)
@given(graphs(), st.randoms(use_true_random=False), st.sets(st.integers(0, 20), max_size=2))
def test_each_stage_runs_once_after_its_inputs_or_is_lost_with_one(
    stages: list[Stage], dice: random.Random, unlucky: set[int]
) -> None:
    agenda = Agenda({s.key: s for s in stages}, stages)
    running: list[Stage] = []
    done: set[str] = set()
    lost: set[str] = set()
    fails = {stages[at].key for at in unlucky if at < len(stages)}
    while True:
        while job := agenda.take():
            for taken in job:
                assert taken.key not in done | lost
                inside = {s.key for s in job}
                assert all(ref.key in done | inside for ref in taken.inputs.values())
            kinds = {s.kind for s in [*running, *job]}
            assert "load" not in kinds or kinds == {"load"}, "the machine is theirs"
            busy = {resource(s) for s in running}
            assert not busy & {resource(s) for s in job}
            running += job
        if not running:
            break
        # A job's stages end in order; different jobs end in any order.
        firsts = [
            s
            for s in running
            if not any(r.key in {q.key for q in running} for r in s.inputs.values())
        ]
        ended = dice.choice(firsts)
        running.remove(ended)
        if ended.key in fails:
            above = agenda.drop(ended)
            lost |= {ended.key, *(s.key for s in above)}
            for s in [s for s in running if any(r.key == ended.key for r in s.inputs.values())]:
                running.remove(s)
                lost |= {s.key, *(x.key for x in agenda.drop(s))}
        else:
            agenda.done(ended)
            done.add(ended.key)
    assert done | lost == {s.key for s in stages}
    assert not len(agenda)


def test_a_build_takes_the_searches_along_that_lack_only_it() -> None:
    embed, other = stage("e", "embed"), stage("x", "embed")
    build = stage("b", "build", embed=embed)
    here = stage("s1", "search", build=build, embed=embed)
    waits = stage("s2", "search", build=build, embed=other)
    every = [embed, other, build, here, waits]
    agenda = Agenda({s.key: s for s in every}, [build, here, waits, other])
    assert [s.key for s in agenda.take()] == ["x"]
    assert [s.key for s in agenda.take()] == ["b", "s1"]
    assert agenda.take() == []
    agenda.done(other)
    assert agenda.take() == [], "the collection is open in another worker"
    agenda.done(build)
    agenda.done(here)
    assert [s.key for s in agenda.take()] == ["s2"]


def fusions(count: int) -> tuple[list[Stage], list[Stage]]:
    """Fusions of the same two lists, and their scores."""
    dense, lexical, chunk = stage("d", "exact"), stage("l", "lexical"), stage("c", "chunk")
    fuses = [stage(f"f{n}", "fuse", dense=dense, lexical=lexical) for n in range(count)]
    return fuses, [stage(f"z{n}", "score", chunk=chunk, hits=f) for n, f in enumerate(fuses)]


def test_a_fusion_takes_its_kin_along_and_their_scores() -> None:
    fuses, scores = fusions(3)
    other = stage("g", "fuse", dense=stage("e", "exact"), lexical=stage("l", "lexical"))
    every = [*fuses, other, *scores]
    agenda = Agenda({s.key: s for s in every}, every)
    assert [s.key for s in agenda.take()] == ["f0", "f1", "f2", "z0", "z1", "z2"]
    assert [s.key for s in agenda.take()] == ["g"]
    assert agenda.take() == []


def test_a_job_takes_no_more_of_one_kin_than_a_kill_may_lose() -> None:
    fuses, scores = fusions(TOGETHER + 5)
    agenda = Agenda({s.key: s for s in [*fuses, *scores]}, [*fuses, *scores])
    assert [len(agenda.take()) for _ in range(3)] == [2 * TOGETHER, 10, 0]


def test_scores_of_one_chunking_go_together() -> None:
    _, scores = fusions(3)
    agenda = Agenda({s.key: s for s in scores}, scores)
    assert [s.key for s in agenda.take()] == ["z0", "z1", "z2"]


def test_a_stage_that_may_have_spoilt_a_job_gets_one_of_its_own() -> None:
    fuses, scores = fusions(3)
    agenda = Agenda({s.key: s for s in [*fuses, *scores]}, [*fuses, *scores])
    job = agenda.take()
    agenda.done(fuses[0])
    agenda.done(scores[0])
    for lost in job:
        if lost.key not in ("f0", "z0"):
            assert agenda.in_company(lost)
            agenda.add_alone(lost)
    assert [s.key for s in agenda.take()] == ["f1"]
    assert [s.key for s in agenda.take()] == ["f2"]
    assert not agenda.in_company(fuses[1])
    agenda.done(fuses[1])
    assert [s.key for s in agenda.take()] == ["z1"]
    assert agenda.drop(fuses[2]) == [scores[2]]


def test_a_model_stays_with_the_worker_that_opened_it() -> None:
    model, other = {"of": {"kind": "large"}}, {"of": {"kind": "small"}}
    first, second = (Stage("embed", key, model) for key in ("e1", "e2"))
    third = Stage("queries", "q", other)
    agenda = Agenda({s.key: s for s in (first, second, third)}, [first, second, third])
    assert [s.key for s in agenda.take(1)] == ["e1"]
    assert [s.key for s in agenda.take(0)] == ["q"]
    agenda.done(first)
    agenda.done(third)
    assert agenda.take(0) == []
    assert [s.key for s in agenda.take(1)] == ["e2"]


def test_what_is_ready_twice_is_done_once() -> None:
    fuses, scores = fusions(3)
    dense = stage("d", "exact")
    every = [dense, *fuses, *scores]
    agenda = Agenda({s.key: s for s in every}, [*fuses, *scores])
    agenda.add([dense])  # it was damaged: what was ready waits for it again
    assert [s.key for s in agenda.take()] == ["d"]
    agenda.done(dense)
    job = [s.key for s in agenda.take()]
    assert sorted(job) == ["f0", "f1", "f2", "z0", "z1", "z2"]
    assert agenda.take() == []


def test_what_is_added_again_makes_what_stands_on_it_wait() -> None:
    embed = stage("e", "embed")
    build = stage("b", "build", embed=embed)
    agenda = Agenda({"e": embed, "b": build}, [build])
    agenda.add([embed])
    assert [s.key for s in agenda.take()] == ["e"]
    assert agenda.take() == []
    agenda.done(embed)
    assert [s.key for s in agenda.take()] == ["b"]


def test_what_is_measured_comes_last_and_all_in_one_job() -> None:
    embed = stage("e", "embed")
    builds = [stage(f"b{n}", "build", embed=embed) for n in range(2)]
    loads = [stage(f"l{n}", "load", build=builds[n // 2]) for n in range(4)]
    search = stage("s", "search", build=builds[1], embed=embed)
    every = [embed, *builds, search, *loads]
    agenda = Agenda({s.key: s for s in every}, every)
    assert agenda.take() == [embed]
    agenda.done(embed)
    assert agenda.take() == [builds[0]], "and not its loads"
    assert agenda.take(1) == [builds[1], search]
    agenda.done(builds[0])
    assert agenda.take() == [], "the other build runs"
    agenda.done(builds[1])
    assert agenda.take() == []
    agenda.done(search)
    assert agenda.take() == loads
    assert agenda.take(1) == []
    assert not any(agenda.in_company(load) for load in loads), "one that is lost isn't redone alone"


def test_nothing_starts_beside_what_is_measured() -> None:
    load = stage("l", "load", build=stage("b", "build"))
    agenda = Agenda({load.key: load}, [load])
    assert agenda.take() == [load]
    late = stage("c", "chunk")
    agenda._stages = {load.key: load, late.key: late}  # as when an artifact was damaged
    agenda._order[late.key] = 9
    agenda.add([late])
    assert agenda.take(1) == []
    agenda.done(load)
    assert agenda.take(1) == [late]


def api(model: str, **runtime: object) -> Stage:
    of = {"kind": "openai", "base_url": "https://h/v1", "model": model, "dims": 8}
    return Stage("embed", f"{model} {runtime}", {"of": of}, {}, runtime={"embedder": runtime})


def test_embedders_that_share_limits_are_one_resource() -> None:
    """Each worker has books of its own where there is no Redis."""
    limits = {"tokens_per_min": 1000.0}
    apart = {resource(api(model, limits=limits)) for model in ("small", "large")}
    assert len(apart) == 2
    shared = {**limits, "models": "embeddings"}
    assert len({resource(api(model, limits=shared)) for model in ("small", "large")}) == 1
    assert resource(api("small")) == resource(api("small", limits=limits))
