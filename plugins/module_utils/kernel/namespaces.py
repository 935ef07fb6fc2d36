# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces: leave the old ones, join others, map user ids (namespaces(7), user_namespaces(7))."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from collections.abc import Iterator, Mapping

from . import ioctl
from .syscalls import check, libc

CLONE_NEWTIME = 0x00000080
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

CLOCKS = ("monotonic", "boottime")
"""Those that a time namespace moves (time_namespaces(7)). The time of day is one for the whole machine."""

_GET_PARENT = ioctl.Request("NS_GET_PARENT", 0xB702)  # linux/nsfs.h: _IO(NSIO, 0x2)

KINDS = {
    "mnt": CLONE_NEWNS,
    "pid": CLONE_NEWPID,
    "net": CLONE_NEWNET,
    "ipc": CLONE_NEWIPC,
    "uts": CLONE_NEWUTS,
    "cgroup": CLONE_NEWCGROUP,
    "user": CLONE_NEWUSER,
}


def unshare(flags: int) -> None:
    """unshare(2). A new pid namespace takes effect for the next child."""
    check(libc.unshare(ctypes.c_int(flags)), "unshare")


def setns(descriptor: int, flags: int) -> None:
    """setns(2); ``descriptor`` is a namespace, or a pidfd with any number of ``flags`` (kernel 5.8)."""
    check(libc.setns(ctypes.c_int(descriptor), ctypes.c_int(flags)), "setns")


def identity(pid: int, kind: str) -> int:
    """The inode number that names a process's namespace of this kind."""
    return os.stat(f"/proc/{pid}/ns/{kind}").st_ino


def open_namespace(pid: int, kind: str) -> int:
    """A descriptor of a process's namespace of this kind."""
    return os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)


def parent(namespace: int) -> int:
    """A descriptor of the user namespace above the one of which this is a descriptor (ioctl_nsfs(2)).

    :raises OSError: ``EPERM`` above the one that we are in.
    """
    return ioctl.call(namespace, _GET_PARENT)


def is_below(pid: int, other: int) -> bool:
    """Whether the user namespace of ``pid`` is one below that of the process ``other``, at any depth."""
    wanted = identity(other, "user")
    current = open_namespace(pid, "user")
    try:
        while True:
            above = parent(current)
            os.close(current)
            current = above
            if os.fstat(current).st_ino == wanted:
                return True
    except PermissionError:  # we have come to our own
        return False
    finally:
        os.close(current)


def open_root(pid: int) -> int:
    """A descriptor of a process's root directory, as the process sees it (proc_pid_root(5))."""
    return os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


@contextlib.contextmanager
def inside(namespace: int, kind: str) -> Iterator[None]:
    """Be in a namespace of one kind (``net`` or ``uts``), of which this is a descriptor, for a ``with`` block; sockets
    opened there stay there."""
    home = open_namespace(os.getpid(), kind)
    try:
        setns(namespace, KINDS[kind])
        try:
            yield
        finally:
            setns(home, KINDS[kind])
    finally:
        os.close(home)


def set_hostname(name: str) -> None:
    """Set the host name of the UTS namespace that we are in (sethostname(2))."""
    socket.sethostname(name)


def is_own(pid: int, kind: str) -> bool:
    """Whether ``pid`` is in our own namespace of this kind."""
    return identity(pid, kind) == os.stat(f"/proc/self/ns/{kind}").st_ino


def open_clocks() -> int:
    """A descriptor for :func:`set_clocks`, opened by who may still open it."""
    return os.open("/proc/self/timens_offsets", os.O_WRONLY | os.O_CLOEXEC)


def set_clocks(descriptor: int, offsets: Mapping[str, int]) -> None:
    """Move the clocks of the time namespace that our children will be in, by seconds; before the first of them."""
    os.write(descriptor, "".join(f"{clock} {offsets[clock]} 0\n" for clock in CLOCKS).encode())


def clocks(pid: int) -> dict[str, int]:
    """By how many seconds the clocks of a process are moved; nothing on a kernel without time namespaces."""
    try:
        with open(f"/proc/{pid}/timens_offsets", encoding="ascii") as file:
            lines = [line.split() for line in file]
    except FileNotFoundError:
        return {}
    return {clock: int(seconds) for clock, seconds, _nanoseconds in lines}
