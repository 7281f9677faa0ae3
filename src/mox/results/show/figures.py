"""Figures: the one helper that makes an Altair chart show anywhere.

A figure carries its Vega-Lite specification, which JupyterLab draws (trusted or not), and a PNG,
which everything else shows. JupyterLab knows Vega-Lite 5, Altair 6 writes 6: the schema's name is
rewritten, and pictures are drawn by 5 as well, so that whatever 5 lacks is seen at once.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mox.errors import SpecError

if TYPE_CHECKING:
    import altair as alt

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
"""A name, not an address: nothing is fetched."""
MIME = "application/vnd.vegalite.v5+json"
DRAWN_BY = "5.21"
"""Which of vl-convert's Vega-Lites draws pictures."""
PLACE = '{"mark":"here"}'
"""Stands for a specification in a page. vl-convert writes a specification into its script as it is,
and undoes what was escaped in it, so each is put there afterwards."""
SCALE = 1.5
"""Pixels of a PNG for each of the chart's."""


@dataclass(frozen=True)
class Figure:
    """A chart that is interactive in JupyterLab, and a picture everywhere else.

    `spec`: its Vega-Lite specification, data included.
    """

    spec: Mapping[str, Any]

    @cached_property
    def png(self) -> bytes:
        """The chart as a PNG, drawn without a browser."""
        import vl_convert

        drawn = vl_convert.vegalite_to_png(json.dumps(self.spec), vl_version=DRAWN_BY, scale=SCALE)
        return bytes(drawn)

    def save(self, path: str | Path) -> Path:
        """Write it as .png, .svg, or .html that needs no network.

        Raises:
            SpecError: another ending.
        """
        import vl_convert

        file, spec = Path(path), json.dumps(self.spec)
        if file.suffix == ".png":
            file.write_bytes(self.png)
        elif file.suffix == ".svg":
            file.write_text(vl_convert.vegalite_to_svg(spec, vl_version=DRAWN_BY), "utf-8")
        elif file.suffix == ".html":
            page = vl_convert.vegalite_to_html(PLACE, vl_version=DRAWN_BY, bundle=True)
            before, after = page.split(PLACE)
            # In a name, `</script>` would end the script that the specification stands in.
            inside = spec.replace("<", "\\u003c")
            file.write_text(f"{before}{inside}{after}", "utf-8")
        else:
            raise SpecError(
                f"a figure can't be written as {file.name}.",
                mend="end it with .png, .svg or .html.",
            )
        return file

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {MIME: dict(self.spec), "image/png": base64.b64encode(self.png).decode()}

    def __repr__(self) -> str:
        title = self.spec.get("title", "")
        return f"Figure: {title['text'] if isinstance(title, Mapping) else title}"


def figure(chart: alt.TopLevelMixin) -> Figure:
    """An Altair chart as a figure that shows anywhere.

    Args:
        chart: with its data inside; addresses are not fetched.
    """
    return Figure({**chart.to_dict(), "$schema": SCHEMA})
