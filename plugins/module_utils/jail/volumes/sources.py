# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host directories that are given into jails, and what is refused of them.

A path is looked up once, without following links, and what was opened is what is checked and mounted.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

from ... import layout
from ...errors import JailError
from ...kernel import mounts, paths
from ...kernel.mounts import Mounted
from .words import Volume

OPTION = "mounts"
_OURS = (layout.ETC, layout.LIB, layout.RUN, layout.LOG, layout.RUNTIME, os.path.dirname(layout.SECCOMP))
"""Of a jail's own, of all jails together, or the host's say over them: no jail is given any of it, nor what it lies
in."""

_KERNELS = {
    "autofs", "binder", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs",
    "efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs", "pipefs", "proc", "pstore", "resctrl", "rpc_pipefs",
    "securityfs", "selinuxfs", "smackfs", "sockfs", "sysfs", "tracefs",
}  # fmt: skip
"""File systems that are windows into the kernel."""


class Place(NamedTuple):
    """Where a file lies, whatever it is called: the device of its file system, and the path within it."""

    device: str
    path: str

    def holds(self, other: Place) -> bool:
        """Whether the other one is this one or below it."""
        prefix = self.path.rstrip("/") + "/"
        return self.device == other.device and (other.path == self.path or other.path.startswith(prefix))


def open_source(volume: Volume, path: str, hosts_ids: bool) -> int:
    """A descriptor of a directory or regular file that a jail may be given.

    :param hosts_ids: whether the jail shares the host's user namespace.
    :raises JailError: when it is missing, a link, or none that may be given.
    """
    try:
        descriptor = paths.open_host(path)
    except OSError as error:
        advice = "name it without symbolic links" if error.errno == errno.ELOOP else None
        raise JailError(f"{path}: {os.strerror(error.errno or 0)}", option=OPTION, advice=advice) from error
    try:
        _check(volume, path, descriptor, hosts_ids)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def place_of(descriptor: int) -> Place:
    """Where an open file lies."""
    return _place(descriptor, _mount_of(descriptor))


def _check(volume: Volume, path: str, descriptor: int, hosts_ids: bool) -> None:
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISDIR(mode) and not (stat.S_ISREG(mode) and volume["type"] == "bind"):
        raise JailError(f"{path} is neither a directory nor a regular file", option=OPTION)
    mount = _mount_of(descriptor)
    if mount.fstype in _KERNELS:
        raise JailError(f"{path} lies on {mount.fstype}, which belongs to the host's kernel", option=OPTION)
    place = _place(descriptor, mount)
    for ours in filter(os.path.isdir, _OURS):
        with paths.opened(os.open(ours, os.O_PATH | os.O_CLOEXEC)) as directory:
            other = place_of(directory)
        if place.holds(other) or other.holds(place):
            raise JailError(f"{path} holds or is part of {ours}, the collection's own", option=OPTION)
    if _written_as_root(volume, path, hosts_ids) and _reachable(path):
        raise JailError(
            f"{path} can be reached by users of the host, who could run a setuid program of root's that the jail's "
            "root puts there",
            option=OPTION,
            advice="keep it below a directory of root's with mode 0700, or give it with read_only=true"
            + ("" if hosts_ids else " or idmapped=false"),
        )


def _written_as_root(volume: Volume, path: str, hosts_ids: bool) -> bool:
    """Whether files that the jail's root writes there belong to the host's root."""
    as_root = volume["idmapped"] or hosts_ids
    return as_root and not volume["read_only"] and path not in volume["lower"]


def _reachable(path: str) -> bool:
    """Whether anybody but root can come to a file: not when any directory above it is root's alone. (Its own mode is
    the jail's to change.)"""
    while path != "/":
        path = os.path.dirname(path)
        status = os.stat(path)
        group = status.st_gid != 0 and status.st_mode & stat.S_IXGRP
        if status.st_uid == 0 and not status.st_mode & stat.S_IXOTH and not group:
            return False
    return True


def _mount_of(descriptor: int) -> Mounted:
    """The line of the mount table for the mount by which a file was opened."""
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as file:
        number = next(line.split()[1] for line in file if line.startswith("mnt_id:"))
    return next(mount for mount in mounts.mount_table() if mount.number == number)


def _place(descriptor: int, mount: Mounted) -> Place:
    path = os.readlink(paths.name_of(descriptor))
    below = os.path.relpath(path, mount.target)
    return Place(mount.device, os.path.normpath(os.path.join(mount.root, below)))
