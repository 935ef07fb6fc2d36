# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A jail's ``/dev``: a tmpfs with real device nodes, made on the host, because a user namespace cannot make any
(user_namespaces(7))."""

from __future__ import annotations

import os
import stat

from ..kernel import mounts
from ..kernel.mounts import NOEXEC, NOSUID
from . import policy


def create(owner: int) -> int:
    """A detached tmpfs with the standard nodes, links and mount points, all owned by the host id ``owner``.

    The nodes are made here and not bound from the host's /dev, so nothing that lies there can be taken for one of
    them.
    """
    options = {"mode": "0755", **policy.DEV_LIMITS, "uid": str(owner), "gid": str(owner)}
    devices = mounts.create("tmpfs", options, NOSUID | NOEXEC)
    mask = os.umask(0)
    try:
        for name, (major, minor) in policy.DEVICES.items():
            os.mknod(name, stat.S_IFCHR | 0o666, os.makedev(major, minor), dir_fd=devices)
            os.chown(name, owner, owner, dir_fd=devices, follow_symlinks=False)
        for name, target in policy.DEVICE_LINKS.items():
            os.symlink(target, name, dir_fd=devices)
            os.chown(name, owner, owner, dir_fd=devices, follow_symlinks=False)
        for name in ("pts", "shm", "mqueue"):
            os.mkdir(name, 0o755, dir_fd=devices)
            os.chown(name, owner, owner, dir_fd=devices, follow_symlinks=False)
    finally:
        os.umask(mask)
    return devices
