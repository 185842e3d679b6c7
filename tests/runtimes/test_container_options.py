"""What a plan means to an engine, and that both ways of saying it say the same."""

import argparse
import csv
import os
import socket
import subprocess
from pathlib import Path

import pytest

from ftbench.plan import Mount
from ftbench.process import start_time
from ftbench.runtimes.container_options import (
    Engine,
    container_name,
    container_options,
    create_arguments,
    hiding_mounts,
    owner_is_alive,
    owner_label,
    run_command,
)
from tests.builders import FINGERPRINT, make_plan

WORKSPACE = Path("/work space/a,b;'c'")
RUN = WORKSPACE / "benchmark_results" / "20261124_120000"
MOUNTS = (
    Mount(Path('/models/7b, "final"'), '/models/7b, "final"'),
    Mount(RUN, str(RUN), read_only=False),
)
GPU = "GPU-9c73eb7b-8d6d-6c0e-dc13-97873e2ede40"

CASES = {
    "cpu": {},
    "GPUs by count": {"plan": {"num_gpus": 2}},
    "one GPU by name": {"plan": {"num_gpus": 1}, "gpus": [GPU]},
    "GPUs by name": {"plan": {"num_gpus": 2}, "gpus": [GPU, "1"]},
    "secrets": {"secrets_folder": Path("/tmp/ftbench-secrets-x")},
    "rootless": {"engine": Engine(rootless=True)},
    "remapped users": {"engine": Engine(remaps_users=True)},
    "SELinux": {"engine": Engine(selinux=True)},
    "network": {"plan": {"network": "bridge"}},
    "memory": {"plan": {"memory": "32g"}},
    "value with = and spaces": {"plan": {"environment": {"CUSTOM_PROMPT": 'a=b "c", d'}}},
    "everything": {
        "plan": {"num_gpus": 2, "network": "lab", "memory": "1g"},
        "gpus": ["0", "1"],
        "secrets_folder": Path("/tmp/s, s"),
        "engine": Engine(rootless=True, remaps_users=True, selinux=True),
    },
}


def options(plan=None, engine=None, secrets_folder=None, gpus=(), name="ftbench-x"):
    made = make_plan(WORKSPACE, **({"mounts": MOUNTS, "environment": {"A": "1"}} | (plan or {})))
    return container_options(made, engine or Engine(), secrets_folder, gpus, name)


def read_command(argv: list[str]) -> dict[str, object]:
    """Reads a ``docker run`` command as docker does, in the words of the library."""
    assert argv[:2] == ["docker", "run"]
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for flag in ("--rm", "--init", "--read-only"):
        parser.add_argument(flag, action="store_true")
    for option in ("--security-opt", "--cap-drop", "--log-opt", "--mount", "--label", "--env"):
        parser.add_argument(option, action="append", default=[])
    for option in (
        "--name --user --network --userns --shm-size --tmpfs --log-driver --memory --memory-swap "
        "--gpus"
    ).split():
        parser.add_argument(option)
    for option in ("--pids-limit", "--stop-timeout"):
        parser.add_argument(option, type=int)
    parser.add_argument("image")
    given = vars(parser.parse_args(argv[2:]))
    said = {
        "name": given["name"],
        "environment": dict(pair.split("=", 1) for pair in given["env"]),
        "labels": dict(pair.split("=", 1) for pair in given["label"]),
        "mounts": [read_mount(text) for text in given["mount"]],
        "user": given["user"],
        "network_mode": given["network"],
        "read_only": given["read_only"],
        "init": given["init"],
        "cap_drop": given["cap_drop"],
        "security_opt": given["security_opt"],
        "pids_limit": given["pids_limit"],
        "shm_size": given["shm_size"],
        "tmpfs": dict([given["tmpfs"].split(":", 1)]),
        "log_config": (given["log_driver"], dict(o.split("=") for o in given["log_opt"])),
        "mem_limit": given["memory"],
        "memswap_limit": given["memory_swap"],
        "userns_mode": given["userns"],
        "device_requests": [read_gpus(given["gpus"])] if given["gpus"] else None,
    }
    return {key: value for key, value in said.items() if value is not None}


def read_mount(text: str) -> tuple[str, str, str, bool]:
    (fields,) = csv.reader([text])
    pairs = dict(field.partition("=")[::2] for field in fields)
    assert set(pairs) <= {"type", "source", "target", "readonly"}
    return pairs["type"], pairs["source"], pairs["target"], "readonly" in pairs


def read_gpus(text: str) -> tuple[int, list[str]]:
    (fields,) = csv.reader([text])
    (field,) = fields
    key, _, value = field.rpartition("=")
    return (0, value.split(",")) if key == "device" else (int(value), [])


def read_arguments(arguments: dict[str, object]) -> dict[str, object]:
    """The library's keyword arguments, its objects taken apart."""
    said = dict(arguments)
    said["mounts"] = [(m["Type"], m["Source"], m["Target"], m["ReadOnly"]) for m in said["mounts"]]
    said["log_config"] = (said["log_config"]["Type"], said["log_config"]["Config"])
    if "device_requests" in said:
        (request,) = said["device_requests"]
        assert request["Capabilities"] == [["gpu"]]
        said["device_requests"] = [(request["Count"], request["DeviceIDs"])]
    # The docker command has no such option.
    del said["use_config_proxy"]
    return said


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_run_command_says_the_same_as_create_arguments(case):
    made = options(**case)
    assert read_command(run_command(made)) == read_arguments(create_arguments(made))


def test_run_command_removes_the_container_and_ends_with_the_image():
    command = run_command(options(plan={"image": "an/image:1", "stop_grace_s": 7}))
    assert command[:3] == ["docker", "run", "--rm"]
    assert command[command.index("--stop-timeout") + 1] == "7"
    assert command[-1] == "an/image:1"


def test_a_container_has_no_way_out_by_default():
    said = read_arguments(create_arguments(options()))
    isolation = ("read_only", "cap_drop", "security_opt", "network_mode", "user", "init", "tmpfs")
    assert {key: said[key] for key in isolation} == {
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "network_mode": "none",
        "user": "1000:1000",
        "init": True,
        "tmpfs": {"/tmp": "rw,exec,nosuid,nodev,size=64m,mode=1777"},
    }
    assert not {"privileged", "devices", "cap_add", "mem_limit", "userns_mode"} & set(said)


@pytest.mark.parametrize(
    ("case", "changed"),
    [
        ("rootless", {"user": "0:0"}),
        ("remapped users", {"userns_mode": "host"}),
        ("SELinux", {"security_opt": ["no-new-privileges:true", "label=disable"]}),
        ("network", {"network_mode": "bridge"}),
        ("memory", {"mem_limit": "32g", "memswap_limit": "32g"}),
        ("GPUs by count", {"device_requests": [(2, [])], "environment": {"A": "1"}}),
        ("one GPU by name", {"device_requests": [(0, [GPU])], "environment": {"A": "1"}}),
        ("GPUs by name", {"device_requests": [(0, [GPU, "1"])], "environment": {"A": "1"}}),
    ],
)
def test_create_arguments_change_only_what_the_case_asks_for(case, changed):
    usual = read_arguments(create_arguments(options()))
    assert read_arguments(create_arguments(options(**CASES[case]))) == usual | changed


def test_a_run_on_the_cpu_is_shown_no_gpu():
    assert options().environment == {"A": "1", "NVIDIA_VISIBLE_DEVICES": "void"}


def test_secrets_are_a_read_only_folder_that_a_variable_names():
    made = options(secrets_folder=Path("/tmp/s"))
    assert made.mounts == (*MOUNTS, Mount(Path("/tmp/s"), "/run/ftbench-secrets", read_only=True))
    assert made.environment["SECRETS_PATH"] == "/run/ftbench-secrets"
    assert "SECRETS_PATH" not in options().environment


def test_container_options_leave_the_plan_as_it_was():
    plan = make_plan(WORKSPACE, environment={"A": "1"})
    container_options(plan, Engine(), Path("/tmp/s"))
    assert (plan.environment, plan.mounts) == ({"A": "1"}, ())


@pytest.mark.parametrize(("network", "passed_on"), [(None, False), ("bridge", True)])
def test_the_users_proxy_settings_go_only_where_a_network_is(network, passed_on):
    arguments = create_arguments(options(plan={"network": network}))
    assert arguments["use_config_proxy"] is passed_on


def test_labels_say_which_run_it_is_and_whose():
    stat = Path(f"/proc/{os.getpid()}/stat").read_text().rpartition(")")[2].split()
    assert options().labels == {
        "org.ftbench.run": "20261124_120000",
        "org.ftbench.workspace": str(WORKSPACE),
        "org.ftbench.fingerprint": FINGERPRINT,
        "org.ftbench.owner": f"{socket.gethostname()}:{os.getpid()}:{stat[19]}",
    }


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        (None, Engine()),
        (["name=seccomp,profile=default"], Engine()),
        (["name=seccomp,profile=default", "name=rootless"], Engine(rootless=True)),
        (["name=userns"], Engine(remaps_users=True)),
        (["name=selinux", "name=cgroupns"], Engine(selinux=True)),
    ],
)
def test_engine_reads_its_nature_from_docker_info(security, expected):
    assert Engine.from_info({"SecurityOptions": security}) == expected


def test_container_name_has_only_characters_that_engines_take():
    plan = make_plan(WORKSPACE, model_abbr="Qwen2 1.5b/ft:é_ab12")
    assert container_name(plan, "run") == "ftbench-Qwen2-1.5b-ft-_ab12-run"
    assert container_options(plan, Engine(), None).name == "ftbench-Qwen2-1.5b-ft-_ab12-run"


@pytest.mark.parametrize(
    ("target", "hides"),
    [
        ("/app", True),
        ("/app/", True),
        ("/opt", True),
        ("/opt/ftbench", True),
        ("/", True),
        ("/usr", True),
        ("/tmp", True),
        ("/proc/1", True),
        ("/dev/shm/models", True),
        ("/app/models", False),
        ("/apps", False),
        ("/usr/share/models", False),
        ("/tmp/models", False),
        ("/opt/models", False),
        ("/home/me/models", False),
    ],
)
def test_hiding_mounts_are_those_that_cover_what_the_program_needs(target, hides):
    mount = Mount(Path("/anywhere"), target)
    assert hiding_mounts([mount]) == ([mount] if hides else [])


def test_owner_is_alive_knows_this_process():
    assert owner_is_alive(owner_label())


def test_owner_is_alive_is_false_once_the_process_has_ended():
    with subprocess.Popen(["sleep", "60"]) as process:
        label = f"{socket.gethostname()}:{process.pid}:{start_time(process.pid)}"
        assert owner_is_alive(label)
        process.kill()
    assert not owner_is_alive(label)


def test_owner_is_alive_is_false_for_another_process_of_the_same_number():
    assert not owner_is_alive(f"{socket.gethostname()}:{os.getpid()}:1")


def test_owner_is_alive_cannot_be_denied_for_another_machine():
    assert owner_is_alive("elsewhere:1:1")


@pytest.mark.parametrize("label", ["", "nonsense", "host:pid:1"])
def test_owner_is_alive_is_false_for_a_label_of_somebody_else(label):
    assert not owner_is_alive(label)
