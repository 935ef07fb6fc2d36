# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build a jail's root from inside its namespaces, as pid 1 to be.

Runs in a process that is root of the new user namespace and still sees the host's tree. Mounts go on descriptors;
what lies in the jail's own tree is looked up in-root and without following links, so a tree that makes ``/dev`` or
``/proc`` a link to elsewhere is refused instead of followed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import Callable, NamedTuple

from .. import layout
from ..kernel import mounts, paths
from ..kernel.mounts import NODEV, NOEXEC, NOSUID, RDONLY
from ..rootfs import layers, toolbox
from . import policy


class Tree(NamedTuple):
    """Detached mounts, already idmapped, that a root is made of. ``upper`` is ``None`` for an empty root, ``lower`` for
    a tree without layers, ``tools`` where there are none to find, ``system`` where the jail can mount a sysfs itself;
    the last two are of a tree to work on, if any."""

    devices: int
    upper: int | None = None
    lower: int | None = None
    tools: int | None = None
    system: int | None = None
    subject_upper: int | None = None
    subject_lower: int | None = None


def _writable(upper: int, work: int) -> Mapping[str, str | None]:
    return {"lowerdir": "lower", "upperdir": paths.name_of(upper), "workdir": paths.name_of(work), "userxattr": None}


def _read_only(upper: int, _work: int) -> Mapping[str, str | None]:
    # Without an upper directory nothing at all is written, not even to the directory "work".
    return {"lowerdir": f"{paths.name_of(upper)}:lower", "userxattr": None}


def root_of(tree: Tree) -> int:
    """Put the layers together; a descriptor of the new root, which is a mount of this namespace."""
    if tree.upper is not None:
        return _put_together(tree.upper, tree.lower, _writable)
    empty = mounts.create("tmpfs", {"mode": "0755", "size": "1m"}, NOSUID | NODEV)
    return _put_together(empty, None, _writable)


def subject_of(tree: Tree, writable: bool) -> int | None:
    """The same for the tree to work on; ``None`` where there is none."""
    if tree.subject_upper is None:
        return None
    return _put_together(tree.subject_upper, tree.subject_lower, _writable if writable else _read_only)


def _put_together(upper: int, lower: int | None, options: Callable[[int, int], Mapping[str, str | None]]) -> int:
    """A descriptor of the mount of a tree.

    The parts are attached below a tmpfs of our own, over :data:`layout.RUN` and visible in this mount namespace
    only: overlayfs before Linux 6.13 takes its layers by name and only from the mounter's own mount namespace.
    """
    staging = mounts.create("tmpfs", {"mode": "0700", "size": "64k"}, NOSUID | NODEV | NOEXEC)
    with paths.opened(paths.open_directory(layout.RUN)) as place:
        mounts.attach(staging, place)
    for name in ("lower", "upper", "root"):
        os.mkdir(name, dir_fd=staging)
    if lower is None:
        mounts.attach(upper, staging, "root")
    else:
        mounts.attach(lower, staging, "lower")
        mounts.attach(upper, staging, "upper")
        # Relative names and numbers of descriptors, because /proc/mounts shows them as given: a jail learns nothing of
        # the host's paths.
        os.fchdir(staging)
        with layers.writable_parts(upper) as parts:
            mounts.attach(mounts.create("overlay", options(*parts), NODEV), staging, "root")
    return os.open("root", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=staging)


def place_subject(root: int, subject: int) -> None:
    """Move the tree to work on to :data:`toolbox.SUBJECT`, in a root that is furnished."""
    folder, _slash, name = toolbox.SUBJECT.rpartition("/")
    os.close(paths.make_directory(root, folder))
    with paths.opened(paths.make_directory(root, f"{folder}/{name}")) as target:
        mounts.attach(subject, target)


def system() -> int:
    """A sysfs, as who makes it may see it, that nobody can write to."""
    return mounts.create("sysfs", {}, NOSUID | NODEV | NOEXEC | RDONLY)


def furnish(root: int, tree: Tree, ptys: int) -> Mapping[str, int]:
    """Mount what a jail finds in its root: /dev, /proc, /sys, /run.

    :param ptys: how many pseudoterminals there can be.
    :returns: descriptors of /proc and /sys by path. Who is in another mount namespace and has a descriptor of the
        tree's root directory can give mount points other names.
    """
    devices = tree.devices
    _mount(root, "/dev", devices)
    _devices(devices, ptys)
    proc = _mount(root, "/proc", mounts.create("proc", {}, NOSUID | NODEV | NOEXEC))
    sysfs = _mount(root, "/sys", system() if tree.system is None else tree.system)
    run = _mount(root, "/run", mounts.create("tmpfs", {"mode": "0755", **policy.RUN_LIMITS}, NOSUID | NODEV))
    os.mkdir("lock", dir_fd=run)  # Debian's programs expect it, and Debian's systemd a mount of its own there
    locks = mounts.create("tmpfs", {"mode": "1777", **policy.LOCK_LIMITS}, NOSUID | NODEV | NOEXEC)
    mounts.attach(locks, run, "lock")
    os.close(locks)
    if tree.tools is not None:
        mounts.attach(tree.tools, paths.make_directory(run, os.path.basename(toolbox.PLACE), 0o755))
    return {"/proc": proc, "/sys": sysfs}


def mount_groups() -> None:
    """Mount the unified hierarchy, from the group on in which we were when the cgroup namespace was made
    (cgroup_namespaces(7)), where every system has it. The root is the jail's own by now."""
    groups = mounts.create("cgroup2", {}, NOSUID | NODEV | NOEXEC)
    with paths.opened(groups), paths.opened(paths.open_directory(policy.GROUPS)) as target:
        mounts.attach(groups, target)


def _mount(root: int, path: str, mount: int) -> int:
    """Attach ``mount`` at a directory of the jail's tree, made if missing; gives ``mount`` back as the way into
    it."""
    try:
        with paths.opened(paths.make_directory(root, path)) as target:
            mounts.attach(mount, target)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise OSError(
                error.errno, f"{path} of the root file system must be a directory, not a link or a file"
            ) from error
        raise
    return mount


def _devices(devices: int, ptys: int) -> None:
    terminals = {"mode": "0620", "gid": "5", "ptmxmode": "0666", "max": str(ptys)}
    mounts.attach(mounts.create("devpts", terminals, NOSUID | NOEXEC), devices, "pts")
    shared = mounts.create("tmpfs", {"mode": "1777", **policy.SHM_LIMITS}, NOSUID | NODEV)
    mounts.attach(shared, devices, "shm")
    mounts.attach(mounts.create("mqueue", {}, NOSUID | NODEV | NOEXEC), devices, "mqueue")
