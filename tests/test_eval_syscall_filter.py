"""The filters as the kernel would run them: what fails with what, on both architectures."""

from __future__ import annotations

import errno
import struct
from pathlib import Path

import pytest
from ftbench_eval.syscall_filter import (
    NUMBERS,
    Rule,
    assemble,
    program_filter,
    scoring_filter,
)

MACHINES = ("x86_64", "aarch64")
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOWED = None
PID = 77


def run(code: bytes, number: int, arguments: tuple[int, ...], arch: int) -> int | None:
    """The error that a call fails with, or ALLOWED; as linux/filter.h defines the instructions."""
    padded = (*arguments, *[0] * (6 - len(arguments)))
    data = struct.pack("=IIQ6Q", number, arch, 0, *(value & 2**64 - 1 for value in padded))
    loaded = place = 0
    while True:
        op, if_true, if_false, value = struct.unpack_from("=HBBI", code, place * 8)
        place += 1
        if op == 0x20:
            (loaded,) = struct.unpack_from("=I", data, value)
        elif op == 0x06:
            return ALLOWED if value == 0x7FFF0000 else value & 0xFFFF
        else:
            holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[op]
            place += if_true if holds else if_false


def outcome(rules: list[Rule], machine: str, name: str, *arguments: int) -> int | None:
    number = NUMBERS[name][MACHINES.index(machine)]
    assert number is not None
    return run(assemble(rules, machine), number, arguments, ARCH[machine])


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "name",
    ["socket", "socketpair", "connect", "bind", "execve", "ptrace", "process_vm_readv", "mount",
     "unshare", "keyctl", "bpf", "io_uring_setup", "fchmodat", "truncate", "setrlimit", "shmget",
     "setsid", "pidfd_open", "tkill"],
)  # fmt: skip
def test_a_program_may_not(machine: str, name: str) -> None:
    assert outcome(program_filter(PID), machine, name) == errno.EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_a_program_signals_itself_alone(machine: str) -> None:
    rules = program_filter(PID)
    assert outcome(rules, machine, "kill", PID, 9) is ALLOWED
    assert outcome(rules, machine, "tgkill", PID, 3, 6) is ALLOWED
    for other in (0, 1, -1, -PID, PID + 1):
        assert outcome(rules, machine, "kill", other, 9) == errno.EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_a_program_starts_threads_and_no_processes(machine: str) -> None:
    rules = program_filter(PID)
    assert outcome(rules, machine, "clone", 0x3D0F00) is ALLOWED  # as pthread_create asks
    assert outcome(rules, machine, "clone", 0x01200011) == errno.EPERM  # as fork asks
    assert outcome(rules, machine, "clone3") == errno.ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
def test_a_program_reads_its_limits_and_cannot_raise_them(machine: str) -> None:
    rules = program_filter(PID)
    assert outcome(rules, machine, "prlimit64", 0, 7, 0, 1) is ALLOWED
    assert outcome(rules, machine, "prlimit64", 0, 7, 1 << 40, 0) == errno.EPERM
    assert outcome(rules, machine, "prlimit64", 0, 7, 1, 0) == errno.EPERM


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("rules", [program_filter(PID), scoring_filter()], ids=["program", "score"])
def test_no_file_is_emptied_through_a_reading_descriptor(machine: str, rules: list[Rule]) -> None:
    read, write, truncate = 0, 1, 0o1000
    assert outcome(rules, machine, "openat", 0, 0, read) is ALLOWED
    assert outcome(rules, machine, "openat", 0, 0, write | truncate) is ALLOWED
    assert outcome(rules, machine, "openat", 0, 0, read | truncate) == errno.EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_scoring_starts_and_ends_processes_but_not_those_above_it(machine: str) -> None:
    rules = scoring_filter(never_signal=(500, 501))
    assert outcome(rules, machine, "clone", 0x01200011) is ALLOWED
    assert outcome(rules, machine, "execve") is ALLOWED
    assert outcome(rules, machine, "kill", 600, 9) is ALLOWED
    for above in (500, 501, 1, -1):
        assert outcome(rules, machine, "kill", above, 9) == errno.EPERM
    assert outcome(rules, machine, "clone", 0x10000000 | 17) == errno.EPERM  # a user namespace


@pytest.mark.parametrize("machine", MACHINES)
def test_scoring_has_sockets_only_for_a_judge(machine: str) -> None:
    unix, inet = 1, 2
    assert outcome(scoring_filter(), machine, "socketpair", unix) is ALLOWED
    for call in (("socket", unix), ("socket", inet), ("socketpair", inet), ("connect", 3)):
        assert outcome(scoring_filter(), machine, *call) == errno.EPERM
        assert outcome(scoring_filter(network=True), machine, *call) is ALLOWED


@pytest.mark.parametrize("machine", MACHINES)
def test_setting_a_mode_in_scoring_does_nothing_and_says_so_to_nobody(machine: str) -> None:
    assert outcome(scoring_filter(), machine, "fchmod", 3, 0o777) == 0


def test_calls_of_another_architecture_fail() -> None:
    read = 0
    assert run(assemble([], "x86_64"), read, (), ARCH["aarch64"]) == errno.EPERM
    assert run(assemble([], "x86_64"), 0x40000000 | read, (), ARCH["x86_64"]) == errno.EPERM
    assert run(assemble([], "x86_64"), read, (), ARCH["x86_64"]) is ALLOWED


def test_an_unknown_machine_has_no_filter() -> None:
    with pytest.raises(OSError, match="riscv64"):
        assemble([], "riscv64")


@pytest.mark.parametrize(
    ("column", "header"),
    [
        (0, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        (1, "/usr/include/asm-generic/unistd.h"),
    ],
)
def test_numbers_are_the_kernels(column: int, header: str) -> None:
    if not Path(header).is_file():
        pytest.skip(f"no {header}")
    known: dict[str, int] = {}
    for line in Path(header).read_text().splitlines():
        words = line.split()
        if len(words) == 3 and words[1].startswith(("__NR_", "__NR3264_")) and words[2].isdigit():
            known[words[1].partition("_")[2].partition("_")[2].partition("_")[2]] = int(words[2])
    shared = {name for name, both in NUMBERS.items() if name in known and both[column] is not None}
    assert len(shared) > 100
    assert {n: NUMBERS[n][column] for n in shared} == {n: known[n] for n in shared}
