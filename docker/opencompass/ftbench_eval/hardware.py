"""What the program runs on, as seen from inside: the machine, and what torch makes of it."""

from __future__ import annotations

from collections.abc import Mapping

from ftbench.hardware import machine_facts


def hardware(num_gpus: int, environ: Mapping[str, str]) -> dict[str, str]:
    """Facts by name, as text; what cannot be found out is left out.

    Args:
        num_gpus: GPUs of this evaluation; 0: none is asked about.
        environ: CUDA_VISIBLE_DEVICES says which.
    """
    facts = machine_facts(num_gpus, environ) | {"cpu_isa": cpu_isa()} | cuda_versions()
    return {name: value for name, value in facts.items() if value}


def cpu_isa() -> str:
    """The instruction set that torch's kernels use, which decides their rounding."""
    try:
        import torch

        return str(torch.backends.cpu.get_cpu_capability())
    except (ImportError, AttributeError):
        return ""


def cuda_versions() -> dict[str, str]:
    """What torch was built with; nothing for a CPU build."""
    try:
        import torch

        cuda = torch.version.cuda
        if not cuda:
            return {}
        return {"cuda": str(cuda), "cudnn": str(torch.backends.cudnn.version() or "")}
    except (ImportError, AttributeError):
        return {}
