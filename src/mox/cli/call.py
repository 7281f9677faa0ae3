"""`mox call`: one question to one model, to try a key and see its limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mox.cli.out import FAILED, Json, Sets, parse_sets, refusals, say, show_json

if TYPE_CHECKING:
    from mox.providers.reply import Reply


def call(
    model: Annotated[str, typer.Argument(metavar="KIND/MODEL", help="openai/gpt-5.4-mini, say.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What it is asked.")],
    max_output_tokens: Annotated[
        int, typer.Option(min=1, help="Of its answer, reasoning included.")
    ] = 256,
    timeout_s: Annotated[float, typer.Option(min=0.1, help="Of the whole answer.")] = 120.0,
    set_: Sets = None,
    as_json: Json = False,
) -> None:
    """Ask one model once: its answer, tokens, price, times, and the limits that its headers tell.

    A real call is paid, and stands in `mox costs` under `call`. Nothing is remembered.

    \b
    mox call simulated/sim-swift "Why is the sky blue?"
    OPENAI_API_KEY=… mox call openai/gpt-5.4-mini hello
    mox call compatible/llama3 hello --set base_url=http://127.0.0.1:11434/v1
    """
    from mox.providers.door import model as opened
    from mox.providers.door import parsed

    with refusals(as_json=as_json):
        kind, _, name = model.partition("/")
        changes = parse_sets(set_)
        spec = parsed({"kind": kind, "model": name, **changes} if name else model)
        # One call meets no limit that it could be kept to.
        door = opened(spec, limits={"unlimited": True}, purpose="call", remember=False)
    with door, refusals(as_json=as_json, status=FAILED):
        reply = door.ask(text, max_output_tokens=max_output_tokens, timeout_s=timeout_s)
        show_json(reply.document()) if as_json else _show(reply)


def _show(reply: Reply) -> None:
    say(reply.text)
    marks = ["SIMULATED"] if reply.simulated else []
    say(f"\n{' · '.join([*reply.facts(), *marks])}")
    left = reply.answer.standing
    if left is not None and left.limit:
        limits = (f"{limit:,.0f} {name} a minute" for name, limit in left.limit.items())
        say(f"its limits, by its headers: {', '.join(limits)}")
