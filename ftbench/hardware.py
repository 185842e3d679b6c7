"""What a machine is made of: processor, memory, GPUs, driver.

Standard library only: the evaluation program asks where it runs, the host what it would run on.
Starts no CUDA context: the copies of a model are processes of their own, and must be the first.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

_QUERY = "name,driver_version,memory.total,compute_cap"


def machine_facts(num_gpus: int, environ: Mapping[str, str]) -> dict[str, str]:
    """Facts by name, as text; what cannot be found out is left out.

    Args:
        num_gpus: GPUs of this evaluation; 0: none is asked about.
        environ: CUDA_VISIBLE_DEVICES says which.
    """
    facts = {
        "machine": platform.machine(),
        "kernel": platform.release(),
        "cpu": cpu_model(_read("/proc/cpuinfo")) or platform.processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "threads": environ.get("OMP_NUM_THREADS", ""),
        "memory_gib": memory_gib(_read("/proc/meminfo"), _read("/sys/fs/cgroup/memory.max")),
    }
    if num_gpus:
        facts |= gpu_facts(environ)
    return {name: value for name, value in facts.items() if value}


def cpu_model(cpuinfo: str) -> str:
    """The processor's name; empty where the kernel gives none, as on many ARM machines."""
    found = re.search(r"^(?:model name|Model|cpu model)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def memory_gib(meminfo: str, cgroup_limit: str) -> str:
    """Memory in GiB, one decimal: the machine's, or the container's own limit where it has one."""
    found = re.search(r"^MemTotal:\s*(\d+) kB", meminfo, re.MULTILINE)
    sizes = [int(found[1]) * 1024] if found else []
    sizes += [int(cgroup_limit)] if cgroup_limit.strip().isdigit() else []
    return f"{min(sizes) / 2**30:.1f}" if sizes else ""


def gpu_facts(environ: Mapping[str, str]) -> dict[str, str]:
    """The GPUs that the program may use, by nvidia-smi; empty where it does not answer."""
    command = shutil.which("nvidia-smi", path=environ.get("PATH"))
    if command is None:
        return {}
    asked = [command, f"--query-gpu={_QUERY}", "--format=csv,noheader"]
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    # A slice of a GPU has a name that nvidia-smi does not take here: then all that it shows.
    for chosen in ([["-i", visible]] if visible else []) + [[]]:
        try:
            done = subprocess.run(
                [*asked, *chosen],
                # Of this process's own variables some are secrets while the model loads.
                env={"PATH": environ.get("PATH", os.defpath), "LANG": "C"},
                capture_output=True,
                text=True,
                check=False,
                timeout=30,
            )
        except (OSError, subprocess.TimeoutExpired):
            return {}
        if done.returncode == 0:
            return read_gpus(done.stdout)
    return {}


def read_gpus(listed: str) -> dict[str, str]:
    """Facts from nvidia-smi's lines, a GPU each, with the columns that are asked for."""
    rows = [[cell.strip() for cell in line.split(",")] for line in listed.splitlines() if line]
    rows = [row for row in rows if len(row) == len(_QUERY.split(","))]
    if not rows:
        return {}
    names, drivers, memory, capabilities = zip(*rows, strict=True)
    return {
        "gpus": ", ".join(names),
        "driver": drivers[0],
        "gpu_memory": ", ".join(memory),
        "compute_capability": ", ".join(dict.fromkeys(capabilities)),
    }


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
