"""The docker runtime against a real engine; the program inside is a stand-in."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ftbench.errors import EngineError, ImageError, LaunchError
from ftbench.plan import Mount, Plan
from ftbench.runtimes.base import (
    CRASHED,
    FINISHED,
    OUT_OF_MEMORY,
    STOPPED_OUTSIDE,
    TIMED_OUT,
    Launch,
)
from ftbench.runtimes.container_options import LABEL_OWNER, LABEL_RUN, LABEL_WORKSPACE
from ftbench.runtimes.docker import DockerRuntime
from ftbench.schema import to_json
from tests.container.conftest import USER, build

pytestmark = pytest.mark.container

CATCHES_TERM = """
import os, signal, sys, time
def stop(*_):
    with open(os.environ["OUTPUT_PATH"] + "/partial.txt", "w") as f:
        f.write("2 of 5")
    print("finishing", flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
time.sleep(60)
"""

IGNORES_TERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""

LOOK_AROUND = """
import errno, json, os, socket
def attempt(action):
    try:
        action()
        return "possible"
    except OSError as exc:
        return errno.errorcode[exc.errno]
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
found = {
    "user": [os.getuid(), os.getgid()],
    "write /": attempt(lambda: open("/planted", "w")),
    "write /app": attempt(lambda: open("/app/planted", "w")),
    "write /tmp": attempt(lambda: open("/tmp/planted", "w")),
    "run from /tmp": "noexec" in [l for l in open("/proc/mounts") if " /tmp " in l][0],
    "network": attempt(lambda: socket.create_connection(("1.1.1.1", 53), timeout=5)),
    "interfaces": sorted(os.listdir("/sys/class/net")),
    "capabilities": status["CapBnd"].strip() + status["CapEff"].strip(),
    "no new privileges": status["NoNewPrivs"].strip(),
    "seccomp": status["Seccomp"].strip(),
    "adapter": attempt(lambda: open(os.environ["ADAPTER_PATH"] + "/planted", "w")),
}
out = os.environ["OUTPUT_PATH"]
json.dump(found, open(out + "/found.json", "w"))
os.makedirs(out + "/predictions/deep")
open(out + "/predictions/deep/file.json", "w").close()
"""


def launch(plan: Plan, on_line: Callable[[str], None] = lambda line: None) -> Launch:
    return DockerRuntime({}).launch(plan, on_line)


def containers_of(client: Any, plan: Plan) -> list[Any]:
    labels = [f"{LABEL_RUN}={plan.run_dir.name}", f"{LABEL_WORKSPACE}={plan.workspace}"]
    return client.containers.list(all=True, filters={"label": labels})


def problem_of(error: pytest.ExceptionInfo[Any]) -> tuple[str, str, str]:
    (problem,) = error.value.problems
    return problem.tried, problem.happened, problem.cure


# What a launch gives.


def test_a_launch_streams_lines_writes_the_log_and_leaves_no_container(client, container_plan):
    lines: list[str] = []
    plan = container_plan("print('one'); print('two é')")
    launched = launch(plan, lines.append)
    assert (launched.ending, launched.exit_code, launched.message) == (FINISHED, 0, "")
    assert lines == ["one", "two é"]
    assert plan.files.launch_log.read_text(encoding="utf-8") == "one\ntwo é\n"
    assert containers_of(client, plan) == []


def test_a_launch_says_what_it_ran_on(client, container_plan):
    plan = container_plan("pass")
    identity = launch(plan).identity
    image = client.images.get(plan.image)
    assert identity["image_digest"] == image.id
    assert identity["image"] == plan.image
    assert identity["engine"] == client.version()["Version"]
    assert identity["lock"] == image.labels["org.ftbench.lock"]
    assert len(identity["container"]) == 64


def test_lines_arrive_as_they_are_printed(container_plan):
    """The program says nothing more until its first line has arrived."""
    code = """
import os, time
print("first")
while not os.path.exists(os.environ["OUTPUT_PATH"] + "/arrived"):
    time.sleep(0.05)
print("second")
"""
    plan = container_plan(code)
    launched = launch(plan, lambda line: (plan.run_dir / "arrived").touch())
    assert (launched.ending, launched.exit_code) == (FINISHED, 0)


def test_the_container_is_isolated_and_every_file_is_the_users(tmp_path, container_plan):
    adapter = tmp_path / "adapter, with comma"
    adapter.mkdir(mode=0o777)
    plan = container_plan(LOOK_AROUND)
    plan = replace(
        plan,
        environment=plan.environment | {"ADAPTER_PATH": str(adapter)},
        mounts=(*plan.mounts, Mount(adapter, str(adapter))),
    )
    assert launch(plan).message == ""
    found = json.loads((plan.run_dir / "found.json").read_text())
    uid, gid = map(int, USER.split(":"))
    assert found == {
        "user": [uid, gid],
        "write /": "EROFS",
        "write /app": "EROFS",
        "write /tmp": "possible",
        "run from /tmp": False,
        "network": "ENETUNREACH",
        "interfaces": ["lo"],
        "capabilities": "0" * 32,
        "no new privileges": "1",
        "seccomp": "2",
        "adapter": "EROFS",
    }
    written = [path for path in plan.run_dir.rglob("*") if path != plan.files.launch_log]
    owners = {(p.stat().st_uid, p.stat().st_gid) for p in written if p.name != "logs"}
    assert owners == {(uid, gid)}


def test_a_secret_reaches_the_program_as_a_file_and_nothing_else(client, container_plan):
    secret = "planted-5d41402a"
    code = """
import os, time
path = os.environ["SECRETS_PATH"] + "/HF_TOKEN"
print(open(path).read() == "planted-" + "5d41402a", oct(os.stat(path).st_mode & 0o777))
print(sorted(os.listdir(os.environ["SECRETS_PATH"])), flush=True)
time.sleep(2)
"""
    plan = container_plan(code, secrets=("HF_TOKEN",))
    inspected: list[str] = []
    lines: list[str] = []

    def inspect(line: str) -> None:
        lines.append(line)
        inspected.extend(json.dumps(c.attrs) for c in containers_of(client, plan))

    runtime = DockerRuntime({"HF_TOKEN": secret, "OC_JUDGE_API_KEY": "not-for-this-plan"})
    runtime.launch(plan, inspect)
    assert lines == ["True 0o600", "['HF_TOKEN']"]
    assert inspected
    assert not any(secret in text or "not-for-this-plan" in text for text in inspected)
    assert secret not in plan.files.launch_log.read_text()
    assert secret not in " ".join(runtime.describe(plan))
    mounted = json.loads(inspected[0])["HostConfig"]["Mounts"][-1]
    assert mounted["Target"] == "/run/ftbench-secrets"
    assert not Path(mounted["Source"]).exists()


def test_the_described_command_makes_the_same_container(client, container_plan):
    plan = container_plan("import time; time.sleep(3)", secrets=(), shm_size="32m")
    inspected: list[dict[str, Any]] = []
    described = DockerRuntime({}).describe(plan)
    options = [arg for arg in described if arg != "--rm"]
    name = options[options.index("--name") + 1]
    created = ["docker", "create", *options[2:]]
    subprocess.run(created, check=True, capture_output=True)
    try:
        by_command = client.api.inspect_container(name)
    finally:
        client.api.remove_container(name, force=True)

    thread = threading.Thread(target=lambda: launch(plan))
    thread.start()
    while not inspected:
        inspected = [c.attrs for c in containers_of(client, plan)]
        time.sleep(0.05)
    thread.join()
    by_library = inspected[0]
    for part in ("HostConfig", "Config"):
        for key, value in by_library[part].items():
            if key in ("Hostname", "AttachStdout", "AttachStderr", "ConsoleSize", "StopTimeout"):
                continue
            # The library names the image by its id.
            if key == "Image":
                continue
            theirs = by_command[part][key]
            if isinstance(value, list) and value and isinstance(value[0], str):
                value, theirs = sorted(value), sorted(theirs)
            if key == "RestartPolicy":
                # Docker's command says "no" where its library says nothing, by version.
                value, theirs = ({**v, "Name": v["Name"] or "no"} for v in (value, theirs))
            if key == "Mounts":
                value = [{k: v for k, v in mount.items() if v} for mount in value]
                theirs = [{k: v for k, v in mount.items() if v} for mount in theirs]
            assert (value or None) == (theirs or None), f"{part}.{key}"


# How it can end.


def test_the_deadline_lets_the_program_write_what_is_finished(client, container_plan):
    lines: list[str] = []
    plan = container_plan(CATCHES_TERM, timeout_s=8)
    launched = launch(plan, lines.append)
    assert (launched.ending, launched.exit_code) == (TIMED_OUT, 143)
    assert launched.message == "stopped after timeout=8 seconds"
    assert lines == ["ready", "finishing"]
    assert (plan.run_dir / "partial.txt").read_text() == "2 of 5"
    assert containers_of(client, plan) == []


def test_the_deadline_kills_what_does_not_stop(container_plan):
    launched = launch(container_plan(IGNORES_TERM, timeout_s=8, stop_grace_s=1))
    assert (launched.ending, launched.exit_code) == (TIMED_OUT, 137)
    assert launched.seconds < 50


def test_out_of_memory_is_told_from_other_ends(container_plan):
    code = "x = bytearray(200 << 20)"
    launched = launch(container_plan(code, memory="64m"))
    assert (launched.ending, launched.exit_code) == (OUT_OF_MEMORY, 137)
    assert launched.message == (
        "killed for its memory (exit code 137); the limit is runtime.memory=64m"
    )


def test_out_of_memory_of_a_child_is_seen_as_well(container_plan):
    code = """
import subprocess, sys
child = subprocess.run([sys.executable, "-c", "x = bytearray(200 << 20)"])
sys.exit(1 if child.returncode == -9 else 0)
"""
    launched = launch(container_plan(code, memory="64m"))
    assert (launched.ending, launched.exit_code) == (OUT_OF_MEMORY, 1)


def test_a_failing_program_is_a_crash_with_its_exit_code(container_plan):
    launched = launch(container_plan("raise SystemExit(3)"))
    assert (launched.ending, launched.exit_code) == (CRASHED, 3)
    assert launched.message == "ended with exit code 3"


def test_a_container_that_someone_stops_is_told_from_a_timeout(client, container_plan):
    plan = container_plan(CATCHES_TERM)

    def stop(line: str) -> None:
        if line == "ready":
            containers_of(client, plan)[0].stop(timeout=5)

    launched = launch(plan, stop)
    assert (launched.ending, launched.exit_code) == (STOPPED_OUTSIDE, 143)
    assert launched.message == "stopped from outside (SIGTERM), not by this launcher"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_launcher_stops_the_container(client, container_plan, tmp_path, signum):
    plan = container_plan(CATCHES_TERM)
    with start_launcher(plan, tmp_path) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == "ready\n"
        launcher.send_signal(signum)
        said, _ = launcher.communicate(timeout=120)
    assert said == ("KeyboardInterrupt\n" if signum == signal.SIGINT else "Terminated\n")
    assert (plan.run_dir / "partial.txt").read_text() == "2 of 5"
    assert containers_of(client, plan) == []


def test_the_container_of_a_dead_launcher_is_replaced(client, container_plan, tmp_path):
    plan = container_plan(CATCHES_TERM)
    with start_launcher(plan, tmp_path) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == "ready\n"
        launcher.kill()
    (orphan,) = containers_of(client, plan)
    assert orphan.status == "running"
    launched = launch(container_plan("print('again')"))
    assert launched.ending == FINISHED
    # It was stopped cleanly, so that what it had finished is there.
    assert (plan.run_dir / "partial.txt").read_text() == "2 of 5"
    assert containers_of(client, plan) == []


def test_a_container_of_a_living_launcher_is_left_alone(client, container_plan, tmp_path):
    plan = container_plan(CATCHES_TERM)
    with start_launcher(plan, tmp_path) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == "ready\n"
        with pytest.raises(LaunchError) as refused:
            launch(plan)
        (container,) = containers_of(client, plan)
        launcher.terminate()
        launcher.communicate(timeout=120)
    assert problem_of(refused) == (
        f"run folder {plan.run_dir}",
        f"container {container.name} is working on it for another ftbench",
        f"wait for it, or docker rm --force {container.name}",
    )
    assert container.labels[LABEL_OWNER].split(":")[1] == str(launcher.pid)


def start_launcher(plan: Plan, tmp_path: Path) -> subprocess.Popen[str]:
    """Runs a plan in a process of its own, which prints what it gets."""
    (tmp_path / "plan.json").write_text(json.dumps(to_json(plan)))
    code = f"""
import json
from pathlib import Path
from ftbench.plan import Plan
from ftbench.runtimes.docker import DockerRuntime
from ftbench.schema import from_json
plan = from_json(Plan, json.loads(Path({str(tmp_path / "plan.json")!r}).read_text()))
try:
    DockerRuntime({{}}).launch(plan, lambda line: print(line, flush=True))
except KeyboardInterrupt as exc:
    print(type(exc).__name__, flush=True)
"""
    # A shell in the background ignores SIGINT, and so would its child.
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


# An engine that goes away while the container runs: a proxy stands before the real one.


class Proxy:
    """Passes a socket on to the engine's, until it is closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.address = f"unix://{path}"
        self._open: list[socket.socket] = []
        self.start()

    def start(self) -> None:
        self.path.unlink(missing_ok=True)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self.path))
        self._server.listen()
        threading.Thread(target=self._serve, args=(self._server,), daemon=True).start()

    def _serve(self, server: socket.socket) -> None:
        while True:
            try:
                near, _ = server.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect("/var/run/docker.sock")
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket) -> None:
        try:
            while piece := source.recv(65536):
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self) -> None:
        self.path.unlink(missing_ok=True)
        for open_socket in (self._server, *self._open):
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
            open_socket.close()
        self._open.clear()


@pytest.fixture
def proxy(tmp_path):
    proxy = Proxy(tmp_path / "p.sock")
    yield proxy
    proxy.close()


def test_an_engine_that_comes_back_is_followed_on(client, container_plan, proxy):
    plan = container_plan("import time; print('one'); time.sleep(5); print('two')")
    lines: list[str] = []

    def cut(line: str) -> None:
        lines.append(line)
        if line == "one" and len(lines) == 1:
            proxy.close()
            threading.Timer(1, proxy.start).start()

    launched = DockerRuntime({}, {"DOCKER_HOST": proxy.address}).launch(plan, cut)
    assert (launched.ending, launched.exit_code) == (FINISHED, 0)
    assert lines[0] == "one"
    assert lines[-1] == "two"


def test_an_engine_that_stays_away_ends_the_launch(client, container_plan, proxy, monkeypatch):
    monkeypatch.setattr("ftbench.runtimes.docker._PATIENCE_S", 2.0)
    plan = container_plan("import time; print('one'); time.sleep(30)")
    launched = DockerRuntime({}, {"DOCKER_HOST": proxy.address}).launch(
        plan, lambda line: proxy.close()
    )
    assert (launched.ending, launched.exit_code) == (CRASHED, None)
    assert launched.message == "the container engine went away while the evaluation ran"
    for container in containers_of(client, plan):
        container.remove(force=True)


# What keeps it from being launched.


def test_check_finds_nothing_wrong_with_a_good_plan(container_plan):
    assert DockerRuntime({}).check(container_plan("pass")) == []


def test_an_absent_engine_is_an_engine_error_with_the_cure(container_plan, tmp_path):
    address = f"unix://{tmp_path}/no.sock"
    with pytest.raises(EngineError) as raised:
        DockerRuntime({}, {"DOCKER_HOST": address}).launch(container_plan("pass"), print)
    expected = (
        f"container engine at {address}",
        "nothing listens there",
        "start it (sudo systemctl start docker), or runtime=local, which needs no engine",
    )
    assert problem_of(raised) == expected
    (checked,) = DockerRuntime({}, {"DOCKER_HOST": address}).check(container_plan("pass"))
    assert (checked.tried, checked.happened, checked.cure) == expected


def test_a_refused_connection_is_an_engine_error(container_plan):
    with pytest.raises(EngineError) as raised:
        DockerRuntime({}, {"DOCKER_HOST": "tcp://127.0.0.1:9"}).launch(
            container_plan("pass"), print
        )
    assert problem_of(raised)[1] == "nothing listens there"


def test_a_docker_host_that_is_no_address_is_an_engine_error(container_plan):
    with pytest.raises(EngineError) as raised:
        DockerRuntime({}, {"DOCKER_HOST": "foo://bar"}).launch(container_plan("pass"), print)
    assert problem_of(raised) == (
        "container engine at foo://bar",
        "DOCKER_HOST is no address of an engine",
        "unset DOCKER_HOST, or DOCKER_HOST=unix:///var/run/docker.sock",
    )


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become a user outside the docker group")
def test_permission_denied_by_the_real_socket_is_an_engine_error(client, container_plan):
    plan = container_plan("pass")
    read_fd, write_fd = os.pipe()
    # The docker library is loaded by now: the other user may not be able to read this Python.
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(1234)
        os.setuid(1234)
        (problem,) = DockerRuntime({}, {}).check(plan)
        os.write(write_fd, str(problem).encode())
        os._exit(0)
    os.close(write_fd)
    with os.fdopen(read_fd) as said:
        text = said.read()
    os.waitpid(child, 0)
    assert text == (
        "container engine at unix:///var/run/docker.sock: permission denied\n"
        "  try: sudo usermod -aG docker $USER and log in again (members of that group have root's "
        "power over this machine), or runtime=local, which needs no engine"
    )


def test_a_missing_image_is_an_image_error_with_the_build_command(container_plan):
    plan = container_plan("pass", image="ftbench-test:no-such")
    with pytest.raises(ImageError) as raised:
        launch(plan)
    expected = (
        "image ftbench-test:no-such",
        "is not on this engine",
        "scripts/build-image --variant cpu --tag ftbench-test:no-such",
    )
    assert problem_of(raised) == expected
    (checked,) = DockerRuntime({}).check(plan)
    assert (checked.tried, checked.happened, checked.cure) == expected


def test_a_foreign_image_is_refused_before_the_launch(client, container_plan):
    tag = build(client, "ftbench-test:foreign", {"org.example": "1"})
    try:
        (problem,) = DockerRuntime({}).check(container_plan("pass", image=tag))
    finally:
        client.images.remove(tag, force=True)
    assert problem.happened == "is not an evaluation image of ftbench"


@pytest.mark.parametrize(
    ("label", "happened"),
    [
        ("org.ftbench.schema", "was made by another version of ftbench"),
        ("org.ftbench.lock", "does not hold this ftbench's cpu packages"),
        ("org.ftbench.program", "holds another version of the evaluation program"),
    ],
)
def test_a_stale_image_is_refused_before_the_launch(client, container_plan, label, happened):
    labels = client.images.get(container_plan("pass").image).labels | {label: "other"}
    tag = build(client, "ftbench-test:stale", labels)
    try:
        (problem,) = DockerRuntime({}).check(container_plan("pass", image=tag))
    finally:
        client.images.remove(tag, force=True)
    assert (problem.tried, problem.happened) == ("image ftbench-test:stale", happened)
    assert problem.cure == "scripts/build-image --variant cpu --tag ftbench-test:stale"


def test_a_gpu_without_the_nvidia_runtime_is_an_engine_error(client, container_plan):
    if "nvidia" in client.info()["Runtimes"]:
        pytest.skip("this engine has the NVIDIA runtime")
    plan = container_plan("pass", num_gpus=1)
    with pytest.raises(EngineError) as raised:
        launch(plan)
    happened = "the engine cannot give GPUs to a container: it has no NVIDIA runtime"
    cure = (
        "install nvidia-container-toolkit and restart the engine, or runtime.num_gpus=0 for the CPU"
    )
    assert problem_of(raised) == (f"starting a container of {plan.image}", happened, cure)
    # The engine leaves such a container behind in the state "created".
    assert containers_of(client, plan) == []
    problems = {p.tried: (p.happened, p.cure) for p in DockerRuntime({}).check(plan)}
    assert problems["runtime.num_gpus=1"] == (happened, cure)


def test_a_missing_folder_is_found_before_and_at_the_launch(client, container_plan, tmp_path):
    missing = tmp_path / "no-adapter"
    plan = container_plan("pass")
    plan = replace(plan, mounts=(*plan.mounts, Mount(missing, str(missing))))
    (problem,) = DockerRuntime({}).check(plan)
    assert (problem.tried, problem.happened) == (f"folder {missing}", "does not exist")
    with pytest.raises(EngineError) as raised:
        launch(plan)
    assert problem_of(raised)[1] == f"the engine's machine has no {missing}"
    assert not missing.exists()


def test_a_folder_that_would_cover_the_program_is_refused(container_plan, tmp_path):
    plan = container_plan("pass")
    plan = replace(plan, mounts=(*plan.mounts, Mount(tmp_path, "/app")))
    (problem,) = DockerRuntime({}).check(plan)
    assert problem.happened == ("would cover /app inside the container, which the program needs")


def test_an_unknown_network_is_found_before_and_at_the_launch(client, container_plan):
    plan = container_plan("pass", network="ftbench-no-such-network")
    (problem,) = DockerRuntime({}).check(plan)
    assert problem.happened == "there is no such network"
    assert problem.cure.startswith("docker network create ftbench-no-such-network, or one of: ")
    with pytest.raises(EngineError) as raised:
        launch(plan)
    assert problem_of(raised)[1:] == (
        "there is no network ftbench-no-such-network",
        "docker network create ftbench-no-such-network, or runtime.network=bridge",
    )
    assert containers_of(client, plan) == []


@pytest.mark.parametrize("memory", ["1m", "lots"])
def test_an_unusable_memory_limit_is_an_engine_error(container_plan, memory):
    with pytest.raises(EngineError) as raised:
        launch(container_plan("pass", memory=memory))
    assert problem_of(raised)[1:] == (
        "runtime.memory is no usable size",
        "a size such as runtime.memory=32g",
    )


def test_options_of_the_described_command_are_complete(container_plan):
    plan = container_plan("pass", secrets=("HF_TOKEN",), network="bridge")
    described = DockerRuntime({"HF_TOKEN": "x"}).describe(plan)
    mount = "type=bind,source=/SECRETS_FOLDER,target=/run/ftbench-secrets,readonly"
    assert mount in described
    assert described[-1] == plan.image
