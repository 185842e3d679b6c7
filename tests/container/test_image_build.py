"""The built CPU image on a real engine, and what a build says that cannot begin."""

import hashlib
import json
import os
import re
from pathlib import Path

import pytest

from ftbench.errors import ImageError
from ftbench.image import BuildRequest, build_image, expected_labels, image_name
from ftbench.pip_settings import read_pip_settings
from ftbench.program import program_files

pytestmark = pytest.mark.container

TAG = image_name("cpu")

LIST = r"""
import hashlib, json, os, stat, sys
def digest(path):
    return hashlib.sha256(open(path, "rb").read()).hexdigest()
size = int(sys.argv[1])
paths = []
for folder, folders, files in os.walk("/"):
    folders[:] = [f for f in folders if os.path.join(folder, f) not in ("/proc", "/sys", "/dev")]
    paths += [os.path.join(folder, name) for name in (*folders, *files)]
regular = {path: os.lstat(path).st_size for path in paths if stat.S_ISREG(os.lstat(path).st_mode)}
program = [p for p in regular if p.startswith("/app/") and "/__pycache__/" not in p]
print(json.dumps({
    "paths": paths,
    "as large": [digest(path) for path in regular if regular[path] == size],
    "program": {os.path.relpath(path, "/app"): digest(path) for path in program},
}))
"""


@pytest.fixture(scope="module")
def image(client, eval_image):
    return client.images.get(eval_image)


@pytest.fixture(scope="module")
def contents(client, image):
    """What root sees in the image: every path, and sha256 of files as large as our CA bundle."""
    cert = read_pip_settings(os.environ).cert
    size = Path(cert).stat().st_size if cert else -1
    said = client.containers.run(
        image.id,
        ["-c", LIST, str(size)],
        entrypoint="/opt/ftbench/bin/python",
        user="0:0",
        network_mode="none",
        remove=True,
    )
    return json.loads(said)


def test_the_image_runs_as_nobody_by_default(image):
    assert image.attrs["Config"]["User"] == "65534:65534"


def test_the_image_has_the_labels_of_this_ftbench(image):
    labels = expected_labels("cpu")
    assert {name: image.labels.get(name) for name in labels} == labels


def test_the_image_holds_exactly_the_program(contents):
    sources = program_files().items()
    assert contents["program"] == {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sources
    }


def test_the_image_holds_nothing_of_the_build_context(contents):
    names = set(contents["paths"])
    assert "/opt/ftbench/bin/python" in names
    assert {n for n in names if n.split("/")[1] == "build"} == set()
    unwanted = ("pip.conf", "ca.crt", "uv.toml", ".netrc", "install.sh", "requirements.lock")
    assert {n for n in names if n.endswith(tuple(f"/{u}" for u in unwanted))} == set()
    assert {n for n in names if n.endswith(".whl") and "/torch-" in n} == set()


def test_the_image_holds_no_ca_bundle_of_this_machine(contents):
    cert = read_pip_settings(os.environ).cert
    if not cert:
        pytest.skip("pip on this machine names no CA bundle")
    assert hashlib.sha256(Path(cert).read_bytes()).hexdigest() not in contents["as large"]


def test_the_image_tells_no_address_of_an_index(image):
    text = json.dumps([image.history(), image.attrs["Config"]])
    assert re.findall(r"https?://[^\s\"/]*@", text) == []
    assert not any(word in text for word in ("PIP_", "INDEX_URL", "index-url", "ca.crt", "/build"))
    settings = read_pip_settings(os.environ)
    addresses = (settings.index_url, *settings.extra_index_url, *settings.find_links)
    assert [address for address in addresses if address and address in text] == []


@pytest.mark.parametrize(
    ("environment", "missing"),
    [
        ({}, ["BENCHMARK_DATASETS", "OUTPUT_PATH"]),
        ({"BENCHMARK_DATASETS": "mmlu"}, ["BASE_MODEL", "MODEL_ABBR", "OUTPUT_PATH"]),
    ],
)
def test_the_entrypoint_lists_every_variable_that_is_missing(client, image, environment, missing):
    container = client.containers.create(
        image.id, environment=environment, network_mode="none", read_only=True
    )
    try:
        container.start()
        exit_code = container.wait()["StatusCode"]
        said = container.logs().decode().splitlines()
    finally:
        container.remove(force=True)
    assert exit_code == 2
    assert said == [f"ftbench: {name} is not set" for name in missing]


def test_an_image_that_is_up_to_date_is_found_without_a_build(image, tmp_path):
    lines: list[str] = []
    log = tmp_path / "logs" / "build.log"
    found = build_image(BuildRequest("cpu", TAG), os.environ, log, lines.append)
    assert (found, lines, log.read_text()) == (image.id, [f"image {TAG} is up to date"], "")


def test_a_base_image_that_does_not_exist_is_an_image_error(client, tmp_path):
    request = BuildRequest("cpu", "ftbench-test:no-base", base_image="localhost:9/no-such:none")
    engine = {name: os.environ[name] for name in ("DOCKER_HOST",) if name in os.environ}
    log = tmp_path / "build.log"
    lines: list[str] = []
    with pytest.raises(ImageError) as raised:
        build_image(request, engine | {"PIP_CONFIG_FILE": os.devnull}, log, lines.append)
    (problem,) = raised.value.problems
    assert problem.tried.startswith("building ftbench-opencompass-dependencies:cpu-")
    assert problem.happened.startswith("base image: ")
    assert "localhost:9" in problem.happened
    assert problem.cure.startswith("--base-image NAME with a Linux that has python3, pip and venv")
    assert problem.log == str(log)
    assert [line.split(" : ")[1] for line in lines][-1] == "FROM ${BASE_IMAGE} AS build"
    assert client.images.list("ftbench-test:no-base") == []
