# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rootfs layer against the real kernel, as root: builds, copies, kills, full disks, hostile trees."""

from __future__ import annotations

import os
import stat

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import (
    capabilities,
    idmap,
    mounts,
    namespaces,
    paths,
    process,
)

FIRST_ID = 1_000_000_000
# The bounding set of a default jail, from ISOLATION.md.
BASELINE = (
    *("CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "SETGID", "SETUID", "SETFCAP", "SETPCAP"),
    *("NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"),
)
NODES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}


def confine_stand_in(tree: str, command: list[str], output: int) -> int:
    """What the jail layer's launcher does for a builder, without seccomp, cgroup and masks: a user namespace of 65536 ids,
    the tree idmapped, no network, no mknod, no mount. It stands here so that this layer can be tested without that one."""
    user = _user_namespace()
    tree_mount = idmap.idmapped(tree, user, mounts.NODEV)

    def guard() -> None:
        process.die_with_parent()
        kinds = ("mnt", "pid", "net", "ipc", "uts")
        namespaces.unshare(sum(namespaces.KINDS[kind] for kind in kinds))
        os._exit(process.wait(process.fork(init)))

    def init() -> None:
        process.die_with_parent()
        mounts.make_private()
        with paths.opened(paths.open_directory(tree)) as place:
            mounts.attach(tree_mount, place)
        root = paths.open_directory(tree)
        for name, mount in (("dev", _dev()), ("proc", mounts.create("proc", {})), ("sys", _sys())):
            mounts.attach(mount, root, name)
        mounts.pivot_into(root)
        namespaces.setns(user, namespaces.CLONE_NEWUSER)
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        keep = capabilities.to_mask(BASELINE)
        capabilities.limit_bounding_set(keep, 40)
        capabilities.set_all(keep)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        process.close_all_but((0, 1, 2))
        process.reset_signals()
        os.execve(command[0], command, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})

    with paths.opened(user), paths.opened(tree_mount):
        return process.wait(process.fork(guard))


def _user_namespace() -> int:
    ready, done = os.pipe(), os.pipe()

    def holder() -> None:
        namespaces.unshare(namespaces.CLONE_NEWUSER)
        os.write(ready[1], b".")
        os.close(done[1])
        os.read(done[0], 1)

    pid = process.fork(holder)
    os.read(ready[0], 1)
    idmap.map_ids(pid, FIRST_ID, 65536)
    descriptor = namespaces.open_namespace(pid, "user")
    for end in (*ready, *done):
        os.close(end)
    process.wait(pid)
    return descriptor


def _dev() -> int:
    dev = mounts.create("tmpfs", {"mode": "0755", "size": "1m"})
    for name, (major, minor) in NODES.items():
        os.mknod(name, stat.S_IFCHR | 0o666, os.makedev(major, minor), dir_fd=dev)
        os.chmod(name, 0o666, dir_fd=dev)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(target, name, dir_fd=dev)
    return dev


def _sys() -> int:
    with paths.opened(paths.open_directory("/sys")) as sys:
        mount = mounts.clone(sys)
    mounts.set_attributes(mount, mounts.RDONLY)
    return mount
