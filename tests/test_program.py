"""The program's files, their hash, and the staged copy."""

import hashlib
import subprocess
import sys
import threading

import pytest

from ftbench import program

SOURCES = {
    "eval_entrypoint.py": b"print('hello')\n",
    "ftbench_eval/main.py": b"MAIN = 1\n",
    "ftbench/schema.py": b"SCHEMA = 1\n",
}


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A program of three files in place of the real one."""
    files = {}
    for name, content in SOURCES.items():
        path = tmp_path / "sources" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        files[name] = path
    monkeypatch.setattr(program, "program_files", lambda: files)
    return files


def staged_files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.py")}


def test_program_files_are_the_entrypoint_its_package_and_the_shared_modules():
    names = set(program.program_files())
    assert {"eval_entrypoint.py", "ftbench_eval/main.py"} <= names
    shared = {name for name in names if name.startswith("ftbench/")}
    assert shared == {
        f"ftbench/{name}"
        for name in (
            "schema.py",
            "canary_words.py",
            "json_files.py",
            "options.py",
            "aggregates.py",
            "validity.py",
            "hub_cache.py",
            "hardware.py",
            "judge_client.py",
            "services.py",
            "own_rows.py",
            "preset.py",
            "catalogue.py",
            "catalogue.json",
            "judge_client.py",
            "services.py",
        )
    }
    assert not any("__pycache__" in name for name in names)


def test_the_staged_program_imports_without_the_host_package(tmp_path):
    program.stage_program(tmp_path / "program")
    code = "import ftbench.schema, ftbench.catalogue; print(ftbench.schema.SCHEMA_VERSION)"
    argv = [sys.executable, "-S", "-c", code]
    done = subprocess.run(
        argv, cwd=tmp_path / "program", capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("2\n", "")


def test_hash_files_covers_names_and_bytes_in_the_order_of_the_names(tmp_path):
    one, two = tmp_path / "1", tmp_path / "2"
    one.write_bytes(b"ab")
    two.write_bytes(b"")
    expected = hashlib.sha256(b"a\x002\x00abb\x000\x00").hexdigest()
    assert program.hash_files({"b": two, "a": one}) == expected


@pytest.mark.parametrize("change", ["content", "name"])
def test_program_hash_changes_with(sources, change):
    before = program.program_hash()
    if change == "content":
        sources["ftbench/schema.py"].write_bytes(b"SCHEMA = 2\n")
    else:
        sources["ftbench/other.py"] = sources.pop("ftbench/schema.py")
    assert program.program_hash() != before


def test_staged_program_is_copied_once_and_used_again(sources, tmp_path):
    cache = tmp_path / "cache"
    folder = program.staged_program(cache)
    assert folder == cache / "programs" / program.program_hash()[:16]
    assert staged_files(folder) == SOURCES
    inode = (folder / "eval_entrypoint.py").stat().st_ino
    assert program.staged_program(cache) == folder
    assert (folder / "eval_entrypoint.py").stat().st_ino == inode
    assert list((cache / "programs").iterdir()) == [folder]


def test_staged_program_replaces_a_damaged_copy(sources, tmp_path):
    folder = program.staged_program(tmp_path)
    (folder / "eval_entrypoint.py").write_bytes(b"tampered")
    assert program.staged_program(tmp_path) == folder
    assert staged_files(folder) == SOURCES
    assert list(folder.parent.iterdir()) == [folder]


def test_staged_program_is_safe_when_many_want_it_at_once(sources, tmp_path):
    start = threading.Barrier(8)
    folders = []

    def stage() -> None:
        start.wait()
        folders.append(program.staged_program(tmp_path))

    threads = [threading.Thread(target=stage) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 8
    assert len(set(folders)) == 1
    assert staged_files(folders[0]) == SOURCES


def test_lock_hash_depends_on_lock_and_torch(tmp_path, monkeypatch):
    (tmp_path / "requirements-cpu.lock").write_text("a==1\n")
    (tmp_path / "torch-cpu.txt").write_text("torch==1\n")
    monkeypatch.setattr(program, "image_dir", lambda: tmp_path)
    before = program.lock_hash("cpu")
    (tmp_path / "torch-cpu.txt").write_text("torch==2\n")
    changed_torch = program.lock_hash("cpu")
    (tmp_path / "requirements-cpu.lock").write_text("a==2\n")
    assert len({before, changed_torch, program.lock_hash("cpu")}) == 3


@pytest.mark.parametrize("variant", program.VARIANTS)
def test_every_variant_has_a_hashed_lock_without_torch(variant):
    lines = program.lock_file(variant).read_text(encoding="utf-8").splitlines()
    pinned = [line.split("==")[0] for line in lines if line[:1].isalnum()]
    assert "opencompass" in pinned
    assert "torch" not in pinned
    assert sum("--hash=sha256:" in line for line in lines) >= len(pinned)
    assert "torch==" in program.torch_file(variant).read_text(encoding="utf-8")
