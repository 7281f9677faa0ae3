"""Where state lies and which services are used: `MOX_*` variables, read when asked for."""

from __future__ import annotations

import json
import os
import re
import sys
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlparse
from urllib.request import url2pathname

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from mox.errors import MissingError
from mox.secrets import names_a_file

DISTRIBUTION = "mox-workbench"

_BEGINS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class Settings(BaseSettings):
    """Settings from the environment. URIs may carry passwords: print them by `redact` only."""

    model_config = SettingsConfigDict(env_prefix="MOX_", frozen=True, extra="ignore")

    home: Path = Field(default_factory=lambda: state_folder(Path.cwd()))
    """The state folder; the working tree's `.mox` where MOX_HOME is not set."""
    milvus_uri: str | None = None
    """A Milvus server; Milvus Lite in the state folder where it is not set."""
    postgres_uri: str | None = None
    """A PostgreSQL with pgvector; an embedded one in the state folder where it is not set."""
    redis_url: str | None = None
    """A Redis or Valkey that processes and machines share; that of `mox up redis` where it is not
    set, and an embedded one where neither is there and a part of Mox needs one."""
    answers_days: float = Field(default=30.0, gt=0)
    """How long answers of language models are shared through Redis."""
    answers_mb: float = Field(default=1024.0, gt=0)
    """How much of its memory they may take, in 10⁶ bytes; the oldest go first."""
    prices: Path | None = None
    """A file of prices that go before the package's; the working tree's `experiments/prices.yaml`
    where it is not set."""
    workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    """Processes that run quality stages side by side."""
    stage_timeout_s: float = Field(default=1800.0, gt=0)
    """Seconds after which a stage is ended and its trials are FAILED."""

    def uri(self, service: str | None) -> str | None:
        """Where a service (`milvus`, `postgres`) is; None where it is embedded, or none is used."""
        return {"milvus": self.milvus_uri, "postgres": self.postgres_uri}.get(service or "")

    @property
    def root(self) -> Path:
        """The state folder, absolute.

        Raises:
            MissingError: it is named by the home folder of a user who isn't known here.
        """
        return expanded(self.home).absolute()


def state_folder(here: Path) -> Path:
    """`.mox` of the working tree that a folder is in, so that a notebook in `notebooks/` finds
    what the command line stored beside it.

    The nearest folder, at `here` or above it, that has a `.mox` already, or that is a tree's root:
    it holds `experiments` or a `pyproject.toml`. Without one, `.mox` in `here`.
    """
    for folder in (here, *here.parents):
        # os.path answers False where a folder may not be read; pathlib raises.
        known = any(os.path.isdir(folder / name) for name in (".mox", "experiments"))  # noqa: PTH112
        if known or os.path.isfile(folder / "pyproject.toml"):  # noqa: PTH113
            return folder / ".mox"
    return here / ".mox"


def expanded(path: Path | str) -> Path:
    """A path whose `~` or `~user` is that user's home folder.

    Raises:
        MissingError: no such user is known here.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise MissingError(
            f"{path}: the home folder {Path(path).parts[0]} isn't known here.",
            mend="write the whole path; that of a folder whose name begins with ~ begins with ./~.",
        ) from None


def settings() -> Settings:
    """Settings as the environment has them now."""
    return Settings()


def redact(uri: str) -> str:
    """A URI without what it carries as user, password, query and fragment.

    Of one whose password may have broken it in two (`/`, `?`, `#` or `[`, not percent-encoded) or
    that lacks its `://`, nothing but its scheme: what was meant by what can't be told.
    """
    begins = _BEGINS.match(uri)
    hidden = f"{begins[0] if begins else ''}…"
    try:
        parts = urlparse(uri)
        port = parts.port
    except ValueError:  # its text repeats what it stumbled over
        return hidden
    if not parts.scheme:
        return hidden if "@" in uri and not names_a_file(uri) else uri
    if not parts.netloc:  # a file; or a server's socket, whose password may stand in the query
        hides = "@" in uri and not names_a_file(uri)
        return hidden if hides else re.split("[?#]", uri, maxsplit=1)[0]
    if "@" in parts.path or ("@" in uri and "@" not in parts.netloc):
        return hidden
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"


def install_line(extra: str | None = None) -> str:
    """The command that installs Mox with an extra, right for how Mox was installed here."""
    bracket = f"[{extra}]" if extra else ""
    python = sys.executable or "python"
    try:
        found = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        found = None
    if found:
        origin = json.loads(found)
        if origin.get("dir_info", {}).get("editable"):
            tree = url2pathname(unquote(urlparse(origin["url"]).path))
            return f"{python} -m pip install -e '{tree}{bracket}'"
    return f"{python} -m pip install '{DISTRIBUTION}{bracket}'"
