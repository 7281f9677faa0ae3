"""What of loads is refused when the plan is made."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from mox.errors import SpecError
from mox.experiment import Experiment
from mox.experiment.loads import TIMED
from mox.indexes import check_filter
from mox.indexes.serving import takes_inserts
from mox.pipeline.plan import Engines
from mox.spec import IndexSpec


def check_loads(experiment: Experiment, engines: Engines) -> None:
    """Refuse inserts into what takes none, filters on what answers them wrongly, and to choose by
    a speed that is Milvus Lite's own.

    Lite walks all rows in Python at each call, so that its latency says nothing of an index.

    Raises:
        SpecError: names the index and the mend.
    """
    loaded = [trial for trial in experiment.trials if trial.load is not None]
    inserting = [trial.index for trial in loaded if trial.load and trial.load.inserts]
    for spec in _distinct(inserting):
        if not takes_inserts(spec):
            raise experiment.source.error(
                ("axes", "load"),
                SpecError(
                    f"{spec.kind} takes no inserts once it is built.",
                    mend="leave `inserts` out, or measure it in an experiment of its own.",
                ),
            )
    filtered = [trial.index for trial in loaded if trial.load and trial.load.selectivity < 1]
    for spec in _distinct(filtered):
        try:
            check_filter(spec, engines(spec))
        except SpecError as error:
            raise experiment.source.error(("axes", "load"), error) from None
    timed = _timed(experiment)
    if not timed:
        return
    for spec in _distinct(trial.index for trial in loaded):
        if engines(spec).get("engine") == "milvus-lite":
            raise experiment.source.error(
                ("choose",),
                SpecError(
                    f"choosing by {timed} over {spec.kind} in Milvus Lite would choose by Lite's"
                    " own loop over all rows, not by an index.",
                    mend="start a server with `mox up milvus` (or set MOX_MILVUS_URI), or choose by"
                    " quality and size.",
                ),
            )


def _timed(experiment: Experiment) -> str | None:
    """The first speed that the choice names."""
    if experiment.choose is None:
        return None
    words = re.findall(r"\w+", json.dumps(experiment.choose.model_dump(mode="json")))
    return next((word for word in words if word in TIMED), None)


def _distinct(specs: Iterable[IndexSpec | None]) -> list[IndexSpec]:
    return list(dict.fromkeys(spec for spec in specs if spec is not None))
