"""Landlock: a process gives up the file system, but for the places it names, for good.

Works without privileges and for root alike. What the kernel does not know (its ABI is asked at run
time) is left out of the rules; ``sandbox.py`` decides whether that is enough.

Source: the kernel's ``include/uapi/linux/landlock.h`` and Documentation/userspace-api/landlock.rst.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path

# The same numbers on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_DIR, REMOVE_FILE = 1 << 4, 1 << 5
MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK = 1 << 6, 1 << 7, 1 << 8, 1 << 9
MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = 1 << 10, 1 << 11, 1 << 12
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15

READ = EXECUTE | READ_FILE | READ_DIR
WRITE = (
    WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SYM | MAKE_FIFO
    | REFER | TRUNCATE
)  # fmt: skip
_OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV

_NET_ALL = 3
_SCOPE_ABSTRACT_SOCKET, _SCOPE_SIGNAL = 1, 2


class _RulesetAttr(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def abi() -> int:
    """The kernel's Landlock version; 0: there is none, or something forbids asking."""
    version = _libc().syscall(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
    return max(int(version), 0)


def known_access(version: int) -> int:
    """Every file access that a Landlock version knows."""
    access = (1 << 13) - 1
    for since, right in ((2, REFER), (3, TRUNCATE), (5, IOCTL_DEV)):
        if version >= since:
            access |= right
    return access


def restrict(
    readable: Iterable[Path], writable: Iterable[Path] = (), *, network: bool = False
) -> None:
    """Gives up everything but reading some places and writing others, for this process for good.

    Args:
        readable: Files and folders that may be read and executed; absent ones are left out.
        writable: Files and folders that may be written too.
        network: TCP stays possible (ABI 4 and later deny it otherwise).

    Raises:
        OSError: The kernel has no Landlock, or refused.

    Side effects: also keeps the process from gaining privileges, and, from ABI 6, from signalling
        any process that does not descend from it.
    """
    version = abi()
    if not version:
        raise OSError(errno.ENOSYS, "the kernel offers no Landlock here")
    known = known_access(version)
    attributes = _RulesetAttr(
        known,
        _NET_ALL if version >= 4 and not network else 0,
        _SCOPE_SIGNAL | (0 if network else _SCOPE_ABSTRACT_SOCKET) if version >= 6 else 0,
    )
    # An older kernel takes a longer structure too where what it does not know is zero.
    ruleset = _call(_CREATE_RULESET, ctypes.byref(attributes), ctypes.sizeof(attributes), 0)
    try:
        for path in readable:
            _allow(ruleset, path, READ & known)
        for path in writable:
            _allow(ruleset, path, (READ | WRITE) & known)
        no_new_privileges()
        _call(_RESTRICT_SELF, ruleset, 0, 0)
    finally:
        os.close(ruleset)


def no_new_privileges() -> None:
    """No program that this process executes gains privileges; both kernel filters ask for it."""
    if _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")


def _allow(ruleset: int, path: Path, access: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(parent).st_mode):
            access &= _OF_A_FILE
        rule = _PathBeneathAttr(access, parent)
        # A place that is no file system (a pipe behind /dev/stdin) needs no rule.
        with contextlib.suppress(OSError):
            _call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(parent)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc().syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return result


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
