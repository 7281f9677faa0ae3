"""Notebooks are thin, take parameters, run, and say what their checked cells have stored."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

REPOSITORY = Path(__file__).parents[2]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
CHECKED, KEPT = "nbval-check-output", "keep_output"
SCALARS = {"str", "int", "float", "bool"}
LIMIT_S = 240

pytestmark = pytest.mark.timeout(LIMIT_S + 30)
every = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code(path: Path) -> list[Any]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def tags(cell: Any) -> list[str]:
    return list(cell.metadata.get("tags", []))


def test_there_are_notebooks() -> None:
    assert [path.name for path in NOTEBOOKS][:1] == ["01_quickstart.ipynb"]


@every
def test_a_notebook_is_thin(path: Path) -> None:
    cells = code(path)
    assert len(cells) <= 12
    for cell in cells:
        assert len(cell.source.splitlines()) <= 10, cell.source
        assert not re.search(r"^\s*(def|class|[!%]) ?|sys\.path", cell.source, re.MULTILINE)
        tree = ast.walk(ast.parse(cell.source))
        texts = [node.value for node in tree if isinstance(node, ast.Constant)]
        assert not [text for text in texts if isinstance(text, str) and Path(text).is_absolute()]
        assert not [line for line in cell.source.splitlines() if line.strip().startswith("#")]


@every
def test_a_notebook_runs_on_any_python_kernel(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


@every
def test_parameters_are_typed_and_commented(path: Path) -> None:
    first, *others = code(path)
    assert "parameters" in tags(first)
    assert not [cell for cell in others if "parameters" in tags(cell)]
    lines = first.source.splitlines()
    for line, node in zip(lines, ast.parse(first.source).body, strict=True):
        assert isinstance(node, ast.AnnAssign), line
        assert ast.unparse(node.annotation) in SCALARS, line
        assert re.search(r"  # \S", line), line


@every
def test_papermill_reads_each_parameter_with_its_type_and_help(path: Path) -> None:
    found = papermill("import papermill, json, sys; print(json.dumps(papermill.inspect_notebook("
                      "sys.argv[1])))", str(path))  # fmt: skip
    declared = json.loads(found.stdout)
    names = [node.target.id for node in ast.parse(code(path)[0].source).body]  # type: ignore[attr-defined]
    assert list(declared) == names
    for parameter in declared.values():
        assert parameter["inferred_type_name"] in SCALARS
        assert parameter["help"]


@every
def test_only_checked_cells_keep_outputs_and_each_of_them_has_one(path: Path) -> None:
    """A cell without a stored output and count is never compared: the check would be vacuous."""
    checked = [cell for cell in code(path) if CHECKED in tags(cell)]
    assert 1 <= len(checked) <= 3
    for cell in code(path):
        assert (CHECKED in tags(cell)) == (KEPT in tags(cell))
        if cell in checked:
            assert cell.outputs, cell.source
            assert isinstance(cell.execution_count, int), cell.source
            assert all(output.output_type != "error" for output in cell.outputs)
        else:
            assert cell.outputs == [], cell.source
            assert cell.execution_count is None, cell.source


KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")


@pytest.fixture(scope="module", autouse=True)
def keys() -> Iterator[None]:
    """The developer has keys: a notebook of providers would ask whom they belong to for money."""
    with pytest.MonkeyPatch.context() as patch:
        for name in KEYS:
            patch.setenv(name, "sk-not-a-key")
        yield


@pytest.fixture(scope="module")
def environment(
    keys: None, tmp_path_factory: pytest.TempPathFactory, developers: Callable[[str], bool]
) -> dict[str, str]:
    """One state folder for all runs here: what the first one stored the others read."""
    ours = {name: value for name, value in os.environ.items() if not developers(name)}
    home = tmp_path_factory.mktemp("notebooks")
    # Jupyter warns of its own deprecations, and asks for runtime folders of the user's.
    return {**ours, "MOX_HOME": str(home / "state"), "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "IPYTHONDIR": str(home / "ipython")}  # fmt: skip


def test_neither_a_test_nor_a_notebook_finds_a_key_of_the_developers(
    environment: dict[str, str],
) -> None:
    assert not [name for name in KEYS if name in environment or name in os.environ]


def ended(command: list[str], **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; what it started ends with it, whatever happens."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               start_new_session=True, **settings)  # fmt: skip
    try:
        out, err = process.communicate(timeout=LIMIT_S)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def papermill(source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python with papermill in a process of its own, since it warns on import."""
    done = ended([sys.executable, "-W", "ignore", "-c", source, *arguments])
    assert done.returncode == 0, done.stderr
    return done


def nbval(
    path: Path, environment: dict[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run a notebook as nbval does, away from this repository's own pytest settings."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    return ended(
        [sys.executable, "-m", "pytest", "-c", str(folder / "pytest.ini"), "-p", "no:cacheprovider",
         "--nbval-lax", "--nbval-current-env", f"--nbval-cell-timeout={LIMIT_S - 30}",
         "-q", "-rf", str(path)],
        env=environment,
        cwd=folder,
    )  # fmt: skip


@pytest.fixture(scope="module")
def ran(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Path, subprocess.CompletedProcess[str]]]:
    """Every notebook run by nbval, once."""
    folder = tmp_path_factory.mktemp("nbval")
    return {path: nbval(path, environment, folder) for path in NOTEBOOKS}


@every
def test_a_notebook_runs_and_says_what_it_has_stored(
    path: Path, ran: dict[Path, subprocess.CompletedProcess[str]]
) -> None:
    done = ran[path]
    assert done.returncode == 0, done.stdout[-3000:]
    assert f"{len(code(path))} passed" in done.stdout


@pytest.mark.usefixtures("ran")
def test_an_altered_output_is_noticed(environment: dict[str, str], tmp_path: Path) -> None:
    notebook = read(NOTEBOOKS[0])
    altered = next(cell for cell in notebook.cells if cell.id == "scored")
    text = altered.outputs[0].data["text/plain"]
    altered.outputs[0].data["text/plain"] = text.replace("'trials': 87", "'trials': 88")
    assert altered.outputs[0].data["text/plain"] != text
    for cell in notebook.cells:
        cell.source = cell.source.replace('"../experiments', f'"{REPOSITORY}/experiments')
    path = tmp_path / "altered.ipynb"
    nbformat.write(notebook, path)
    done = nbval(path, environment, tmp_path)
    assert done.returncode == 1, done.stdout[-3000:]
    assert f"1 failed, {len(code(path)) - 1} passed" in done.stdout
    assert "'trials': 88" in done.stdout


def test_papermill_runs_it_with_other_parameters(
    environment: dict[str, str], tmp_path: Path, small_corpus: Path
) -> None:
    experiment = tmp_path / "small.yaml"
    experiment.write_text(
        f"""\
name: small
corpus: {{kind: evidence, path: {small_corpus}}}
axes:
  chunk: [{{kind: recursive, size: [32, 64]}}]
  search: [{{kind: bm25, k: 5}}]
measure: [recall@5]
""",
        encoding="utf-8",
    )
    out = tmp_path / "out.ipynb"
    done = ended(
        [sys.executable, "-W", "ignore", "-m", "papermill", str(NOTEBOOKS[0]), str(out),
         "-p", "experiment", str(experiment), "-p", "questions", "10", "--no-progress-bar"],
        env=environment,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    cells = {cell.id: cell for cell in read(out).cells}
    progress, card = cells["run"].outputs
    assert (progress.output_type, card.output_type) == ("display_data", "execute_result")
    assert "small: 2 of 2 trials" in card.data["text/plain"]
    said = cells["scored"].outputs[0]
    assert ast.literal_eval(said.data["text/plain"]) == {
        "trials": 2,
        "questions": 10,
        "unanswerable": 0,
    }


def test_papermill_names_a_parameter_that_the_notebook_lacks(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Papermill itself warns and goes on; nothing runs here."""
    done = ended(
        [sys.executable, "-W", "ignore", "-m", "papermill", str(NOTEBOOKS[0]),
         str(tmp_path / "out.ipynb"), "-p", "question", "10", "--prepare-only"],
        env=environment,
        cwd=tmp_path,
    )  # fmt: skip
    assert "Passed unknown parameter: question" in done.stderr
