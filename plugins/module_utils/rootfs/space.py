# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk space: which file system is full, and what a tree takes."""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

from .. import layout
from ..errors import JailError
from ..kernel import mounts
from . import hosttools

FULL = (errno.ENOSPC, errno.EDQUOT)
_MIB = 1 << 20


class _Filesystem(NamedTuple):
    mount_point: str
    kind: str
    bytes_free: int
    bytes_all: int
    inodes_free: int
    inodes_all: int

    def left(self) -> int:
        """How much of what is scarcer: MiB or inodes. (btrfs and others count no inodes: 0 of 0.)"""
        mebibytes = self.bytes_free // _MIB
        return min(mebibytes, self.inodes_free) if self.inodes_all else mebibytes


class Room(NamedTuple):
    """What one thing of unknown size may take: bytes, and files of any kind."""

    bytes: int
    entries: int


def room(directory: str) -> Room:
    """A quarter of what is free in the file system of a directory, so that nothing that is unpacked there twice (once
    as a whole, once as files) takes more than half. Each file counts as a block at least."""
    facts = os.statvfs(directory)
    size = facts.f_bavail * facts.f_frsize // 4
    entries = size // facts.f_frsize
    return Room(size, min(entries, facts.f_favail // 4) if facts.f_files else entries)


def bytes_free(directory: str) -> int:
    """Bytes that are free in the file system of a directory, less a twentieth that is left to others."""
    facts = os.statvfs(directory)
    return facts.f_bavail * facts.f_frsize * 19 // 20


def full_disk(purpose: str, error: OSError) -> JailError:
    """The error for an ``ENOSPC`` or ``EDQUOT``: names the fullest of our file systems. Ask before clearing up."""
    places = {path for path in (layout.LIB, layout.TEMPLATES, layout.STORAGE) if os.path.isdir(path)}
    worst = min((_filesystem_of(path) for path in places or {"/"}), key=_Filesystem.left)
    return JailError(
        f"{purpose}: {os.strerror(error.errno or errno.ENOSPC)}: "
        f"the {worst.kind} file system mounted on {worst.mount_point} has "
        f"{worst.bytes_free // _MIB} of {worst.bytes_all // _MIB} MiB and "
        f"{worst.inodes_free} of {worst.inodes_all} inodes left",
        advice="free some space there or give it more",
    )


def _filesystem_of(path: str) -> _Filesystem:
    mount_point = os.path.realpath(path)
    while not os.path.ismount(mount_point):
        mount_point = os.path.dirname(mount_point)
    facts = os.statvfs(path)
    return _Filesystem(
        mount_point,
        mounts.filesystem_of(path),
        facts.f_bavail * facts.f_frsize,
        facts.f_blocks * facts.f_frsize,
        facts.f_favail,
        facts.f_files,
    )


def bytes_below(directory: str) -> int:
    """Bytes on disk that a directory and all below it take, each hard link once; no link followed, no mount entered.

    By du(1), which keeps its footing in trees of any depth while they change.

    :raises JailError: when it counted nothing.
    """
    command = [hosttools.find("du", "coreutils"), "-s", "-k", "-x", "--", directory]
    _status, printed = hosttools.output_of(command)  # not 0 when a file went away meanwhile
    kibibytes = printed.rpartition("\t")[0].rpartition("\n")[2]
    if not kibibytes.isdigit():
        raise JailError(f"du says of {directory}: {printed.strip()}")
    return int(kibibytes) << 10
