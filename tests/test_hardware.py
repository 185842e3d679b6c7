"""What is said of the machine that an evaluation runs on."""

from __future__ import annotations

import os
from pathlib import Path

from ftbench.hardware import cpu_model, gpu_facts, machine_facts, memory_gib, read_gpus

CPUINFO = "processor\t: 0\nmodel name\t: AMD  EPYC 7B13\nflags\t: avx2\nmodel name\t: other\n"

MEMINFO = "MemTotal:       16384000 kB\nMemFree:  1 kB\n"


def test_cpu_is_named_as_the_kernel_names_it() -> None:
    assert cpu_model(CPUINFO) == "AMD EPYC 7B13"
    assert cpu_model("processor : 0\n") == ""


def test_memory_is_the_containers_where_it_has_a_limit() -> None:
    assert memory_gib(MEMINFO, "max\n") == "15.6"
    assert memory_gib(MEMINFO, f"{4 << 30}\n") == "4.0"
    assert memory_gib("", "") == ""


def test_hardware_of_this_machine_has_no_gpu_where_none_is_asked_for() -> None:
    facts = machine_facts(0, {"OMP_NUM_THREADS": "3"})
    assert facts["cores"] == str(len(os.sched_getaffinity(0)))
    assert facts["threads"] == "3"
    assert float(facts["memory_gib"]) > 0
    assert "gpus" not in facts
    assert all(facts.values())


# Written by hand, in the form that nvidia-smi documents for the columns that are asked for.
GPUS = """\
NVIDIA H100 80GB HBM3, 550.54.15, 81559 MiB, 9.0
NVIDIA H100 80GB HBM3, 550.54.15, 81559 MiB, 9.0
"""


def test_gpus_are_named_with_driver_and_memory() -> None:
    assert read_gpus(GPUS) == {
        "gpus": "NVIDIA H100 80GB HBM3, NVIDIA H100 80GB HBM3",
        "driver": "550.54.15",
        "gpu_memory": "81559 MiB, 81559 MiB",
        "compute_capability": "9.0",
    }
    assert read_gpus("No devices were found\n") == {}


def smi(folder: Path, script: str) -> dict[str, str]:
    command = folder / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_only_the_gpus_of_the_evaluation_are_asked_for(tmp_path: Path) -> None:
    script = 'test "$3 $4" = "-i 1,2" && echo "A100, 1, 2 MiB, 8.0"'
    environ = smi(tmp_path, script)
    assert gpu_facts({**environ, "CUDA_VISIBLE_DEVICES": "1,2"})["gpus"] == "A100"
    assert gpu_facts({**environ, "CUDA_VISIBLE_DEVICES": "3"}) == {}


def test_gpus_are_asked_without_secrets(tmp_path: Path) -> None:
    environ = smi(tmp_path, f"env > {tmp_path}/seen; echo 'A100, 1, 2 MiB, 8.0'")
    gpu_facts({**environ, "HF_TOKEN": "hf_secret"})
    assert "hf_secret" not in (tmp_path / "seen").read_text()


def test_no_nvidia_smi_is_no_gpu(tmp_path: Path) -> None:
    assert gpu_facts({"PATH": str(tmp_path)}) == {}
    assert gpu_facts(smi(tmp_path, "exit 9")) == {}
