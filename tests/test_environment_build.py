"""How the local runtime's environment is built, and why a build failed.

uv and Python are scripts that write down what they are asked, and fail as the test says.
"""

import os
import threading
from pathlib import Path

import pytest
import uv

from ftbench import environment
from ftbench.environment import ensure_environment, environment_folder, is_built
from ftbench.errors import Problem, RuntimeEnvironmentError
from ftbench.program import lock_file, lock_hash, torch_file
from tests.fake_uv import SCRIPT, python_of_version, script

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
TRIED = "building the local evaluation environment"
READ_LOG = "read the log; check the network and pip's settings, then run again"
GIVE_TORCH = f"make a CPU build of torch available to pip (PIP_FIND_LINKS), or reach {CPU_INDEX}"
LARGER_DISK = "free some gigabytes, or set FTBENCH_CACHE to a folder on a larger disk"

# Printed by uv 0.13.9.
NO_SOLUTION = """\
Using Python 3.11.7 environment at: ev
error: No solution found when resolving dependencies
  cause: Because there is no version of torch==2.13.0+cpu and you require torch==2.13.0+cpu, we \
can conclude that your requirements are unsatisfiable.
"""
NO_SOLUTION_CAUSE = NO_SOLUTION.splitlines()[-1].removeprefix("  cause: ")
NO_INDEX = f"""\
error: Request failed after 3 retries in 9.1s
  cause: Failed to fetch: {CPU_INDEX}/torch/
  cause: client error (Connect)
  cause: dns error
  cause: failed to lookup address information: Name or service not known
"""
HASH_MISMATCH = """\
Resolved 1 package in 95ms
error: Failed to download `six==1.16.0`
  cause: Hash mismatch for `six==1.16.0`

         Expected:
           sha256:0000000000000000000000000000000000000000000000000000000000000000
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """The fakes' folder, with a uv that ftbench finds and a Python 3.11 of its own."""
    folder = tmp_path / "fake"
    tool = script(folder / "uv", SCRIPT)
    python_of_version(folder / "python3.11", "3.11.7")
    monkeypatch.setattr(uv, "find_uv_bin", lambda: str(tool))
    return folder


@pytest.fixture
def build(fake, tmp_path):
    """Gives the environment of a variant, and the lines that were shown."""

    def run(variant="cpu", **environ):
        lines: list[str] = []
        env = {"PATH": os.environ["PATH"], "FAKE": str(fake), "PIP_CONFIG_FILE": os.devnull}
        python = str(fake / "python3.11")
        made = ensure_environment(variant, python, tmp_path / "cache", env | environ, lines.append)
        return made, lines

    return run


def calls(fake):
    path = fake / "calls"
    return path.read_text().splitlines() if path.exists() else []


def commands(fake, folder, variant="cpu", *torch_options):
    """What a build asks for, in order."""
    install = f"uv pip install --python {folder}/bin/python"
    torch = [f"{install} -r {torch_file(variant)}{options}" for options in torch_options]
    return [
        f"uv venv --python {fake}/python3.11 --no-python-downloads {folder}",
        *torch,
        f"{install} --no-deps --require-hashes -r {lock_file(variant)}",
        f"python -c {environment._IMPORTS}",
    ]


@pytest.mark.parametrize(("variant", "options"), [("cpu", " --no-deps"), ("cuda", "")])
def test_ensure_environment_builds_it_in_four_steps(build, fake, tmp_path, variant, options):
    folder = environment_folder(variant, "3.11.7", tmp_path / "cache")
    made, lines = build(variant)
    assert calls(fake) == commands(fake, folder, variant, options)
    assert made.python == folder / "bin" / "python"
    assert made.identity == {
        "environment": folder.name,
        "variant": variant,
        "python": "3.11.7",
        "lock": lock_hash(variant),
    }
    torch = {"cpu": "torch, CPU build", "cuda": "torch with CUDA"}[variant]
    steps = ["its folder", torch, "OpenCompass and what it needs", "a first import"]
    assert lines == [
        f"building the evaluation environment, once: {folder} (log: {folder}.log)",
        *(f"building the evaluation environment: {step}" for step in steps),
    ]


def test_ensure_environment_tries_the_official_index_of_torch_last(build, fake, tmp_path):
    folder = environment_folder("cpu", "3.11.7", tmp_path / "cache")
    (fake / "fails-2").write_text(NO_SOLUTION)
    build()
    second = f" --no-deps --index {CPU_INDEX}"
    assert calls(fake) == commands(fake, folder, "cpu", " --no-deps", second)


def test_ensure_environment_installs_from_where_pip_does(build, fake, tmp_path):
    build(PIP_INDEX_URL="https://mirror.example/simple", PYTHONPATH="/elsewhere")
    given = (fake / "environment").read_text().splitlines()
    assert "UV_DEFAULT_INDEX=https://mirror.example/simple" in given
    # The last call is the environment's own Python, which must not see other packages.
    assert not any(line.startswith("PYTHON") for line in given)
    # Away from any project, whose settings uv would take.
    assert f"PWD={tmp_path}/cache/environments" in given


def test_ensure_environment_builds_once(build, fake):
    first, _ = build()
    (fake / "calls").unlink()
    again, lines = build()
    assert (again, lines, calls(fake)) == (first, [], [])


@pytest.mark.parametrize("lost", ["ftbench-environment.json", "bin/python"])
def test_ensure_environment_builds_a_half_built_one_from_scratch(build, fake, tmp_path, lost):
    folder = environment_folder("cpu", "3.11.7", tmp_path / "cache")
    build()
    (folder / lost).unlink()
    (folder / "left over").touch()
    (fake / "calls").unlink()
    build()
    assert len(calls(fake)) == 4
    assert is_built(folder)
    assert not (folder / "left over").exists()


def test_ensure_environment_of_two_at_once_is_built_once(build, fake, tmp_path):
    folder = environment_folder("cpu", "3.11.7", tmp_path / "cache")
    start, made = threading.Barrier(2), []

    def make() -> None:
        start.wait()
        made.append(build(FAKE_SECONDS="0.5"))

    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (one, _), (two, _) = made
    assert one == two
    assert len(calls(fake)) == 4
    waiting = f"waiting for another ftbench that builds {folder}"
    assert sorted(len(lines) for _, lines in made) == [1, 5]
    assert [waiting] in [lines for _, lines in made]


# Why it cannot be built.


@pytest.mark.parametrize(
    ("variant", "fails", "happened", "cure"),
    [
        (
            "cpu",
            {1: "error: No interpreter found at path `/x`\n"},
            "its folder: No interpreter found at path `/x`",
            READ_LOG,
        ),
        (
            "cpu",
            {2: NO_SOLUTION, 3: NO_SOLUTION},
            f"torch, CPU build: {NO_SOLUTION_CAUSE}",
            GIVE_TORCH,
        ),
        (
            "cpu",
            {2: NO_SOLUTION, 3: NO_INDEX},
            "torch, CPU build: failed to lookup address information: Name or service not known",
            GIVE_TORCH,
        ),
        # Of the last attempt alone.
        (
            "cpu",
            {2: NO_SOLUTION, 3: "Segmentation fault\n"},
            "torch, CPU build: Segmentation fault",
            READ_LOG,
        ),
        (
            "cpu",
            {2: "", 3: "  × No solution found when resolving dependencies:\n  ╰─▶ Because of x\n"},
            "torch, CPU build: Because of x",
            GIVE_TORCH,
        ),
        ("cuda", {2: NO_SOLUTION}, f"torch with CUDA: {NO_SOLUTION_CAUSE}", READ_LOG),
        (
            "cpu",
            {3: HASH_MISMATCH},
            "OpenCompass and what it needs: Hash mismatch for `six==1.16.0`",
            READ_LOG,
        ),
        (
            "cpu",
            # As earlier versions of uv write it.
            {3: "error: Failed to install\n  Caused by: No space left on device (os error 28)\n"},
            "OpenCompass and what it needs: No space left on device (os error 28)",
            LARGER_DISK,
        ),
        (
            "cpu",
            {4: "Traceback (most recent call last):\nImportError: libgomp.so.1: cannot open\n"},
            "a first import: ImportError: libgomp.so.1: cannot open",
            READ_LOG,
        ),
        ("cpu", {4: ""}, "a first import: it failed and said nothing", READ_LOG),
    ],
)
def test_a_failed_step_is_explained(build, fake, tmp_path, variant, fails, happened, cure):
    for number, said in fails.items():
        (fake / f"fails-{number}").write_text(said)
    with pytest.raises(RuntimeEnvironmentError) as raised:
        build(variant)
    folder = environment_folder(variant, "3.11.7", tmp_path / "cache")
    assert raised.value.problems == (Problem(TRIED, happened, cure, f"{folder}.log"),)
    assert Path(f"{folder}.log").read_text() == "".join(fails.values())
    assert not is_built(folder)


def test_an_installer_that_does_not_start_is_explained(build, fake, tmp_path):
    script(fake / "uv", "#!/no/such/interpreter\n")
    with pytest.raises(RuntimeEnvironmentError) as raised:
        build()
    happened = f"[Errno 2] No such file or directory: '{fake}/uv'"
    log = f"{environment_folder('cpu', '3.11.7', tmp_path / 'cache')}.log"
    assert raised.value.problems == (Problem(TRIED, happened, log=log),)
