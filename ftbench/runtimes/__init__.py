"""The places where the evaluation program can run: siblings of one shape."""

from __future__ import annotations

from ftbench.host import Host
from ftbench.plan import Plan
from ftbench.runtimes.base import Runtime


def make_runtime(plan: Plan, host: Host) -> Runtime:
    """Makes the runtime that a plan names; imports no engine before it is needed."""
    secrets = {name: host.secrets[name] for name in plan.secrets}
    if plan.runtime == "docker":
        from ftbench.runtimes.docker import DockerRuntime

        return DockerRuntime(secrets)
    from ftbench.runtimes.local import LocalRuntime

    return LocalRuntime(secrets, host.cache_dir)
