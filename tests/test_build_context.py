"""The build context: what is in it, what is not, and the archive that the engine receives."""

import hashlib
import os
import tarfile

import pytest

from ftbench import program
from ftbench.build_context import context_archive, pip_conf, stage_context
from ftbench.errors import ImageError
from ftbench.pip_settings import PipSettings

PLANTED = "planted-5d41402a"

SETTINGS = PipSettings(
    index_url=f"https://user:{PLANTED}@mirror.example/simple",
    extra_index_url=(f"https://{PLANTED}@a.example/simple", "http://b.example/simple"),
    find_links=("/wheels", "file:///wheels", f"https://w.example/?key={PLANTED}"),
    trusted_host=("mirror.example", "b.example"),
)

WHEELS = {
    "cpu": "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl",
    "cuda": "torch-2.8.0-cp311-cp311-manylinux_2_28_x86_64.whl",
}


def files_of(folder):
    return {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def wheels(tmp_path):
    """A folder with wheels of both variants and others."""
    folder = tmp_path / "the wheels"
    folder.mkdir()
    others = [
        "torch-2.8.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl",
        "torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        "torch-12.8.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        "torchvision-2.13.0+cpu-cp311-cp311-linux_x86_64.whl",
        "notes-2.13.0.txt",
    ]
    for name in (*WHEELS.values(), *others):
        (folder / name).write_text(name)
    return folder


@pytest.mark.parametrize("variant", program.VARIANTS)
def test_stage_context_holds_what_the_dockerfile_copies(tmp_path, variant):
    folder = tmp_path / "context"
    stage_context(folder, variant)
    found = files_of(folder)
    image = program.image_dir()
    expected = {f"program/{name}": path for name, path in program.program_files().items()}
    expected |= {
        "Dockerfile": image / "Dockerfile",
        "install.sh": image / "install.sh",
        "requirements.lock": image / f"requirements-{variant}.lock",
        "torch.txt": image / f"torch-{variant}.txt",
    }
    assert set(found) == {*expected, "wheels/.keep", "pip/pip.conf"}
    assert all(found[name].read_bytes() == path.read_bytes() for name, path in expected.items())
    assert found["pip/pip.conf"].read_bytes() == b""


def test_stage_context_keeps_credentials_in_the_pip_folder(tmp_path):
    folder = tmp_path / "context"
    stage_context(folder, "cpu", SETTINGS)
    with_secret = [n for n, path in files_of(folder).items() if PLANTED in path.read_text("utf-8")]
    assert with_secret == ["pip/pip.conf"]


def test_the_dockerfile_takes_the_pip_folder_into_its_first_stage_only():
    stages = (program.image_dir() / "Dockerfile").read_text(encoding="utf-8").split("\nFROM ")[1:]
    assert ["COPY pip/" in stage for stage in stages] == [True, False, False]
    copied = [line for s in stages[1:] for line in s.splitlines() if line.startswith("COPY --from")]
    assert copied == ["COPY --from=build /opt/ftbench /opt/ftbench"]


def test_pip_conf_says_what_a_container_can_reach():
    assert pip_conf(SETTINGS) == (
        "[global]\n"
        f"index-url = https://user:{PLANTED}@mirror.example/simple\n"
        f"extra-index-url = https://{PLANTED}@a.example/simple http://b.example/simple\n"
        f"find-links = https://w.example/?key={PLANTED}\n"
        "trusted-host = mirror.example b.example\n"
    )


def test_pip_conf_of_no_settings_says_nothing():
    assert pip_conf(PipSettings()) == "[global]\n"


def test_stage_context_brings_the_certificates(tmp_path):
    (tmp_path / "bundle.pem").write_text("certificate\n")
    settings = PipSettings(cert=str(tmp_path / "bundle.pem"))
    stage_context(tmp_path / "context", "cpu", settings)
    assert (tmp_path / "context" / "pip" / "ca.crt").read_text() == "certificate\n"


@pytest.mark.parametrize("kind", ["missing", "a folder"])
def test_stage_context_names_certificates_that_it_cannot_bring(tmp_path, kind):
    cert = tmp_path / "bundle.pem"
    if kind == "a folder":
        cert.mkdir()
    with pytest.raises(ImageError) as raised:
        stage_context(tmp_path / "context", "cpu", PipSettings(cert=str(cert)))
    (problem,) = raised.value.problems
    assert (problem.tried, problem.happened, problem.cure) == (
        f"CA bundle {cert}",
        "is not a file",
        "PIP_CERT=FILE, or correct pip's cert setting, REQUESTS_CA_BUNDLE or SSL_CERT_FILE",
    )


@pytest.mark.parametrize("variant", program.VARIANTS)
def test_stage_context_brings_the_torch_wheel_of_the_variant(tmp_path, wheels, variant):
    stage_context(tmp_path / "context", variant, PipSettings(), find_links=wheels)
    brought = {p.name for p in (tmp_path / "context" / "wheels").iterdir()}
    assert brought == {WHEELS[variant], ".keep"}


@pytest.mark.parametrize("name", ["torch-2.8.0+cu128-cp311-cp311-linux_x86_64.whl"])
def test_stage_context_takes_a_wheel_of_any_cuda_for_the_cuda_variant(tmp_path, name):
    (tmp_path / name).write_text("")
    stage_context(tmp_path / "context", "cuda", PipSettings(), find_links=tmp_path)
    assert (tmp_path / "context" / "wheels" / name).is_file()


@pytest.mark.parametrize("form", ["path", "url"])
def test_stage_context_looks_for_wheels_where_pip_does(tmp_path, wheels, form):
    plain = tmp_path / "plain"
    wheels.rename(plain if form == "path" else wheels)
    link = str(plain) if form == "path" else wheels.as_uri()
    stage_context(tmp_path / "context", "cpu", PipSettings(find_links=("/nowhere", link)))
    assert (tmp_path / "context" / "wheels" / WHEELS["cpu"]).is_file()


def test_stage_context_brings_no_wheel_when_nothing_will_be_installed(tmp_path, wheels):
    stage_context(tmp_path / "context", "cpu", None, find_links=wheels)
    assert [p.name for p in (tmp_path / "context" / "wheels").iterdir()] == [".keep"]


# The archive.


def archive_of(folder):
    with context_archive(folder) as archive:
        return archive.read()


def test_context_archive_is_roots_and_readable_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        stage_context(tmp_path / "context", "cpu")
    finally:
        os.umask(before)
    if os.getuid() == 0:
        os.chown(tmp_path / "context" / "Dockerfile", 1234, 1234)
    os.chmod(tmp_path / "context" / "install.sh", 0o4711)  # noqa: PTH101
    with context_archive(tmp_path / "context") as archive, tarfile.open(fileobj=archive) as tar:
        members = tar.getmembers()
    assert {(m.mode, m.isdir()) for m in members} == {(0o755, True), (0o644, False)}
    owners = {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members}
    assert owners == {(0, 0, "root", "root", 0)}


def test_context_archive_holds_the_contents_under_their_own_names(tmp_path):
    stage_context(tmp_path / "context", "cpu")
    with context_archive(tmp_path / "context") as archive, tarfile.open(fileobj=archive) as tar:
        names = {m.name.removeprefix("./"): tar.extractfile(m).read() for m in tar if m.isfile()}
    assert names == {n: p.read_bytes() for n, p in files_of(tmp_path / "context").items()}


def test_context_archive_of_equal_contents_has_equal_bytes(tmp_path):
    digests = set()
    for name in ("one", "two"):
        stage_context(tmp_path / name, "cpu", SETTINGS)
        os.utime(tmp_path / name / "Dockerfile", (len(name), len(digests)))
        digests.add(hashlib.sha256(archive_of(tmp_path / name)).hexdigest())
    assert len(digests) == 1


def test_context_archive_changes_with_the_contents(tmp_path):
    stage_context(tmp_path / "context", "cpu")
    before = archive_of(tmp_path / "context")
    (tmp_path / "context" / "torch.txt").write_text("torch==1\n")
    assert archive_of(tmp_path / "context") != before
