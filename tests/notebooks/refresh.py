"""Run the notebooks as they stand and keep what their checked cells say; nothing else is kept.

    python tests/notebooks/refresh.py              # after a change that is meant to move them

Then read the difference: what a checked cell says is what the tests hold the notebook to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
KEPT = "keep_output"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def run(path: Path) -> Any:
    """A notebook, run in its own folder."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    ).execute()
    return notebook


def strip(notebook: Any) -> Any:
    """Drop every output and count but those of cells tagged `keep_output`."""
    notebook.metadata = METADATA
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        cell.metadata = {"tags": tags} if tags else {}
        if cell.cell_type == "code" and KEPT not in tags:
            cell.outputs, cell.execution_count = [], None
    return notebook


if __name__ == "__main__":
    import nbformat

    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        nbformat.write(strip(run(path)), path)
