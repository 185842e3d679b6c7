"""Names and labels of the image, and how a build goes; the engine is a fake one."""

import os
from pathlib import Path

import pytest

import ftbench
from ftbench import image
from ftbench.errors import EngineError, ImageError
from ftbench.image import BuildRequest, build_command, build_image, expected_labels, image_name
from ftbench.program import lock_hash, program_hash
from tests.fake_engine import running_engine

TAG = "ftbench-test:x"
PLANTED = "planted-5d41402a"

STEPS = [
    {"stream": "Step 1/2 : FROM base AS build"},
    {"stream": "\n"},
    {"stream": " ---> dbddf59f593c\n"},
    {"stream": "Step 2/2 : RUN sh /build/install.sh cpu"},
    {"stream": "Looking in indexes: https://mirror.example/simple\nCollecting torch\n"},
]

NO_REGISTRY = """\
--base-image NAME with a Linux that has python3, pip and venv; where no registry answers:
    sudo debootstrap --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates \
bookworm rootfs
    sudo tar -C rootfs -c . | docker import - ftbench-base:bookworm
    and then --base-image ftbench-base:bookworm"""

READ_LOG = "read the log; pip's settings of this shell are used, and --find-links DIR adds wheels"
FAILED = "The command '/bin/sh -c sh /build/install.sh cpu' returned a non-zero code: 1"


@pytest.fixture
def engine(tmp_path):
    with running_engine(tmp_path) as engine:
        engine.images["base"] = {}
        engine.output = list(STEPS)
        yield engine


@pytest.fixture
def build(engine, tmp_path):
    """Builds with the fake engine; gives the image's id and the lines that were shown."""

    def run(environ=None, **other):
        lines: list[str] = []
        request = BuildRequest(**({"variant": "cpu", "tag": TAG, "base_image": "base"} | other))
        surroundings = {"DOCKER_HOST": engine.address, "PIP_CONFIG_FILE": os.devnull}
        log = tmp_path / "logs" / "build.log"
        return build_image(request, surroundings | (environ or {}), log, lines.append), lines

    return run


def failure(build, **how):
    with pytest.raises(ImageError) as raised:
        build(**how)
    (problem,) = raised.value.problems
    return problem


def test_image_name_holds_version_and_variant():
    assert image_name("cuda") == f"ftbench-opencompass:{ftbench.__version__}-cuda"


def test_expected_labels_are_the_hashes_of_what_the_image_holds():
    assert expected_labels("cuda") == {
        "org.ftbench.schema": "2",
        "org.ftbench.variant": "cuda",
        "org.ftbench.lock": lock_hash("cuda"),
        "org.ftbench.program": program_hash(),
    }


@pytest.mark.parametrize(
    ("variant", "tag", "options"),
    [
        ("cpu", image_name("cpu"), "--variant cpu"),
        ("cuda", image_name("cpu"), f"--variant cuda --tag {image_name('cpu')}"),
        ("cpu", "my image", "--variant cpu --tag 'my image'"),
    ],
)
def test_build_command_is_one_that_a_shell_takes(monkeypatch, variant, tag, options):
    assert build_command(variant, tag) == f"scripts/build-image {options}"
    monkeypatch.setattr(image, "__file__", "/venv/site-packages/ftbench/image.py")
    assert build_command(variant, tag) == f"python -m ftbench.image build {options}"


def test_the_script_of_the_build_command_is_there():
    script = Path(ftbench.__file__).parent.parent / "scripts" / "build-image"
    assert os.access(script, os.X_OK)


def test_build_image_makes_the_dependencies_and_then_the_program(engine, build):
    image_id, lines = build()
    first, second = engine.builds
    assert image_id == f"sha256:{TAG}"
    assert first.tag.startswith("ftbench-opencompass-dependencies:cpu-")
    assert (first.target, second.tag, second.target) == ("dependencies", TAG, None)
    assert first.arguments == {"VARIANT": "cpu", "BASE_IMAGE": "base"}
    assert second.arguments == {
        "VARIANT": "cpu",
        "BASE_IMAGE": "base",
        "DEPENDENCIES": first.tag,
        "FTBENCH_VERSION": ftbench.__version__,
        "SCHEMA_VERSION": "2",
        "LOCK_HASH": lock_hash("cpu"),
        "PROGRAM_HASH": program_hash(),
    }
    assert first.network == second.network == "host"
    assert lines == [STEPS[0]["stream"], STEPS[3]["stream"]] * 2


def test_build_image_gives_credentials_to_the_pip_folder_of_the_first_build_only(engine, build):
    secret = f"https://user:{PLANTED}@mirror.example/simple"
    build({"PIP_INDEX_URL": secret})
    holders = [
        [n for n, text in b.files.items() if PLANTED.encode() in text] for b in engine.builds
    ]
    assert holders == [["pip/pip.conf"], []]
    assert not any(PLANTED in str(b.arguments) for b in engine.builds)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "no_proxy"])
def test_build_image_builds_behind_the_callers_proxy(engine, build, name):
    build({name: "proxy.example"})
    assert [b.arguments.get(name) for b in engine.builds] == ["proxy.example"] * 2


@pytest.mark.parametrize(("variant", "base"), [("cpu", image.CPU_BASE), ("cuda", None)])
def test_build_image_leaves_the_default_base_of_cuda_to_the_dockerfile(
    engine, build, variant, base
):
    build(variant=variant, base_image=None)
    assert engine.builds[0].arguments.get("BASE_IMAGE") == base


def test_build_image_finds_an_image_of_equal_content(engine, build):
    engine.images[TAG] = expected_labels("cpu") | {"other": "1"}
    assert build() == (f"sha256:{TAG}", [f"image {TAG} is up to date"])
    assert (engine.builds, engine.pruned) == ([], [])


@pytest.mark.parametrize("label", expected_labels("cpu"))
def test_build_image_builds_again_when_a_label_differs(engine, build, label):
    engine.images[TAG] = expected_labels("cpu") | {label: "other"}
    build()
    assert engine.builds[-1].tag == TAG


def test_build_image_keeps_the_dependencies_when_only_the_program_differs(engine, build):
    build()
    engine.builds.clear()
    build()
    assert [b.tag for b in engine.builds] == [TAG]


def test_build_image_with_force_builds_both_again(engine, build):
    build()
    engine.images[TAG] = expected_labels("cpu")
    engine.builds.clear()
    build(force=True)
    assert [b.target for b in engine.builds] == ["dependencies", None]


def test_build_image_removes_the_name_of_older_dependencies_of_the_variant(engine, build):
    name = "ftbench-opencompass-dependencies"
    engine.images |= {f"{name}:cpu-0123456789ab": {}, f"{name}:cuda-0123456789ab": {}}
    build()
    assert engine.removed == [f"{name}:cpu-0123456789ab"]


@pytest.mark.parametrize("fails", [False, True])
def test_build_image_prunes_what_it_left_behind_and_nothing_else(engine, build, fails):
    if fails:
        engine.output.append({"error": FAILED})
        failure(build)
    else:
        build()
    assert engine.pruned == [{"dangling": ["true"], "label": ["org.ftbench.stage"]}]


def test_build_image_writes_everything_to_the_log(build, tmp_path):
    build()
    lines = (tmp_path / "logs" / "build.log").read_text().splitlines()
    assert lines[:5] == [
        "Step 1/2 : FROM base AS build",
        " ---> dbddf59f593c",
        "Step 2/2 : RUN sh /build/install.sh cpu",
        "Looking in indexes: https://mirror.example/simple",
        "Collecting torch",
    ]


def test_a_base_image_that_cannot_be_had_is_explained(engine, build, tmp_path):
    said = 'Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: no such'
    engine.output = [STEPS[0], {"error": said}]
    problem = failure(build, base_image="nowhere")
    assert (problem.tried, problem.happened, problem.cure, problem.log) == (
        f"building {engine.builds[0].tag}",
        f"base image: {said}",
        NO_REGISTRY,
        str(tmp_path / "logs" / "build.log"),
    )


def test_a_failed_step_is_explained_by_what_the_installer_said(engine, build):
    # Captured from dockerd 20.10.24, which colours the standard error of a step.
    engine.output += [
        {"stream": "\x1b[91mERROR: Could not find a version that satisfies torch==9\n\x1b[0m"},
        {"stream": "\x1b[91mERROR: No matching distribution found for torch==9\n\x1b[0m"},
        {"stream": "Removing intermediate container d9a15bc78357\n"},
        {"error": FAILED},
    ]
    problem = failure(build)
    assert problem.happened == "ERROR: No matching distribution found for torch==9"
    assert problem.cure == READ_LOG


def test_a_failed_step_that_said_nothing_is_explained_by_the_engine(engine, build):
    engine.output.append({"error": FAILED})
    assert (failure(build).happened, failure(build).cure) == (FAILED, READ_LOG)


def test_a_full_disk_is_explained(engine, build):
    engine.output += [
        {"stream": "\x1b[91mOSError: [Errno 28] No space left on device\n\x1b[0m"},
        {"error": FAILED},
    ]
    problem = failure(build)
    assert (problem.happened, problem.cure) == ("the engine's disk is full", "docker system prune")


def test_build_image_without_an_engine_is_an_engine_error(build, tmp_path):
    with pytest.raises(EngineError):
        build({"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})


def test_the_command_line_prints_the_problem_and_ends_with_its_code(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("FTBENCH_CACHE", str(tmp_path / "cache"))
    assert image.main(["build", "--variant", "cpu"]) == 3
    said = capsys.readouterr()
    log = tmp_path / "cache" / "logs" / "build-image-cpu.log"
    assert said.out == f"building {image_name('cpu')}; log: {log}\n"
    assert said.err.splitlines()[1] == (
        f"container engine at unix://{tmp_path}/none.sock: nothing listens there"
    )


def test_the_command_line_says_what_it_built(engine, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DOCKER_HOST", engine.address)
    monkeypatch.setenv("FTBENCH_CACHE", str(tmp_path / "cache"))
    engine.images["my:tag"] = expected_labels("cpu")
    assert image.main(["build", "--variant", "cpu", "--tag", "my:tag"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "image my:tag is up to date",
        "my:tag sha256:my:tag",
    ]
