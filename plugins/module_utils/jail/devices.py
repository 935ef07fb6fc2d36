# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A jail's ``/dev``: a tmpfs with real device nodes, made on the host, because a user namespace cannot make any
(user_namespaces(7)); and the cgroup's rules for what its processes may open, wherever a node should come from."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

from ..errors import JailError
from ..kernel import mounts, paths
from ..kernel.cgroup.group import Group
from ..kernel.devicefilter import Rule
from ..kernel.mounts import NOEXEC, NOSUID
from . import policy
from .isolation.record import Node

OPTION = "devices"
_TYPES = {"b": stat.S_IFBLK, "c": stat.S_IFCHR}


def create(owner: int, more: Sequence[Node] = ()) -> int:
    """A detached tmpfs with the standard nodes and others, links and mount points, all owned by the host id ``owner``.

    The nodes are made here and not bound from the host's /dev, so nothing that lies there can be taken for one of
    them.
    """
    options = {"mode": "0755", **policy.DEV_LIMITS, "uid": str(owner), "gid": str(owner)}
    devices = mounts.create("tmpfs", options, NOSUID | NOEXEC)
    mask = os.umask(0)
    try:
        for name, (major, minor) in policy.DEVICES.items():
            make(devices, Node(name, "c", major, minor, "rw", 0o666), owner)
        for name, target in policy.DEVICE_LINKS.items():
            os.symlink(target, name, dir_fd=devices)
            os.chown(name, owner, owner, dir_fd=devices, follow_symlinks=False)
        for name in ("pts", "shm", "mqueue"):
            os.mkdir(name, 0o755, dir_fd=devices)
            os.chown(name, owner, owner, dir_fd=devices, follow_symlinks=False)
        for node in more:
            make(devices, node, owner)
    finally:
        os.umask(mask)
    return devices


def make(devices: int, node: Node, owner: int) -> None:
    """Make one node in a jail's /dev; what bears its name is replaced. The umask must be clear."""
    folder, name = os.path.split(node.name)
    with paths.opened(_folder(devices, folder, owner)) as directory:
        paths.remove_tree(directory, name)
        os.mknod(name, _TYPES[node.kind] | node.mode, os.makedev(node.major, node.minor), dir_fd=directory)
        os.chown(name, owner, owner, dir_fd=directory, follow_symlinks=False)


def _folder(devices: int, path: str, owner: int) -> int:
    """A descriptor of a directory in /dev, made where it is missing."""
    directory = os.dup(devices)
    for part in filter(None, path.split("/")):
        with paths.opened(directory):
            try:
                os.mkdir(part, 0o755, dir_fd=directory)
                os.chown(part, owner, owner, dir_fd=directory, follow_symlinks=False)
            except FileExistsError:
                pass
            resolve = paths.RESOLVE_BENEATH | paths.RESOLVE_NO_SYMLINKS | paths.RESOLVE_NO_XDEV
            directory = paths.openat2(directory, part, os.O_PATH | os.O_DIRECTORY, resolve)
    return directory


def rules(more: Sequence[Node]) -> list[Rule]:
    """What the processes of a jail with these nodes may open."""
    standard = [*policy.DEVICES.values(), *policy.TERMINALS]
    found = [Rule("c", major, minor, "rw") for major, minor in standard]
    return [*found, *(Rule(node.kind, node.major, node.minor, node.access) for node in more)]


def restrict(group: Group, more: Sequence[Node]) -> bool:
    """Let a cgroup open nothing else, where the host can.

    :returns: whether it can.
    :raises JailError: when it cannot, and has to keep anybody from more than reading or from more than writing.
    """
    try:
        group.restrict_devices(rules(more))
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EACCES):
            raise
        if more:
            raise JailError(
                f"the host cannot filter devices by control group: {error.strerror}",
                option=OPTION,
                advice="mount the cgroup controller 'devices' (version 1), or allow bpf (version 2)",
            ) from error
        return False
    return True
