"""Scores per question against gold evidence, and the statistics of comparing them.

A back end of `mox.metrics` is a function from its Spec and one question's `Shown` (what its
reader gets to see of the hits) to a value in [0, 1], more being better. It is asked about each
answerable question by itself, and never about an unanswerable one. `toy@5` shows it 5 hits
(of 5 documents where the evidence is graded documents), `toy@1000t` what 1,000 tokens hold.
A measure has no settings, so its Spec has defaults for all. Its trait, optional:

- `evidence`: the forms of evidence that it can judge, of `"spans"` and `"documents"`; both
  where it isn't given.

What is no value in [0, 1], and whatever it raises, fails the trial's scores by name. Our own
metrics stand in the same registry; they work on all questions at once (`ours`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mox.registry import Registry

if TYPE_CHECKING:
    from mox.evaluation.ours import Ours
    from mox.types import Metric

metrics: Registry[Metric | Ours] = Registry("mox.metrics", ["mox.evaluation.ours"])
