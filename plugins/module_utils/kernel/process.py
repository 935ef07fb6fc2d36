# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes: fork with a child that cannot come back, descriptors, prctl(2) attributes."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import signal
import sys
from collections.abc import Iterable
from typing import Callable

from .syscalls import check, libc, prctl, syscall

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_KEYCTL_JOIN_SESSION_KEYRING = 1
_IOPRIO_WHO_PROCESS = 1
_PR_SET_SECUREBITS = 28
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
PERSONALITIES = {"linux": 0x0, "linux32": 0x8}
"""Execution domains (``PER_*`` of ``linux/personality.h``); with ``linux32`` uname(2) names the 32-bit machine."""
_LIBRARY_SIGNALS = (32, 33)  # the C library keeps these to itself (signal(7)), and hands on that they are ignored
_NO_SETUID_FIXUP = 1 << 2  # SECBIT_NO_SETUID_FIXUP of linux/securebits.h
_SIGACTION_BYTES, _SIGSET_BYTES = 32, 8  # struct sigaction and sigset_t of the kernel; all zero is SIG_DFL


def fork(child: Callable[[], None]) -> int:
    """Fork; the child runs ``child`` and ends with status 0, or 70 when that raised. Gives the child's pid."""
    pid = os.fork()
    if pid:
        return pid
    status = 70
    gc.disable()  # a collection would copy the parent's memory, page by page
    try:
        child()
        status = 0
    finally:
        os._exit(status)


def wait(pid: int) -> int:
    """Wait for a child; its exit status, or 128 plus the signal that ended it, as shells count."""
    status = os.waitpid(pid, 0)[1]
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def await_end(pid: int) -> None:
    """Wait until a child has ended, and leave it and its number there (waitid(2), WNOWAIT)."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def open_standard_streams() -> None:
    """Open /dev/null in the place of standard streams that are closed, so that nothing else gets their numbers."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def close_all_but(keep: Iterable[int]) -> None:
    """Close every descriptor but those in ``keep`` (close_range(2))."""
    start = 0
    for descriptor in sorted(set(keep)):
        if descriptor > start:
            syscall("close_range", start, descriptor - 1, 0)
        start = descriptor + 1
    syscall("close_range", start, 0xFFFFFFFF, 0)


def forbid_imports() -> None:
    """Make every further import fail: after a change of root it would load the guest's file."""
    sys.path[:] = []
    sys.path_hooks[:] = []
    sys.meta_path[:] = [finder for finder in sys.meta_path if getattr(finder, "__name__", "") == "BuiltinImporter"]


def reset_signals() -> None:
    """Give ignored signals their default action and unblock all: an exec keeps both, and Python ignores SIGPIPE."""
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    for reserved in _LIBRARY_SIGNALS:
        syscall("rt_sigaction", reserved, bytes(_SIGACTION_BYTES), None, _SIGSET_BYTES)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def die_with_parent() -> None:
    """Have the kernel send SIGKILL to this process when its parent ends (PR_SET_PDEATHSIG)."""
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans(adopt: bool) -> None:
    """Become, or cease to be, the parent of orphaned descendants (PR_SET_CHILD_SUBREAPER)."""
    prctl(_PR_SET_CHILD_SUBREAPER, int(adopt))


def act_as(user: int) -> None:
    """Take an effective user id and keep all capabilities (capabilities(7), "The securebits flags").

    For a process that is about to make a user namespace, which gives it the usual flags back. The kernel forgets
    PR_SET_PDEATHSIG over it.
    """
    prctl(_PR_SET_SECUREBITS, _NO_SETUID_FIXUP)
    os.setresuid(-1, user, -1)


def forget_keys() -> None:
    """Have a session keyring of our own, empty, in place of that of our caller (session-keyring(7))."""
    try:
        syscall("keyctl", _KEYCTL_JOIN_SESSION_KEYRING, None)
    except OSError as error:
        if error.errno != errno.ENOSYS:  # a kernel without keys
            raise


def be_ordinary() -> None:
    """Have the default scheduling policy, and no better priority than the default, on the CPU and on disks."""
    if os.sched_getscheduler(0) not in (os.SCHED_OTHER, os.SCHED_BATCH, os.SCHED_IDLE):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    if os.getpriority(os.PRIO_PROCESS, 0) < 0:
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    syscall("ioprio_set", _IOPRIO_WHO_PROCESS, 0, 0)


def hide_memory() -> None:
    """Make this process untraceable until its next exec (PR_SET_DUMPABLE)."""
    prctl(_PR_SET_DUMPABLE, 0)


def show_memory() -> None:
    """Undo :func:`hide_memory`."""
    prctl(_PR_SET_DUMPABLE, 1)


def forbid_new_privileges() -> None:
    """From here on no exec gives privileges (PR_SET_NO_NEW_PRIVS)."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def set_personality(number: int) -> None:
    """Change the execution domain of this process and its children (personality(2))."""
    check(libc.personality(ctypes.c_ulong(number)), "personality")
