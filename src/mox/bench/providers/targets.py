"""Whom the measuring client asks: where a provider is, what it speaks, where its key stands.

Simulated providers are served by `mox simulate` in a process of its own for as long as they are
measured: a simulator in the client's own process would take its time from the client.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from mox.bench.providers.client import Target
from mox.errors import EngineError, SpecError

if TYPE_CHECKING:
    from mox.bench.providers.entries import Named
    from mox.bench.providers.plain import Plain
    from mox.providers.spec import ProviderSpec


ANSWERS_S = 10.0
"""How long a running simulator may take to say its time scale."""


def simulated(spec: ProviderSpec) -> bool:
    """Whether nobody real is asked."""
    return spec.kind == "simulated"


def outlives(spec: ProviderSpec) -> bool:
    """Whether it was there before a benchmark: its cache may have what an earlier call asked."""
    return not simulated(spec) or getattr(spec, "url", None) is not None


def time_scale(spec: ProviderSpec, plain: Plain) -> float:
    """How long a provider's second lasts: its own where it says so, else the file's."""
    if not simulated(spec):
        return 1.0
    own = getattr(spec, "time_scale", None)
    return float(own) if own and "time_scale" in spec.model_fields_set else plain.time_scale


def seed(spec: ProviderSpec, plain: Plain) -> int:
    """Of a simulated provider's answers: its own where it says so, else the file's."""
    own = getattr(spec, "seed", 0)
    return int(own) if "seed" in spec.model_fields_set else plain.seed


@contextmanager
def targets(every: Sequence[Named], plain: Plain) -> Iterator[dict[str, Target]]:
    """Name → whom to ask; simulators run until the context ends.

    Raises:
        SpecError: a kind that the measuring client doesn't speak, or a simulator plays at another
            time scale than the file says.
        EngineError: a simulator does not start, or doesn't answer at its `url`.
    """
    with ExitStack() as stack:
        servers: dict[tuple[int, float], str] = {}
        found = {}
        for one in every:
            if simulated(one.spec) and getattr(one.spec, "url", None) is None:
                scale, of = time_scale(one.spec, plain), seed(one.spec, plain)
                if (of, scale) not in servers:
                    from mox.simulation.serving import serving

                    settings = {"seed": of, "time_scale": scale}
                    servers[of, scale] = stack.enter_context(serving(settings)).url
                url = servers[of, scale]
            else:
                url = None
                _check_scale(one, time_scale(one.spec, plain))
            found[one.name] = target(one, plain, url=url)
        yield found


def _check_scale(one: Named, said: float) -> None:
    """Refuse a running simulator whose seconds last longer or shorter than the file says: all its
    figures would be off by as much."""
    url = getattr(one.spec, "url", None)
    if url is None:
        return
    plays = _plays(one.name, str(url))
    if plays != said:
        raise SpecError(
            f"{one.name}: the simulator at {url} plays at time scale {plays:g}, and the file says"
            f" {said:g}.",
            mend=f"write `time_scale: {plays:g}`, or start it with `--time-scale {said:g}`.",
        )


def _plays(name: str, url: str) -> float:
    """The time scale of a running simulator."""
    from urllib.request import urlopen

    try:
        with urlopen(f"{url.rstrip('/')}/mox/stats", timeout=ANSWERS_S) as answer:  # noqa: S310
            return float(json.loads(answer.read())["time_scale"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineError(
            f"{name}: no `mox simulate` answers at {url} ({error}).",
            mend="start one there, or leave `url` out: the benchmark then starts its own.",
        ) from None


def target(one: Named, plain: Plain, *, url: str | None = None) -> Target:
    """Whom to ask.

    Args:
        url: of the simulator that was started for it.

    Raises:
        SpecError: a kind that the measuring client doesn't speak.
    """
    spec = one.spec
    make = _MAKE.get(spec.kind)
    if make is None:
        raise SpecError(
            f"{one.name}: the measuring client doesn't speak to the kind {spec.kind!r}.",
            mend=f"measure one of {', '.join(_MAKE)}; `compatible` is any URL of OpenAI's shape.",
        )
    made = {
        "name": one.name,
        "model": spec.model,
        "key_env": spec.key_env or spec.KEY_ENV if spec.key_file is None else None,
        "key_file": spec.key_file,
    }
    return Target(**{**made, **make(spec, url)}, time_scale=time_scale(spec, plain))


def _openai(spec: Any, _: str | None) -> Mapping[str, Any]:
    from mox.providers.openai import URL

    named = {"OpenAI-Organization": spec.organisation, "OpenAI-Project": spec.project}
    headers = {name: value for name, value in named.items() if value is not None}
    return {"wire": spec.api, "base_url": URL, "headers": headers}


def _compatible(spec: Any, _: str | None) -> Mapping[str, Any]:
    return {
        "wire": spec.api,
        "base_url": spec.base_url,
        "headers": dict(spec.headers),
        "output_limit": spec.output_limit,
    }


def _anthropic(_: Any, __: str | None) -> Mapping[str, Any]:
    from mox.providers.anthropic import URL

    return {"wire": "messages", "base_url": URL}


def _simulated(spec: Any, url: str | None) -> Mapping[str, Any]:
    at = (spec.url or url or "").rstrip("/")
    return {
        "wire": spec.wire,
        "base_url": at if spec.wire == "messages" else f"{at}/v1",
        "simulated": True,
        "account": spec.account,
    }


_MAKE: Mapping[str, Callable[[Any, str | None], Mapping[str, Any]]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "compatible": _compatible,
    "simulated": _simulated,
}
