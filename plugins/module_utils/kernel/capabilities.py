# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capability sets of a process (capabilities(7))."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable

from .syscalls import prctl, syscall

# The order is that of linux/capability.h: the index is the capability's number.
NAMES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)  # fmt: skip

_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def to_mask(names: Iterable[str]) -> int:
    """The bit mask of capability names; ``KeyError`` names one that does not exist."""
    number = {name: index for index, name in enumerate(NAMES)}
    return sum(1 << number[name] for name in set(names))


def to_names(mask: int) -> list[str]:
    """The names in a bit mask, in the kernel's order; bits newer than this table show as ``CAP_<number>``."""
    numbers = [bit for bit in range(mask.bit_length()) if mask >> bit & 1]
    return [NAMES[bit] if bit < len(NAMES) else f"CAP_{bit}" for bit in numbers]


def last_capability() -> int:
    """The highest capability number that this kernel has."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        return int(file.read())


def effective() -> list[str]:
    """The names of the capabilities that this process has now."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return to_names(next(int(line.split()[1], 16) for line in file if line.startswith("CapEff:")))


def limit_bounding_set(keep: int, last: int) -> None:
    """Drop every capability up to number ``last`` that is not in the mask ``keep`` from the bounding set, for
    ever."""
    for number in range(last + 1):
        if not keep >> number & 1:
            prctl(_PR_CAPBSET_DROP, number)


def set_all(mask: int) -> None:
    """Make ``mask`` the effective and permitted set; inheritable and ambient become empty."""
    prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = _Header(_VERSION_3, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = (_Data * 2)(_Data(low, low, 0), _Data(high, high, 0))
    syscall("capset", ctypes.byref(header), ctypes.byref(data))
