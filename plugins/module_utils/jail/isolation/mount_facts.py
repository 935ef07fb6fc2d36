# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a jail's first process sees mounted, with what flags, and what lies in its /dev."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator

from ...kernel import mounts, namespaces, paths
from ...kernel.mounts import Mounted
from .. import policy
from ..live import Running
from ..volumes import live as volumes
from ..volumes.words import flags as flags_of
from . import places
from .fact import Fact
from .places import BASE, Expected

_GROUPS = Expected("cgroup2", frozenset({"nosuid", "nodev", "noexec"}))
_NOT_LOOKED_INTO = ("/dev/pts", "/dev/shm")
_DEPTH_MAX = 16  # of directories in a /dev
_SHOWN = ("ro", "rw", "nosuid", "nodev", "noexec")


def mounted(running: Running) -> Iterator[Fact]:
    """Every mount, and every one that should be there. What a jail that may mount has mounted beside them is its own
    business."""
    expected = _expected(running)
    top: dict[str, Mounted] = {}
    for mount in mounts.mount_table(str(running.pid)):
        top[mount.target] = mount
    if running.isolation.may_mount:
        top = {target: mount for target, mount in top.items() if target in expected}
    for target in sorted({*top, *(path for path in expected if path in BASE)}):
        yield _fact(target, top.get(target), expected.get(target))


def _fact(target: str, mount: Mounted | None, expected: Expected | None) -> Fact:
    live = _words(mount.fstype, set(mount.flags.split(","))) if mount else None
    settled = _words(expected.fstype or (mount.fstype if mount else "?"), expected.flags) if expected else None
    holds = (
        mount is not None
        and expected is not None
        and expected.fstype in (None, mount.fstype)
        and expected.flags <= set(mount.flags.split(","))
    )
    return Fact(f"mounts.{target}", live, settled, holds)


def _words(fstype: str, flags: set[str] | frozenset[str]) -> str:
    return " ".join([fstype, *(flag for flag in _SHOWN if flag in flags)])


def _expected(running: Running) -> dict[str, Expected]:
    given = {volume["target"]: Expected(None, flags_of(volume)) for volume in volumes.recorded(running.name)}
    if running.group.is_handed_over():
        given[policy.GROUPS] = _GROUPS
    return places.with_covers(running.isolation, given)


def nodes(running: Running) -> Iterator[Fact]:
    """The device nodes in its /dev, terminals aside. One that its root has removed is none too many."""
    with paths.opened(namespaces.open_root(running.pid)) as root:
        found = sorted(_nodes(root, "/dev"))
    standard = {f"c {major}:{minor}" for major, minor in policy.DEVICES.values()}
    given = {f"{node.kind} {node.major}:{node.minor}" for node in running.isolation.devices}
    expected = sorted(standard | given)
    yield Fact("device_nodes", found, expected, set(found) <= set(expected))


def _nodes(root: int, path: str) -> Iterator[str]:
    """What lies below a directory that the jail's root can fill as it likes."""
    if path.count("/") > _DEPTH_MAX:
        yield f"? {path}"
        return
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    with paths.opened(paths.open_plain(root, path, flags)) as directory, os.scandir(directory) as entries:
        names = [entry.name for entry in entries if f"{path}/{entry.name}" not in _NOT_LOOKED_INTO]
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # it has just gone
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                kind = {stat.S_IFCHR: "c", stat.S_IFBLK: "b"}.get(stat.S_IFMT(status.st_mode))
                if kind:
                    yield f"{kind} {os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
                elif stat.S_ISDIR(status.st_mode):
                    yield from _nodes(root, f"{path}/{name}")
