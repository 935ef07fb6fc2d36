# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""System calls that Python's standard library does not have.

Numbers come from the kernel's ``arch/x86/entry/syscalls/syscall_64.tbl`` and from
``include/uapi/asm-generic/unistd.h`` (aarch64); from 424 on all architectures share them.
Every wrapper raises :class:`OSError` whose text names the call: ``[Errno 1] move_mount: Operation not permitted``.
"""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Any, Union

_SHARED = {
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "close_range": 436,
    "openat2": 437,
    "mount_setattr": 442,
    "quotactl_fd": 443,
}
_BY_MACHINE = {
    "x86_64": {
        "rt_sigaction": 13,
        "pivot_root": 155,
        "capset": 126,
        "renameat2": 316,
        "seccomp": 317,
        "bpf": 321,
        "keyctl": 250,
        "ioprio_set": 251,
    },
    "aarch64": {
        "rt_sigaction": 134,
        "pivot_root": 41,
        "capset": 91,
        "renameat2": 276,
        "seccomp": 277,
        "bpf": 280,
        "keyctl": 219,
        "ioprio_set": 30,
    },
}

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000

Argument = Union[int, bytes, None, Any]

libc = ctypes.CDLL(None, use_errno=True)
_syscall = libc.syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = [ctypes.c_long] + [ctypes.c_void_p] * 6


def fail(call: str, target: str | None = None) -> OSError:
    """The :class:`OSError` for the error number that the last C call left behind."""
    number = ctypes.get_errno()
    text = f"{call}: {os.strerror(number)}"
    return OSError(number, text, target) if target is not None else OSError(number, text)


def check(result: int, call: str, target: str | None = None) -> int:
    """Give back ``result``, or raise when it is the -1 of a failed call."""
    if result == -1:
        raise fail(call, target)
    return result


def number_of(name: str) -> int:
    """The number of a system call on this machine; ``OSError(ENOSYS)`` on an architecture that has no table here."""
    if name in _SHARED:
        return _SHARED[name]
    try:
        return _BY_MACHINE[platform.machine()][name]
    except KeyError:
        raise OSError(38, f"{name}: no system call number is known for {platform.machine()}") from None


def syscall(name: str, *arguments: Argument, target: str | None = None) -> int:
    """Call ``name`` by syscall(2); ``target`` is what an error names (a path, a file system type)."""
    padded = list(arguments) + [0] * (6 - len(arguments))
    return check(_syscall(number_of(name), *padded), name, target)


def prctl(option: int, *arguments: int) -> int:
    """prctl(2)."""
    padded = [ctypes.c_ulong(value) for value in arguments] + [ctypes.c_ulong(0)] * (4 - len(arguments))
    return check(libc.prctl(ctypes.c_int(option), *padded), f"prctl({option})")
