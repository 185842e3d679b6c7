"""Which GPUs a run gets. nvidia-smi is a script that prints what the real one does."""

from pathlib import Path

import pytest

from ftbench.errors import LaunchError
from ftbench.runtimes.gpus import (
    Gpu,
    choose_gpus,
    gpu_identity,
    gpu_problems,
    lent_gpus,
    lent_plan,
    list_gpus,
    shortage,
    uuids_of,
)
from tests.builders import make_plan

A, B = "GPU-9c73eb7b-8d6d-6c0e-dc13-97873e2ede40", "GPU-c92e2d5d-4a69-f1cd-4df0-305f8606705a"
SLICE_A = "MIG-a686709d-6dc2-542a-8851-0d2508448c10"
SLICE_B = "MIG-d5a46a2e-1d77-575d-99e3-1f96c8555a2e"

TWO = f"""\
GPU 0: NVIDIA A100-SXM4-80GB (UUID: {A})
GPU 1: NVIDIA A100-SXM4-80GB (UUID: {B})
"""

# The form of drivers since R470.
SLICED = f"""\
GPU 0: NVIDIA A100-SXM4-80GB (UUID: {A})
  MIG 1g.10gb     Device  0: (UUID: {SLICE_A})
GPU 1: NVIDIA A100-SXM4-80GB (UUID: {B})
  MIG 1g.10gb     Device  0: (UUID: {SLICE_B})
"""


@pytest.fixture
def machine(tmp_path):
    """Makes the environment of a machine whose nvidia-smi prints a text."""

    def make(text, exit_code=0, **environ):
        script = tmp_path / "nvidia-smi"
        script.write_text(f'#!/bin/sh\n[ "$*" = -L ] || exit 9\ncat <<X\n{text}X\nexit {exit_code}')
        script.chmod(0o755)
        return {"PATH": f"{tmp_path}:/usr/bin:/bin", **environ}

    return make


def test_list_gpus_reads_index_and_uuid(machine):
    assert list_gpus(machine(TWO)) == [Gpu("0", A), Gpu("1", B)]


def test_list_gpus_reads_slices_which_have_no_index(machine):
    expected = [Gpu("0", A), Gpu("", SLICE_A), Gpu("1", B), Gpu("", SLICE_B)]
    assert list_gpus(machine(SLICED)) == expected


def test_list_gpus_is_empty_without_the_command(tmp_path):
    assert list_gpus({"PATH": str(tmp_path)}) == []


def test_list_gpus_is_empty_when_the_driver_does_not_answer(machine):
    said = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n"
    assert list_gpus(machine(said, exit_code=9)) == []


def test_list_gpus_is_empty_when_the_command_does_not_run(tmp_path):
    (tmp_path / "nvidia-smi").write_text("#!/no/such/interpreter\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert list_gpus({"PATH": str(tmp_path)}) == []


@pytest.mark.parametrize(
    ("name", "called"),
    [("0", True), (A, True), ("GPU-9c73", True), ("1", False), ("", False), ("73eb7b", False)],
)
def test_a_gpu_is_called_by_index_uuid_or_the_uuids_beginning(name, called):
    assert Gpu("0", A).is_called(name) is called


def test_a_slice_is_not_called_by_an_empty_name():
    assert not Gpu("", SLICE_A).is_called("")


@pytest.mark.parametrize(
    ("value", "lent"),
    [(None, None), ("", []), ("3", ["3"]), ("0, 2", ["0", "2"]), (f"{A},{B}", [A, B])],
)
def test_lent_gpus_are_those_of_cuda_visible_devices(value, lent):
    assert lent_gpus({} if value is None else {"CUDA_VISIBLE_DEVICES": value}) == lent


@pytest.mark.parametrize(
    ("num_gpus", "gpu_ids", "lent", "chosen"),
    [
        (1, (), None, ["0"]),
        (2, (), None, ["0", "1"]),
        (0, (), None, []),
        # More than there are: the caller sees how many are missing.
        (3, (), None, ["0", "1"]),
        (1, ("1",), None, ["1"]),
        (2, ("1", "0"), None, ["1", "0"]),
        (1, ("7",), None, []),
        # A batch system lends one, and never another is taken.
        (1, (), "1", ["1"]),
        (2, (), "1", ["1"]),
        (1, (), B, [B]),
        (1, (), "", []),
        (1, (), "NoDevFiles", []),
        # What the user names comes first.
        (1, ("0",), "1", ["0"]),
    ],
)
def test_choose_gpus(machine, num_gpus, gpu_ids, lent, chosen):
    environ = machine(TWO) if lent is None else machine(TWO, CUDA_VISIBLE_DEVICES=lent)
    assert choose_gpus(num_gpus, gpu_ids, environ) == chosen


@pytest.mark.parametrize(
    ("gpu_ids", "lent"), [((SLICE_B,), "0"), ((), SLICE_B)], ids=["named", "lent"]
)
def test_choose_gpus_takes_a_slice(machine, gpu_ids, lent):
    environ = machine(SLICED, CUDA_VISIBLE_DEVICES=lent)
    assert choose_gpus(1, gpu_ids, environ) == [SLICE_B]


def test_uuids_of_replaces_indices_and_keeps_what_it_does_not_know(machine):
    assert uuids_of(["1", "GPU-9c73", SLICE_A, "7"], machine(SLICED)) == [B, A, SLICE_A, "7"]


def test_uuids_of_keeps_names_where_no_gpu_is_seen(tmp_path):
    assert uuids_of(["0"], {"PATH": str(tmp_path)}) == ["0"]


@pytest.mark.parametrize(
    ("gpu_ids", "found", "said"),
    [
        (("0", "7"), ["0"], "of these GPUs, this machine shows 0"),
        (("7",), [], "of these GPUs, this machine shows none"),
        ((), ["0", "1"], "this machine shows only 0, 1"),
        ((), [], "this machine shows no GPU"),
    ],
)
def test_shortage_says_what_there_is(gpu_ids, found, said):
    assert shortage(gpu_ids, found) == said


def plan_for(num_gpus, **other):
    return make_plan(Path("/w"), num_gpus=num_gpus, **other)


@pytest.fixture
def locks(tmp_path):
    return {"FTBENCH_GPU_LOCKS": str(tmp_path / "locks")}


@pytest.mark.parametrize(
    ("plan", "lent", "held"),
    [
        (plan_for(1), None, ("0",)),
        (plan_for(2), None, ("0", "1")),
        (plan_for(0), None, ()),
        (plan_for(1, gpu_pool=("1", "0")), None, ("1",)),
        (plan_for(1, gpu_ids=("1",)), None, ("1",)),
        (plan_for(1, gpu_ids=(B,)), None, (B,)),
        # A batch system lends one, and never another is taken; the pool of the user comes first.
        (plan_for(1), "1", ("1",)),
        (plan_for(1, gpu_pool=("0",)), "1", ("0",)),
    ],
)
def test_a_launch_holds_the_gpus_of_its_plan(machine, locks, plan, lent, held):
    environ = machine(TWO, **locks) | ({} if lent is None else {"CUDA_VISIBLE_DEVICES": lent})
    with lent_plan(plan, environ, print) as (launched, lease):
        assert launched.gpu_ids == held
        assert launched.fingerprint == plan.fingerprint
        assert len(lease.handles) == (len(held) and len(held) + 1)


def test_the_second_launch_takes_the_gpu_that_is_free_by_whatever_name(machine, locks):
    environ = machine(TWO, **locks)
    with lent_plan(plan_for(1, gpu_pool=(A[:8],)), environ, print) as (first, _):
        assert first.gpu_ids == (A[:8],)
        with lent_plan(plan_for(1), environ, print) as (second, _):
            assert second.gpu_ids == ("1",)


def test_gpus_of_an_engine_elsewhere_are_counted(tmp_path, locks):
    environ = {"PATH": str(tmp_path), **locks}
    with lent_plan(plan_for(2), environ, print) as (launched, _):
        assert launched.gpu_ids == ("0", "1")
    with lent_plan(plan_for(1, gpu_pool=("2", "3")), environ, print) as (launched, _):
        assert launched.gpu_ids == ("2",)


def test_a_launch_with_too_few_gpus_is_refused(machine, locks):
    with (
        pytest.raises(LaunchError, match="2 are needed, and there are 1"),
        lent_plan(plan_for(2), machine(TWO, CUDA_VISIBLE_DEVICES="1", **locks), print),
    ):
        pass


def test_gpu_identity_names_what_was_held():
    assert gpu_identity(plan_for(2, gpu_ids=("0", "1"))) == {"gpus": "0,1"}
    assert gpu_identity(plan_for(0)) == {}


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (plan_for(2), []),
        (plan_for(3), ["runtime.num_gpus=3: this machine shows only 0, 1\n  try: look"]),
        (
            plan_for(1, gpu_ids=("7",)),
            ["runtime.gpu_ids=7: of these GPUs, this machine shows none\n  try: look"],
        ),
        (
            plan_for(2, gpu_pool=("0", "7")),
            ["runtime.gpu_pool=0,7: of these GPUs, this machine shows 0\n  try: look"],
        ),
    ],
)
def test_gpu_problems_say_what_is_missing(machine, plan, said):
    assert [str(problem) for problem in gpu_problems(plan, machine(TWO), "look")] == said
