"""Runs the evaluation program as a process, in an environment that ftbench builds and caches.

For machines with no container engine. The program sees none of the caller's environment variables
but those listed here; it can read the caller's files, and it has the caller's network.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from ftbench.environment import (
    Environment,
    ensure_environment,
    environment_folder,
    find_python,
    find_uv,
    is_built,
    ready_environment,
)
from ftbench.errors import LaunchError, Problem, RuntimeEnvironmentError
from ftbench.plan import Plan
from ftbench.process import run_process
from ftbench.program import ENTRYPOINT, program_folder, program_hash, staged_program
from ftbench.runtimes.base import Launch
from ftbench.runtimes.ending import count_memory_kills, judge_exit
from ftbench.runtimes.gpus import choose_gpus, gpu_identity, gpu_problems, lent_plan
from ftbench.runtimes.orphans import private_folder, stop_orphans
from ftbench.runtimes.secrets import secret_files

_SIZE_GB = {"cpu": 3, "cuda": 16}
"""Disk that an environment and its download need, in 10^9 bytes."""

_SOCKET_ROOM = 36
"""Bytes of the fork server's socket below TMPDIR, ``/pymp-xxxxxxxx/listener-xxxxxxxx``."""

_PROXY = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")

_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class LocalRuntime:
    """The ``local`` runtime.

    Args:
        secrets: Values of secrets by name; a plan says which ones its program receives.
        cache_dir: ftbench's cache: environments and staged programs.
        environ: Environment variables of the caller; None for this process's own.
    """

    def __init__(
        self, secrets: Mapping[str, str], cache_dir: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        self._secrets = secrets
        self._cache_dir = cache_dir
        self._environ = os.environ if environ is None else environ

    def check(self, plan: Plan) -> list[Problem]:
        """Says what would keep the plan from being launched; builds nothing."""
        problems = [
            Problem(f"folder {mount.source}", "does not exist", "check the path")
            for mount in plan.mounts
            if not mount.source.exists() and mount.read_only
        ]
        try:
            if plan.environment_folder:
                ready_environment(plan.environment_folder)
            else:
                problems += self._check_buildable(plan)
        except RuntimeEnvironmentError as exc:
            problems += exc.problems
        cure = "nvidia-smi -L lists the GPUs; runtime.num_gpus=0 evaluates on the CPU"
        return problems + gpu_problems(plan, self._environ, cure)

    def _check_buildable(self, plan: Plan) -> list[Problem]:
        variant = _variant(plan)
        version = find_python(plan.python, self._environ).version
        if is_built(environment_folder(variant, version, self._cache_dir)):
            return []
        find_uv(self._environ)
        existing = next(p for p in (self._cache_dir, *self._cache_dir.parents) if p.exists())
        free_gb = shutil.disk_usage(existing).free / 1e9
        if free_gb < _SIZE_GB[variant]:
            happened = f"{free_gb:.1f} GB free; the environment needs {_SIZE_GB[variant]} GB"
            cure = "free some, or set FTBENCH_CACHE to a folder on a larger disk"
            return [Problem(f"disk of {self._cache_dir}", happened, cure)]
        return []

    def prepare(self, plan: Plan, on_line: Callable[[str], None]) -> None:
        """Builds the environment, where it is not there yet."""
        self._environment(plan, on_line)

    def describe(self, plan: Plan) -> list[str]:
        """The equivalent command line: ``env -i`` with every variable, then the program."""
        folder = plan.environment_folder
        if folder is None:
            version = find_python(plan.python, self._environ).version
            folder = environment_folder(_variant(plan), version, self._cache_dir)
        python = folder / "bin" / "python"
        private = Path(tempfile.gettempdir()) / "ftbench-private"
        secrets = Path("SECRETS_FOLDER") if plan.secrets else None
        env = self._program_environment(plan, python, private, secrets)
        entrypoint = program_folder(self._cache_dir) / ENTRYPOINT
        return ["env", "-i", *(f"{k}={v}" for k, v in env.items()), str(python), str(entrypoint)]

    def launch(self, plan: Plan, on_line: Callable[[str], None]) -> Launch:
        """Runs the plan to its end, its timeout, or a stop.

        Raises:
            RuntimeEnvironmentError: The environment cannot be built.
            LaunchError: The program cannot be started.
        """
        environment = self._environment(plan, on_line)
        program = staged_program(self._cache_dir)
        stop_orphans(plan, on_line)
        kills_before = count_memory_kills()
        with (
            private_folder("ftbench", plan.fingerprint, _SOCKET_ROOM) as private,
            secret_files(self._secrets, plan.secrets, plan.user, plan.fingerprint) as secrets,
            lent_plan(plan, self._environ, on_line) as (plan, lease),
        ):
            env = self._program_environment(plan, environment.python, private, secrets)
            Path(env["HOME"]).mkdir(exist_ok=True)
            try:
                ended = run_process(
                    [str(environment.python), str(program / ENTRYPOINT)],
                    env=env,
                    cwd=private,
                    log=plan.files.launch_log,
                    on_line=on_line,
                    timeout_s=plan.timeout_s,
                    grace_s=plan.stop_grace_s,
                    inherited=lease.handles,
                )
            except OSError as exc:
                raise LaunchError(Problem(f"starting {environment.python}", str(exc))) from exc
        memory_kill = count_memory_kills() > kills_before
        ending, message = judge_exit(
            ended.exit_code, plan.timeout_s, ended.timed_out, memory_kill and ended.exit_code != 0
        )
        identity = {"runtime": "local", "program": program_hash()} | environment.identity
        identity |= gpu_identity(plan)
        return Launch(ending, ended.exit_code, message, ended.seconds, identity)

    def _environment(self, plan: Plan, on_line: Callable[[str], None]) -> Environment:
        if plan.environment_folder:
            return ready_environment(plan.environment_folder)
        return ensure_environment(
            _variant(plan), plan.python, self._cache_dir, self._environ, on_line
        )

    def _program_environment(
        self, plan: Plan, python: Path, private: Path, secrets: Path | None
    ) -> dict[str, str]:
        """Every variable that the program sees; the plan's own win."""
        path = self._environ.get("PATH", os.defpath)
        env = {
            "PATH": f"{python.parent}{os.pathsep}{path}",
            "LANG": "C.UTF-8",
            "USER": "ftbench",
            "LOGNAME": "ftbench",
            "HOME": str(private / "home"),
            "TMPDIR": str(private),
            "HF_HOME": str(private / "huggingface"),
            "XDG_CACHE_HOME": str(private / "cache"),
            "MPLCONFIGDIR": str(private / "matplotlib"),
            "PYTHONUNBUFFERED": "1",
            "CUDA_VISIBLE_DEVICES": ",".join(
                choose_gpus(plan.num_gpus, plan.gpu_ids, self._environ, plan.gpu_pool)
            ),
            # Else CUDA counts the fastest first, and number 1 may be another than nvidia-smi's.
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        }
        if plan.network is not None:
            passed = (*_PROXY, *(name.lower() for name in _PROXY), *_CERTIFICATES)
            env |= {name: self._environ[name] for name in passed if self._environ.get(name)}
        if secrets is not None:
            env["SECRETS_PATH"] = str(secrets)
        return env | plan.environment


def _variant(plan: Plan) -> str:
    return "cuda" if plan.num_gpus else "cpu"
