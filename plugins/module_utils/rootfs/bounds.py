# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much a jail may write, and how much it has written: whatever the file system of its storage can count and limit.

btrfs does it for a subvolume, ext4 and xfs for a project where they are mounted so. A directory for which one of them
does is called a *volume* here.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import Callable, NamedTuple

from .. import files, layout, sizes
from ..errors import JailError
from ..kernel import btrfs, inodeflags, mounts, paths, quota
from . import images, projects

_HOST_KEY = "btrfs_quotas"
_IMAGE = "storage=image, where each jail has a file system of a size of its own"


class Bounds(NamedTuple):
    """Bytes and inodes; ``None`` for no limit, or for what nobody counts."""

    size: int | None = None
    inodes: int | None = None


NO_BOUNDS = Bounds()


class Keeper(NamedTuple):
    """How a kind of backing store keeps jails within bounds; ``folder`` is a jail's directory of storage.

    :param holding: ``holding(folder)``, the limits that hold.
    :param usual: ``usual(folder)``, the limits that a new jail gets of which nothing else is said.
    :param used: ``used(folder)``, what is counted of the jail's own files; ``None`` for what is not counted.
    :param check: ``check(folder, wanted)`` refuses limits that cannot hold, by a :class:`JailError` with figures or
        with what would work on this host.
    :param waits: ``waits(folder, wanted)``, whether they can be made to hold only while the jail does not run.
    :param bind: ``bind(folder, wanted)`` makes them hold; refuses as ``check`` does.
    """

    holding: Callable[[str], Bounds]
    usual: Callable[[str], Bounds]
    used: Callable[[str], Bounds]
    check: Callable[[str, Bounds], None]
    waits: Callable[[str, Bounds], bool]
    bind: Callable[[str, Bounds], None]


def keeper(volume_of: Callable[[str], str]) -> Keeper:
    """For a backing store that keeps the jail's own files in a directory of the host, ``volume_of(folder)``."""
    return Keeper(
        holding=lambda folder: holding(volume_of(folder)),
        usual=lambda folder: usual(volume_of(folder)),
        used=lambda folder: used(volume_of(folder)),
        check=lambda folder, wanted: check(volume_of(folder), wanted),
        waits=lambda folder, _wanted: waits(volume_of(folder)),
        bind=lambda folder, wanted: bind(volume_of(folder), wanted),
    )


def prepare(volume: str) -> None:
    """Get a new directory counted, where its file system counts anything. (A subvolume is from the beginning.)"""
    with _opened(volume) as directory:
        if quota.counts(directory) and not inodeflags.project(directory):
            projects.assign(directory, volume)


def holding(volume: str) -> Bounds:
    """The limits that hold, by the kernel's word."""
    with _opened(volume) as directory:
        if btrfs.is_subvolume(directory):
            return Bounds(btrfs.usage(directory).limit if btrfs.quotas(directory) else None)
        number = _project(directory)
        if number and quota.enforces(directory):
            found = quota.usage(directory, number)
            return Bounds(found.size_limit, found.inodes_limit)
        return NO_BOUNDS


def usual(volume: str) -> Bounds:
    """What a new directory has, and half of what is free besides: no jail takes all that its neighbours need. Only
    where the file system holds limits as it is; none elsewhere."""
    with _opened(volume) as directory:
        if not (btrfs.quotas(directory) if btrfs.is_subvolume(directory) else quota.enforces(directory)):
            return NO_BOUNDS
        room, has = os.fstatvfs(directory), used(volume)
        inodes = room.f_favail // 2 + has.inodes if room.f_files and has.inodes is not None else None
        return Bounds(room.f_bavail * room.f_frsize // 2 + (has.size or 0), inodes)


def used(volume: str) -> Bounds:
    """What is counted of the jail's own files. On btrfs it is as of the last commit, at most half a minute ago."""
    with _opened(volume) as directory:
        if btrfs.is_subvolume(directory):
            return Bounds(btrfs.usage(directory).exclusive if btrfs.quotas(directory) else None)
        number = _project(directory)
        if number and quota.counts(directory):
            found = quota.usage(directory, number)
            return Bounds(found.size, found.inodes)
        return NO_BOUNDS


def charges_first_writer(volume: str) -> bool:
    """Whether content that several files share counts for who wrote it first, as long as any of them has it: simple
    quotas of btrfs do that. Whoever let others share would pay for what it has removed."""
    with _opened(volume) as directory:
        return btrfs.holds(directory) and btrfs.quotas(directory) == btrfs.SIMPLE


def check(volume: str, wanted: Bounds) -> None:
    """Refuse limits that cannot hold here.

    :raises JailError: naming what would work on this host, or what the jail uses already.
    """
    with _opened(volume) as directory:
        for option, value in wanted._asdict().items():
            if value is not None:
                _check_possible(directory, option)
    refuse_less_than_used(used(volume), wanted)


def waits(volume: str) -> bool:
    """Whether limits can be set only while the jail does not run: its files are not counted as a project's yet."""
    with _opened(volume) as directory:
        return not btrfs.is_subvolume(directory) and not _project(directory)


def bind(volume: str, wanted: Bounds) -> None:
    """Make limits hold.

    :raises JailError: as :func:`check` does.
    """
    check(volume, wanted)
    with _opened(volume) as directory:
        if btrfs.is_subvolume(directory):
            _bind_subvolume(directory, wanted)
        elif quota.enforces(directory):
            _bind_project(directory, volume, wanted)


def bind_new(volume: str, wanted: Bounds) -> None:
    """The same for a directory that has no limits yet."""
    if wanted != NO_BOUNDS:
        bind(volume, wanted)


def restore_host() -> None:
    """Put back what :func:`bind` has changed of the file system as a whole: btrfs ceases to count."""
    with files.locked("host"):
        state = files.read_json(layout.HOST_STATE) or {}
        if state.pop(_HOST_KEY, None) is not None:
            with _opened(layout.LIB) as directory:
                if btrfs.holds(directory) and btrfs.quotas(directory):
                    btrfs.disable_quotas(directory)
            files.write_json(layout.HOST_STATE, state)


def refuse_less_than_used(present: Bounds, wanted: Bounds) -> None:
    """Refuse a limit under which the jail could not write any more, and which the kernel would take.

    :raises JailError: with the figures.
    """
    if present.size is not None and wanted.size is not None and present.size > wanted.size:
        raise JailError(
            f"it uses {present.size} bytes ({present.size / (1 << 20):.1f}M) already, more than "
            f"{sizes.show(wanted.size)}",
            "size",
            "remove files in the jail, or give it more",
        )
    if present.inodes is not None and wanted.inodes is not None and present.inodes > wanted.inodes:
        raise JailError(
            f"it uses {present.inodes} inodes already, more than {wanted.inodes}",
            "inodes",
            "remove files in the jail, or give it more",
        )


def _opened(volume: str) -> AbstractContextManager[int]:
    return paths.opened(os.open(volume, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))


def _project(directory: int) -> int:
    """The project of a directory, if it is one of ours; else 0."""
    number = inodeflags.project(directory)
    return number if projects.is_ours(number) else 0


def _bind_subvolume(directory: int, wanted: Bounds) -> None:
    if not btrfs.quotas(directory):
        if wanted.size is None:
            return
        _enable_quotas(directory)
    btrfs.set_limit(directory, wanted.size)


def _enable_quotas(directory: int) -> None:
    # Recorded before it is done: killed in between, there is nothing to put back.
    with files.locked("host"):
        files.write_json(layout.HOST_STATE, {**(files.read_json(layout.HOST_STATE) or {}), _HOST_KEY: True})
        btrfs.enable_simple_quotas(directory)


def _bind_project(directory: int, volume: str, wanted: Bounds) -> None:
    if not _project(directory):
        if wanted == NO_BOUNDS:
            return
        projects.assign_tree(directory, volume)
        refuse_less_than_used(used(volume), wanted)
    quota.set_limits(directory, _project(directory), wanted.size, wanted.inodes)


def _check_possible(directory: int, option: str) -> None:
    kind = mounts.filesystem_of(directory)
    if kind == "btrfs":
        _check_btrfs(directory, option)
    elif inodeflags.project(directory) and not _project(directory):
        what = f"{layout.STORAGE} belongs to project {inodeflags.project(directory)} of the host, which all jails share"
        raise JailError(what, option, f"use {_IMAGE}; or take {layout.STORAGE} out of that project")
    elif not quota.enforces(directory):
        raise JailError(f"the {kind} file system of {layout.LIB} does not limit it", option, _advice(directory, kind))


def _check_btrfs(directory: int, option: str) -> None:
    if option == "inodes":
        raise JailError("btrfs does not count inodes", option, f"use size, which counts them too, or {_IMAGE}")
    if not btrfs.is_subvolume(directory):
        what = f"btrfs limits subvolumes, and its directory in {layout.STORAGE} is none, so it was copied to there"
        raise JailError(what, option, "make the jail anew")
    if not btrfs.quotas(directory) and not btrfs.knows_simple_quotas():
        what = (
            f"quotas of the btrfs file system of {layout.LIB} are off, and this kernel has no simple ones (Linux 6.7)"
        )
        advice = f"use {_IMAGE}; or, if there are few jails, for it is slow with many: btrfs quota enable {layout.LIB}"
        raise JailError(what, option, advice)


def _advice(directory: int, kind: str) -> str:
    """What would work on this very host."""
    ways = [_IMAGE]
    if quota.counts(directory):
        ways.insert(0, f"mount {layout.LIB} with the option prjquota")
    elif kind == "xfs" and quota.xfs_can():
        ways.insert(0, f"mount {layout.LIB} with the option prjquota (by fstab or rootflags=, not by a remount)")
    elif kind == "ext4" and images.project_quotas_work():
        ways.insert(0, f"unmount {layout.LIB}, tune2fs -O project,quota its device, mount it with the option prjquota")
    return "use one of: " + "; ".join(ways) if len(ways) > 1 else f"use {ways[0]}"
