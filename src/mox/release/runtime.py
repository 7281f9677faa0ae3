"""How a release's embedder is asked, where that costs money: whose key, whose account and limits.

None of it changes a vector, so none of it is among a trial's settings or in its id. A release says
it beside them, by name and never a key: it is asked as it was measured, or refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mox.embedding import embedders
from mox.errors import DataError, SpecError, StoreError
from mox.experiment.axes import expand_axis
from mox.registry import nearest
from mox.results import Run
from mox.source import Source

KEYS = ("key_env", "key_file")


def runtime_of(run: Run, config: Mapping[str, Any]) -> dict[str, Any]:
    """What a trial's embedder was told beside its settings, from the experiment as written.

    Raises:
        StoreError: the experiment has no such embedder.
    """
    settings = config.get("embed")
    if settings is None or not _is_paid(settings):
        return {}
    # Of a mapping only its folder counts: a key file's path starts from there.
    source = Source(run.settings, Path(run.file) if run.file else run.folder / "experiment")
    for spec in expand_axis(source, "embed", embedders, []):
        if spec.model_dump(mode="json") == settings:
            return {"embed": spec.runtime}
    raise StoreError(
        f"run {run.id} doesn't say how its {settings['kind']} embedder is asked.",
        mend="run the experiment again with what is installed now, then promote.",
    )


def told(content: Mapping[str, Any], embedder: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a release's embedder is told beside its settings.

    Args:
        content: the release's.
        embedder: other values, for a machine whose key stands elsewhere: `{"key_env": "MY_KEY"}`.

    Raises:
        DataError: the release doesn't say, and nothing is said instead.
        SpecError: a field that changes vectors, or that the embedder hasn't got.
    """
    settings = content["config"].get("embed")
    known: Mapping[str, Any] | None = content.get("runtime", {}).get("embed")
    if settings is None or not _is_paid(settings):
        if embedder:
            raise SpecError(
                "this release asks no embedder that costs money.", mend="leave `embedder` out."
            )
        return {}
    # Of what is simulated nobody is asked, by whatever key: an old release needs to say nothing.
    if known is None and embedder is None and not settings.get("simulated"):
        raise DataError(
            f"this release doesn't say whose key and account its {settings['kind']} embedder is"
            " asked by: it was promoted before releases did.",
            mend="promote the trial again, or say it: `mox ask … --embedder key_env=MY_KEY`, or"
            ' mox.ask(…, embedder={"key_env": "MY_KEY"}).',
        )
    other = dict(embedder or {})
    fields = embedders.entry(settings["kind"]).spec.model_fields
    may = [name for name, field in fields.items() if field.exclude]
    for name in other:
        if name not in may:
            raise SpecError(
                f"a release's embedder can't be told {name!r}{nearest(name, may)}.",
                mend=f"use {', '.join(may)}; what changes vectors is another trial.",
            )
    # A key's place is said whole: of the one and the other, the wrong one might be read.
    drop = KEYS if any(name in other for name in KEYS) else ()
    return {**{name: value for name, value in (known or {}).items() if name not in drop}, **other}


def _is_paid(settings: Mapping[str, Any]) -> bool:
    known = embedders.known(settings["kind"])
    return known is not None and "paid" in known.traits
