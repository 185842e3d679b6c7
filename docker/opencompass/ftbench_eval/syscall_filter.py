"""A seccomp filter: which system calls a process gives up, for itself and its children, for good.

Two levels: ``scoring_filter`` for a scoring process, which runs a benchmark's own code and may
start processes; ``program_filter`` for one that runs what a model wrote, and may not. What is
denied fails with EPERM, as a program expects; nothing is killed.

Landlock covers opening, making and removing files; here is what it leaves open: sockets, signals,
changing modes and owners, looking into other processes, and the kernel's rarer doors.

Source: ``linux/filter.h``, ``linux/seccomp.h``, and the kernel's system call tables (6.12).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from ftbench_eval.landlock import no_new_privileges

_LD_WORD, _JEQ, _JSET, _RETURN = 0x20, 0x15, 0x45, 0x06
_JGE = 0x35
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_OFFSET_NUMBER, _OFFSET_ARCH = 0, 4
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000

_CLONE_THREAD = 0x00010000
_NAMESPACES = 0x00000080 | 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000  # fmt: skip  # noqa: E501
"""CLONE_NEW*: time, mount, cgroup, uts, ipc, user, pid, network."""

_AF_UNIX = 1
_O_TRUNC, _O_WRITES = 0o1000, 0o1 | 0o2
_PR_SET_PDEATHSIG = 1
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C

# name: (x86_64, aarch64); None where the architecture has no such call.
NUMBERS: dict[str, tuple[int | None, int | None]] = {
    # Network.
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "accept": (43, 202),
    "accept4": (288, 242), "bind": (49, 200), "listen": (50, 201),
    # Processes.
    "fork": (57, None), "vfork": (58, None), "clone": (56, 220), "clone3": (435, 435),
    "execve": (59, 221), "execveat": (322, 281),
    # Signals to others.
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    # Looking into others.
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kcmp": (312, 272), "process_madvise": (440, 440), "process_mrelease": (448, 448),
    "move_pages": (279, 239), "migrate_pages": (256, 238), "perf_event_open": (298, 241),
    # Namespaces and mounts.
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "open_tree_attr": (467, 467),
    # The kernel's rarer doors.
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "bpf": (321, 280),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "userfaultfd": (323, 282), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "syslog": (103, 116),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "clock_adjtime": (305, 266), "sethostname": (170, 161), "setdomainname": (171, 162),
    "iopl": (172, None), "ioperm": (173, None), "personality": (135, 92), "vhangup": (153, 58),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262), "fanotify_mark": (301, 263), "lookup_dcookie": (212, 18),
    # What Landlock leaves open on files.
    "mknod": (133, None), "mknodat": (259, 33), "chown": (92, None), "fchown": (93, 55),
    "lchown": (94, None), "fchownat": (260, 54), "chmod": (90, None), "fchmod": (91, 52),
    "fchmodat": (268, 53), "fchmodat2": (452, 452), "utime": (132, None), "utimes": (235, None),
    "futimesat": (261, None), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "setxattrat": (463, 463), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "fremovexattr": (199, 16), "removexattrat": (466, 466),
    "file_setattr": (469, 469), "ioctl": (16, 29), "flock": (73, 32),
    "truncate": (76, 45), "open": (2, None), "openat": (257, 56), "openat2": (437, 437),
    # What all processes of a user share.
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "msgget": (68, 186),
    "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187), "semget": (64, 190),
    "semop": (65, 193), "semtimedop": (220, 192), "semctl": (66, 191), "mq_open": (240, 180),
    "mq_unlink": (241, 181), "setpriority": (141, 140), "ioprio_set": (251, 30),
    "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118), "sched_setattr": (314, 274),
    # Its own limits and identity.
    "prlimit64": (302, 261), "setrlimit": (160, 164), "prctl": (157, 167),
    "setuid": (105, 146), "setgid": (106, 144), "setreuid": (113, 145), "setregid": (114, 143),
    "setresuid": (117, 147), "setresgid": (119, 149), "setgroups": (116, 159),
    "setfsuid": (122, 151), "setfsgid": (123, 152), "capset": (126, 91), "setsid": (112, 157),
    "setpgid": (109, 154),
}  # fmt: skip

_NETWORK = ("connect", "accept", "accept4", "bind", "listen")
_INSPECTION = (
    "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "process_madvise",
    "process_mrelease", "move_pages", "migrate_pages", "perf_event_open", "pidfd_getfd",
)  # fmt: skip
_KERNEL = (
    "setns", "mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen",
    "fsconfig", "fsmount", "fspick", "mount_setattr", "open_tree_attr", "keyctl", "add_key",
    "request_key", "bpf", "io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd",
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot",
    "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "syslog", "settimeofday",
    "clock_settime", "adjtimex", "clock_adjtime", "sethostname", "setdomainname", "iopl", "ioperm",
    "vhangup", "name_to_handle_at", "open_by_handle_at", "fanotify_init", "fanotify_mark",
    "lookup_dcookie", "unshare", "mknod", "mknodat", "shmget", "shmat", "shmctl", "msgget",
    "msgsnd", "msgrcv", "msgctl", "semget", "semop", "semtimedop", "semctl", "mq_open",
    "mq_unlink",
)  # fmt: skip
_METADATA = (
    "chown", "fchown", "lchown", "fchownat", "chmod", "fchmod", "fchmodat", "fchmodat2", "utime",
    "utimes", "futimesat", "utimensat", "setxattr", "lsetxattr", "fsetxattr", "setxattrat",
    "removexattr", "lremovexattr", "fremovexattr", "removexattrat", "file_setattr",
)  # fmt: skip
_IDENTITY = (
    "setrlimit", "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups",
    "setfsuid", "setfsgid", "capset", "setsid", "setpgid", "setpriority", "ioprio_set",
    "sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr", "personality",
)  # fmt: skip
_PROCESSES = ("fork", "vfork", "execve", "execveat")
_OTHERS_SIGNALS = (
    "rt_sigqueueinfo", "rt_tgsigqueueinfo", "tkill", "pidfd_send_signal", "pidfd_open",
)  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """What happens to one system call; the first condition that holds decides.

    Attributes:
        name: Of the call, a key of ``NUMBERS``.
        error: It fails with this error.
        unless_argument: ``(index, values)``: it stays possible where the low 32 bits of that
            argument equal one of them.
        only_argument: ``(index, value)``: it fails only where they equal this.
        unless_bits: ``(index, mask)``: it stays possible where one of the bits is set.
        if_bits: ``(index, mask)``: it fails only where one of the bits is set.
        but_not_bits: With ``if_bits``, of the same argument: and none of these is set.
    """

    name: str
    error: int = errno.EPERM
    unless_argument: tuple[int, tuple[int, ...]] | None = None
    only_argument: tuple[int, int] | None = None
    unless_bits: tuple[int, int] | None = None
    if_bits: tuple[int, int] | None = None
    but_not_bits: int = 0


def scoring_filter(*, network: bool = False, never_signal: Sequence[int] = ()) -> list[Rule]:
    """Rules for a scoring process, which starts processes and ends them.

    Args:
        network: It may open sockets, to ask a judge.
        never_signal: Processes that are not its own; Landlock knows all of them from ABI 6.
    """
    rules = [Rule(name) for name in (*_INSPECTION, *_KERNEL)] + _truncation()
    # Python's own tools set modes and times of files that they wrote; it is a convenience only.
    rules += [Rule(name, error=0) for name in _METADATA]
    rules += [Rule("clone", if_bits=(0, _NAMESPACES)), Rule("clone3", error=errno.ENOSYS)]
    rules += [Rule("ioctl", only_argument=(1, value)) for value in (_TIOCSTI, _TIOCLINUX)]
    rules += [Rule(name) for name in _OTHERS_SIGNALS]
    # -1 is every process of the user.
    for pid in (0xFFFFFFFF, 1, *never_signal):
        rules.append(Rule("kill", only_argument=(0, pid)))
    if not network:
        rules += [Rule(name) for name in (*_NETWORK, "socket")]
        rules.append(Rule("socketpair", unless_argument=(0, (_AF_UNIX,))))
    return rules


def program_filter(pid: int, *, may_execute: bool = False) -> list[Rule]:
    """Rules for a process that runs what a model wrote: one process, alone.

    Args:
        pid: Its own; it may signal itself.
        may_execute: It may become another program; it still starts none.
    """
    names = (*_INSPECTION, *_KERNEL, *_METADATA, *_IDENTITY, *_NETWORK, *_OTHERS_SIGNALS)
    processes = _PROCESSES if not may_execute else _PROCESSES[:2]
    rules = [Rule(name) for name in (*names, *processes, "socket", "socketpair", "flock")]
    rules += _truncation()
    rules += [Rule("clone", unless_bits=(0, _CLONE_THREAD)), Rule("clone3", error=errno.ENOSYS)]
    # Group 0 is the scoring process's own.
    rules += [Rule(name, unless_argument=(0, (pid,))) for name in ("kill", "tgkill")]
    rules += [Rule("ioctl", only_argument=(1, value)) for value in (_TIOCSTI, _TIOCLINUX)]
    rules.append(Rule("prctl", only_argument=(0, _PR_SET_PDEATHSIG)))
    # Argument 2 is the new limit, a pointer; 0: only asked for.
    rules.append(Rule("prlimit64", unless_argument=(2, (0,))))
    return rules


def _truncation() -> list[Rule]:
    """Before ABI 3, Landlock lets a process empty the files that it may read."""
    rules = [Rule("truncate"), Rule("openat2", errno.ENOSYS)]
    rules.append(Rule("open", if_bits=(1, _O_TRUNC), but_not_bits=_O_WRITES))
    rules.append(Rule("openat", if_bits=(2, _O_TRUNC), but_not_bits=_O_WRITES))
    return rules


def assemble(rules: Sequence[Rule], machine: str) -> bytes:
    """The filter as BPF instructions.

    Args:
        machine: x86_64 or aarch64.

    Raises:
        OSError: No table for this machine.
    """
    if machine not in _AUDIT_ARCH:
        raise OSError(errno.ENOSYS, f"no system call table for {machine}")
    column = ("x86_64", "aarch64").index(machine)
    code = [_load(_OFFSET_ARCH), _op(_JEQ, _AUDIT_ARCH[machine], 1, 0), _give(errno.EPERM)]
    code.append(_load(_OFFSET_NUMBER))
    if machine == "x86_64":
        # The second table of the same kernel, with other numbers.
        code += [_op(_JGE, _X32_BIT, 0, 1), _give(errno.EPERM)]
    for rule in rules:
        number = NUMBERS[rule.name][column]
        if number is not None:
            body = _body(rule)
            code += [_op(_JEQ, number, 0, len(body)), *body]
    return b"".join([*code, _op(_RETURN, _ALLOW)])


def install(rules: Sequence[Rule]) -> None:
    """Applies a filter to this process (all of its later threads and children), for good.

    Raises:
        OSError: The kernel refused, or the machine is unknown.
    """
    program = assemble(rules, platform.machine())
    buffer = ctypes.create_string_buffer(program, len(program))

    class _Fprog(ctypes.Structure):
        _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    fprog = _Fprog(len(program) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    no_new_privileges()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(fprog), 0, 0):
        code = ctypes.get_errno()
        raise OSError(code, f"seccomp: {os.strerror(code)}")


def _body(rule: Rule) -> list[bytes]:
    """What follows a matching number; where no condition decides, the number is loaded again."""
    deny = _give(rule.error)
    if rule.unless_argument:
        index, values = rule.unless_argument
        high = [_load(_argument(index) + 4), _op(_JEQ, 0, 1, 0), deny] if 0 in values else []
        tests = [
            _op(_JEQ, value & 0xFFFFFFFF, len(values) - place, 0)
            for place, value in enumerate(values)
        ]
        return [*high, _load(_argument(index)), *tests, deny, _op(_RETURN, _ALLOW)]
    if rule.only_argument:
        index, value = rule.only_argument
        test = _op(_JEQ, value & 0xFFFFFFFF, 0, 1)
        return [_load(_argument(index)), test, deny, _load(_OFFSET_NUMBER)]
    if rule.unless_bits:
        index, mask = rule.unless_bits
        return [_load(_argument(index)), _op(_JSET, mask, 1, 0), deny, _op(_RETURN, _ALLOW)]
    if rule.if_bits:
        index, mask = rule.if_bits
        tests = [_op(_JSET, mask, 0, 1 + bool(rule.but_not_bits))]
        if rule.but_not_bits:
            tests.append(_op(_JSET, rule.but_not_bits, 1, 0))
        return [_load(_argument(index)), *tests, deny, _load(_OFFSET_NUMBER)]
    return [deny]


def _argument(index: int) -> int:
    """Where the low half of an argument lies in ``seccomp_data`` (little endian)."""
    return 16 + 8 * index


def _load(offset: int) -> bytes:
    return _op(_LD_WORD, offset)


def _give(error: int) -> bytes:
    return _op(_RETURN, _ERRNO | error)


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
