"""A stand-in image, small and quick to start, for tests of the engine's side of a launch.

Its program runs the Python code in the variable STAND_IN; everything around it (labels, user,
entry point) is as in the evaluation image. The base is any image with python3.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ftbench.image import expected_labels
from ftbench.plan import Mount, Plan
from tests.builders import make_plan

BASE = os.environ.get("FTBENCH_BASE_IMAGE", "ftbench-base:bookworm")

USER = "1234:1234" if os.getuid() == 0 else f"{os.getuid()}:{os.getgid()}"
"""Who the program runs as: someone else than root, who could write anywhere."""

DOCKERFILE = """
FROM {base}
RUN mkdir -m 1777 /workspace
COPY eval_entrypoint.py /app/
LABEL {labels}
WORKDIR /workspace
USER 65534:65534
ENTRYPOINT ["python3", "-u", "/app/eval_entrypoint.py"]
"""

ENTRYPOINT = "import os\nexec(os.environ['STAND_IN'])\n"


@pytest.fixture(scope="session")
def client() -> Iterator[Any]:
    import docker

    client = docker.from_env()
    yield client
    client.close()


def build(client: Any, tag: str, labels: dict[str, str]) -> str:
    """Builds a stand-in image with the given labels."""
    text = " ".join(f"{key}={json.dumps(value)}" for key, value in labels.items())
    files = {
        "Dockerfile": DOCKERFILE.format(base=BASE, labels=text),
        "eval_entrypoint.py": ENTRYPOINT,
    }
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o644
            tar.addfile(member, io.BytesIO(content.encode()))
    context.seek(0)
    client.images.build(fileobj=context, custom_context=True, tag=tag, rm=True, forcerm=True)
    return tag


@pytest.fixture(scope="session")
def stand_in(client: Any) -> Iterator[str]:
    """Name of a stand-in image that passes for this ftbench's CPU image."""
    tag = build(client, "ftbench-test:stand-in", expected_labels("cpu"))
    yield tag
    client.images.remove(tag, force=True)


@pytest.fixture
def container_plan(tmp_path: Path, stand_in: str) -> Callable[..., Plan]:
    """Makes plans whose program is the given Python code."""

    def make(code: str, **other: Any) -> Plan:
        plan = make_plan(tmp_path / "workspace", runtime="docker", image=stand_in, user=USER)
        plan.run_dir.mkdir(parents=True, exist_ok=True)
        uid, gid = map(int, USER.split(":"))
        os.chown(plan.run_dir, uid, gid)
        settings: dict[str, Any] = {
            "environment": {"STAND_IN": code, "OUTPUT_PATH": str(plan.run_dir)},
            "mounts": (Mount(plan.run_dir, str(plan.run_dir), read_only=False),),
            "timeout_s": 60,
            "stop_grace_s": 5,
            "memory": "256m",
        }
        return make_plan(
            tmp_path / "workspace",
            **(settings | {"runtime": "docker", "image": stand_in, "user": USER} | other),
        )

    return make
