"""Runs the evaluation program in a container, through the docker library.

The container is isolated as ``container_options`` says, followed live, stopped at its deadline and
by signals, and removed at the end: what matters is in the run folder, which is mounted.
"""

from __future__ import annotations

import contextlib
import os
import secrets as random_names
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbench.engine import connect, engine_errors, is_lost
from ftbench.errors import EngineError, FtbenchError, LaunchError, Problem
from ftbench.plan import Plan
from ftbench.process import LineLog, stop_on_signals
from ftbench.runtimes.base import CRASHED, OUT_OF_MEMORY, Launch
from ftbench.runtimes.container_checks import check_engine, find_image
from ftbench.runtimes.container_options import (
    LABEL_OWNER,
    LABEL_RUN,
    LABEL_WORKSPACE,
    ContainerOptions,
    Engine,
    container_name,
    container_options,
    create_arguments,
    owner_is_alive,
    owner_label,
    run_command,
)
from ftbench.runtimes.ending import count_memory_kills, judge_exit
from ftbench.runtimes.gpus import choose_gpus, gpu_identity, lent_plan, uuids_of
from ftbench.runtimes.keeper import kept
from ftbench.runtimes.secrets import secret_files

if TYPE_CHECKING:
    from docker.client import DockerClient
    from docker.models.containers import Container

_PATIENCE_S = 15.0
"""How long an engine that went away is waited for, in seconds: a restart takes a few."""


class DockerRuntime:
    """The ``docker`` runtime.

    Args:
        secrets: Values of secrets by name; a plan says which ones its program receives.
        environ: Environment variables of the caller (DOCKER_HOST, CUDA_VISIBLE_DEVICES); None for
            this process's own.
    """

    def __init__(
        self, secrets: Mapping[str, str], environ: Mapping[str, str] | None = None
    ) -> None:
        self._secrets = secrets
        self._environ = os.environ if environ is None else environ

    def check(self, plan: Plan) -> list[Problem]:
        """Says what would keep the plan from being launched; starts nothing."""
        try:
            client = connect(self._environ)
            return check_engine(client, plan, self._environ)
        except FtbenchError as exc:
            return list(exc.problems)

    def prepare(self, plan: Plan, on_line: Callable[[str], None]) -> None:
        """Nothing: ``check`` found the image on the engine."""

    def describe(self, plan: Plan) -> list[str]:
        """The equivalent ``docker run`` command."""
        folder = Path("/SECRETS_FOLDER") if plan.secrets else None
        gpus = self._gpus(plan)
        return run_command(container_options(plan, Engine(), folder, gpus))

    def launch(self, plan: Plan, on_line: Callable[[str], None]) -> Launch:
        """Runs the plan to its end, its timeout, or a stop.

        Raises:
            LaunchError: The engine does not answer or refuses, or the image is missing.
        """
        client = connect(self._environ)
        with engine_errors("container engine"):
            info, version = client.info(), client.version()["Version"]
        image = find_image(client, plan)
        _remove_leftovers(client, plan)
        kills_before = count_memory_kills()
        with (
            stop_on_signals(),
            secret_files(self._secrets, plan.secrets, plan.user, plan.fingerprint) as folder,
            lent_plan(plan, self._environ, on_line) as (plan, lease),
        ):
            name = container_name(plan, random_names.token_hex(3))
            gpus = self._gpus(plan)
            options = container_options(plan, Engine.from_info(info), folder, gpus, name)
            with _created(client, options, str(image.id)) as container:
                started = time.monotonic()
                with engine_errors(f"starting a container of {plan.image}"):
                    container.start()
                with kept(str(container.id), lease, self._environ):
                    state, timed_out = self._follow(container, plan, on_line)
        ending, message = _judge(plan, state, timed_out, count_memory_kills() > kills_before)
        return Launch(
            ending=ending,
            exit_code=None if state is None else state["ExitCode"],
            message=message,
            seconds=time.monotonic() - started,
            identity={
                "runtime": "docker",
                "image": plan.image,
                # An image that never was in a registry has no digest there; its id is one too.
                "image_digest": next(iter(image.attrs.get("RepoDigests") or []), str(image.id)),
                "container": str(container.id),
                "engine": version,
                "lock": image.labels.get("org.ftbench.lock", ""),
                "program": image.labels.get("org.ftbench.program", ""),
            }
            | gpu_identity(plan),
        )

    def _gpus(self, plan: Plan) -> list[str]:
        """UUIDs where this machine shows them: a bare count is always the engine's first GPUs."""
        chosen = choose_gpus(plan.num_gpus, plan.gpu_ids, self._environ, plan.gpu_pool)
        names = chosen or list(plan.gpu_ids or plan.gpu_pool[: plan.num_gpus])
        return uuids_of(names, self._environ)

    def _follow(
        self, container: Container, plan: Plan, on_line: Callable[[str], None]
    ) -> tuple[dict[str, Any] | None, bool]:
        """Streams the log to the container's end.

        Returns:
            The engine's last word on the container, None when the engine went away; and whether
            the container was stopped at its deadline.
        """
        try:
            with (
                LineLog(plan.files.launch_log, on_line) as lines,
                self._deadline(str(container.id), plan) as timed_out,
            ):
                state = self._stream(container, lines)
                return state, timed_out.is_set()
        except BaseException:
            # A second Ctrl-C ends the wait: the container is killed when it is removed.
            with contextlib.suppress(KeyboardInterrupt, FtbenchError), engine_errors("stopping"):
                container.stop(timeout=plan.stop_grace_s)
            raise

    @contextlib.contextmanager
    def _deadline(self, container_id: str, plan: Plan) -> Iterator[threading.Event]:
        """Stops the container after its timeout, from a thread; the event says that it did."""
        timed_out = threading.Event()

        def stop() -> None:
            timed_out.set()
            # An engine that is gone is noticed by whoever reads the log.
            with contextlib.suppress(FtbenchError), engine_errors("stopping the container"):
                container = connect(self._environ).containers.get(container_id)
                container.stop(timeout=plan.stop_grace_s)

        timer = threading.Timer(plan.timeout_s, stop)
        timer.daemon = True
        if plan.timeout_s:
            timer.start()
        try:
            yield timed_out
        finally:
            timer.cancel()

    def _stream(self, container: Container, lines: LineLog) -> dict[str, Any] | None:
        since: int | None = None
        while True:
            try:
                for piece in _log_pieces(container, since):
                    lines.write(piece)
                    since = int(time.time())
                return _last_state(container)
            except EngineError as exc:
                if exc.__cause__ is None or not is_lost(exc.__cause__):
                    raise
                again = self._find_again(str(container.id))
                if again is None:
                    return None
                container = again

    def _find_again(self, container_id: str) -> Container | None:
        """The container of an engine that comes back, or None."""
        last = time.monotonic() + _PATIENCE_S
        while time.monotonic() < last:
            with contextlib.suppress(FtbenchError):
                client = connect(self._environ)
                with engine_errors("finding the container again"):
                    return client.containers.get(container_id)
            time.sleep(0.5)
        return None


def _log_pieces(container: Container, since: int | None) -> Iterator[bytes]:
    """What the container prints, as it comes; just ends when the engine dies (docker-py 7.2)."""
    with engine_errors("following the container"):
        yield from container.logs(stream=True, follow=True, since=since)


def _last_state(container: Container) -> dict[str, Any]:
    """Waits for the container's end."""
    with engine_errors("waiting for the container"):
        container.wait()
        container.reload()
        return dict(container.attrs["State"])


@contextlib.contextmanager
def _created(client: DockerClient, options: ContainerOptions, image: str) -> Iterator[Container]:
    with engine_errors(f"creating a container of {options.plan.image}"):
        container = client.containers.create(image, **create_arguments(options))
    try:
        yield container
    finally:
        with contextlib.suppress(FtbenchError), engine_errors("removing the container"):
            container.remove(v=True, force=True)


def _remove_leftovers(client: DockerClient, plan: Plan) -> None:
    """Removes containers of this run folder whose launcher is dead.

    Raises:
        LaunchError: One of them has a launcher that lives.
    """
    labels = [f"{LABEL_RUN}={plan.run_dir.name}", f"{LABEL_WORKSPACE}={plan.workspace}"]
    with engine_errors("looking for containers of this run"):
        for container in client.containers.list(all=True, filters={"label": labels}):
            running = container.status == "running"
            owner = container.labels.get(LABEL_OWNER, "")
            # Our own process can have lost one when the engine went away.
            if running and owner != owner_label() and owner_is_alive(owner):
                raise LaunchError(
                    Problem(
                        f"run folder {plan.run_dir}",
                        f"container {container.name} is working on it for another ftbench",
                        f"wait for it, or docker rm --force {container.name}",
                    )
                )
            if running:
                container.stop(timeout=plan.stop_grace_s)
            container.remove(v=True, force=True)


def _judge(
    plan: Plan, state: dict[str, Any] | None, timed_out: bool, kernel_killed: bool
) -> tuple[str, str]:
    if state is None:
        return CRASHED, "the container engine went away while the evaluation ran"
    exit_code = int(state["ExitCode"])
    # The engine's flag is also set when only a child was killed; without a limit of its own, a
    # container is killed by the machine's, which the engine does not notice.
    memory_kill = bool(state.get("OOMKilled")) or (kernel_killed and exit_code == 137)
    ending, message = judge_exit(exit_code, plan.timeout_s, timed_out, memory_kill)
    if ending == OUT_OF_MEMORY:
        limit = f"runtime.memory={plan.memory}" if plan.memory else "the machine's memory"
        message += f"; the limit is {limit}"
    return ending, message
