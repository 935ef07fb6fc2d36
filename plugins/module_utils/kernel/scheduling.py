# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the kernel shares out CPUs among threads: policy, nice value (sched(7)), and which of them may run on one core
at a time (the kernel's admin-guide/hw-vuln/core-scheduling).

Each thread has its own; what it makes inherits them. 0 is ourselves.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from collections.abc import Iterable
from typing import NamedTuple

from . import process
from .syscalls import prctl

NICE_MIN, NICE_MAX = -20, 19
_RESET_ON_FORK = 0x40000000  # SCHED_RESET_ON_FORK of linux/sched.h
_PR_SCHED_CORE = 62
_GET, _CREATE, _SHARE_TO, _SHARE_FROM = range(4)  # PR_SCHED_CORE_* of linux/prctl.h
_THREAD, _PROCESS = range(2)  # PR_SCHED_CORE_SCOPE_*

_POLICIES = {
    "other": os.SCHED_OTHER,
    "batch": os.SCHED_BATCH,
    "idle": os.SCHED_IDLE,
    "fifo": os.SCHED_FIFO,
    "rr": os.SCHED_RR,
}
NAMES = tuple(_POLICIES)
REAL_TIME = ("fifo", "rr")
PRIORITIES = (1, 99)
"""Of the real-time policies; the others have none but 0."""


class Policy(NamedTuple):
    """One of :data:`NAMES`, or what the kernel has that is none of them; and a priority."""

    name: str
    priority: int = 0


def policy(thread: int) -> Policy:
    """The policy of a thread."""
    number = os.sched_getscheduler(thread) & ~_RESET_ON_FORK
    name = next((name for name, value in _POLICIES.items() if value == number), str(number))
    return Policy(name, os.sched_getparam(thread).sched_priority)


def set_policy(thread: int, wanted: Policy) -> None:
    """Give a thread a policy.

    :raises OSError: ``EPERM`` without CAP_SYS_NICE, or where its control group has no real time (version 1).
    """
    os.sched_setscheduler(thread, _POLICIES[wanted.name], os.sched_param(wanted.priority))


def nice(thread: int) -> int:
    """The nice value of a thread."""
    return os.getpriority(os.PRIO_PROCESS, thread)


def set_nice(thread: int, wanted: int) -> None:
    """Set it; less than it is takes CAP_SYS_NICE."""
    os.setpriority(os.PRIO_PROCESS, thread, wanted)


def threads(pid: int) -> list[int]:
    """The threads of a process; none when it is gone."""
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except (FileNotFoundError, ProcessLookupError):
        return []


def has_core(thread: int) -> bool:
    """Whether a thread shares a core only with those that have its cookie; no on a kernel that knows nothing of it, or
    without threads of one core."""
    cookie = ctypes.c_ulong(0)
    try:
        prctl(_PR_SCHED_CORE, _GET, thread, _THREAD, ctypes.addressof(cookie))
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENODEV):
            return False
        raise
    return cookie.value != 0


def make_core(pid: int) -> None:
    """Give a process a new cookie.

    :raises OSError: ``EINVAL`` on a kernel without core scheduling, ``ENODEV`` on CPUs whose cores have one
        thread each.
    """
    prctl(_PR_SCHED_CORE, _CREATE, pid, _PROCESS, 0)


def take_core(pid: int) -> None:
    """Take over the cookie of a process."""
    prctl(_PR_SCHED_CORE, _SHARE_FROM, pid, _THREAD, 0)


def share_core(source: int | None, pids: Iterable[int]) -> None:
    """Give processes the cookie of another one, or ours, which is none. One that has ended is no error.

    In a child of ours, which has it too then.
    """

    def share() -> None:
        try:
            if source is not None:
                take_core(source)
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    prctl(_PR_SCHED_CORE, _SHARE_TO, pid, _PROCESS, 0)
        except OSError as error:
            os._exit(error.errno or errno.EIO)

    number = process.wait(process.fork(share))
    if number:
        raise OSError(number, os.strerror(number))
