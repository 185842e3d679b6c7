"""What ftbench takes from its surroundings: the one place that reads environment variables."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_cache_path

from ftbench.schema import SECRET_NAMES
from ftbench.uris import sqlite_path, strip_credentials

DEFAULT_STORE = "sqlite:///mlflow.db"

_TRACKER_SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")


@dataclass(frozen=True)
class Host:
    """The machine and the caller, as far as a plan depends on them.

    Attributes:
        cwd: Folder that relative paths of the command line start from.
        cache_dir: ftbench's own cache (environments, programs, hashes).
        data_dir: Default folder that contains ``data/`` in OpenCompass's layout.
        hub_dir: Hugging Face hub cache, with ``models--*`` folders.
        hub_offline: The caller forbids downloads from the hub (HF_HUB_OFFLINE).
        tracking_uri: MLFLOW_TRACKING_URI, or None.
        processors: Processors that this process may use.
        user: ``uid:gid`` of the caller.
        command: The command line, one argument each.
        secrets: Values to hand on, by name; never printed.
        data_url: Server of OpenCompass's archives (FTBENCH_DATA_URL); None: the catalogue's own.
        hub_url: Server of the hub (HF_ENDPOINT).
        tracker_secrets: MLflow's own password and token, to keep them out of what is written.
        home_data_dir: Where OpenCompass by itself keeps data; looked through after ``data_dir``.
        is_base_of_sweep: Other jobs of this sweep have adapters of the model of this one, and are
            asked the same.
    """

    cwd: Path
    cache_dir: Path
    data_dir: Path
    hub_dir: Path
    hub_offline: bool
    tracking_uri: str | None
    processors: int
    user: str
    command: tuple[str, ...]
    secrets: Mapping[str, str] = field(repr=False)
    data_url: str | None = None
    hub_url: str = "https://huggingface.co"
    home_data_dir: Path | None = None
    tracker_secrets: tuple[str, ...] = field(default=(), repr=False)
    is_base_of_sweep: bool = False

    @property
    def known_secrets(self) -> tuple[str, ...]:
        """Values that must stand in nothing that is written."""
        return (*self.secrets.values(), *self.tracker_secrets)

    def path(self, text: str | Path) -> Path:
        """An absolute path: a relative one starts at ``cwd``, and ``~`` is the home.

        A shell leaves the ``~`` of ``model.adapter=~/out`` as it is.
        """
        return self.cwd / Path(text).expanduser()

    def tracking_store(self, given: str | None) -> str:
        """The tracker's URI, without credentials and with an absolute path.

        Args:
            given: ``tracking.uri``; None: MLFLOW_TRACKING_URI, else a database in ``cwd``.
        """
        uri, _, _ = strip_credentials(given or self.tracking_uri or DEFAULT_STORE)
        return sqlite_path(uri, self.cwd)


def read_host(environ: Mapping[str, str] | None = None) -> Host:
    """Reads the surroundings.

    Args:
        environ: Environment variables; None for this process's own.
    """
    env = os.environ if environ is None else environ
    home = Path(env.get("HOME") or Path.home())
    cache = env.get("FTBENCH_CACHE")
    return Host(
        cwd=Path.cwd(),
        cache_dir=Path(cache).absolute() if cache else user_cache_path("ftbench"),
        data_dir=Path(env.get("COMPASS_DATA_CACHE") or home / ".cache" / "opencompass").absolute(),
        hub_dir=_hub_dir(env, home),
        hub_offline=_hub_offline(env),
        tracking_uri=env.get("MLFLOW_TRACKING_URI") or None,
        processors=len(os.sched_getaffinity(0)),
        user=f"{os.getuid()}:{os.getgid()}",
        command=_command(),
        secrets={name: env[name] for name in SECRET_NAMES if env.get(name)},
        data_url=env.get("FTBENCH_DATA_URL") or None,
        home_data_dir=(home / ".cache" / "opencompass").absolute(),
        tracker_secrets=tuple(env[name] for name in _TRACKER_SECRETS if env.get(name)),
        hub_url=(env.get("HF_ENDPOINT") or Host.hub_url).rstrip("/"),
    )


def _hub_dir(env: Mapping[str, str], home: Path) -> Path:
    """Where the hub's own client keeps models. Source: huggingface_hub 2.4, constants.py."""
    user_cache = env.get("XDG_CACHE_HOME") or home / ".cache"
    hf_home = env.get("HF_HOME") or Path(user_cache) / "huggingface"
    named = env.get("HF_HUB_CACHE") or env.get("HUGGINGFACE_HUB_CACHE") or Path(hf_home) / "hub"
    path = Path(named)
    return (home.joinpath(*path.parts[1:]) if path.parts[0] == "~" else path).absolute()


def _hub_offline(env: Mapping[str, str]) -> bool:
    said = env.get("HF_HUB_OFFLINE") or env.get("TRANSFORMERS_OFFLINE") or ""
    return said.lower() in ("1", "true", "yes", "on")


def _command() -> tuple[str, ...]:
    return ("python", "-m", "ftbench.run", *sys.argv[1:])


def command_line(command: tuple[str, ...]) -> str:
    """A command as one line that a shell takes back."""
    return shlex.join(command)


def command_of_base(command: tuple[str, ...], base: str) -> tuple[str, ...]:
    """The command that evaluates the base model as another one evaluates its adapter.

    Args:
        command: Of the adapter's evaluation, one argument each.
        base: Hugging Face id or path of the base model.
    """
    own = (
        "model.adapter=",
        "model.base=",
        "workspace=",
        "baseline=",
        "reuse=",
        "training.",
        "tracking.training_run_id=",
        "tracking.step=",
        "tracking.sweep_id=",
        "tracking.nest=",
    )
    kept = [part for part in command if not part.lstrip("+").startswith(own)]
    return (*kept, f"model.base={base}")
