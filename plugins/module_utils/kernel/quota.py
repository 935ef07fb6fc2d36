# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Project quotas of ext4 and xfs (quotactl(2), ``linux/quota.h``): what the files of a project
(:mod:`inodeflags`) take, and how much they may.

Descriptors are of files or directories opened for reading.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import NamedTuple

from .syscalls import syscall

_PROJECTS = 2  # PRJQUOTA
_GET, _SET = 0x800007, 0x800008  # Q_GETQUOTA, Q_SETQUOTA
_GET_STATE = ord("X") << 8 | 5  # Q_XGETQSTAT, linux/dqblk_xfs.h
_COUNTED, _ENFORCED = 1 << 4, 1 << 5  # FS_QUOTA_PDQ_ACCT, FS_QUOTA_PDQ_ENFD
_LIMITS = 1 | 4  # QIF_BLIMITS, QIF_ILIMITS
_BLOCK = 1024  # QIF_DQBLKSIZE, the unit of limits
_NONE_HERE = (errno.ENOSYS, errno.ESRCH, errno.EOPNOTSUPP, errno.EINVAL)


class Block(ctypes.Structure):
    """``struct if_dqblk``."""

    _fields_ = (
        ("dqb_bhardlimit", ctypes.c_uint64),
        ("dqb_bsoftlimit", ctypes.c_uint64),
        ("dqb_curspace", ctypes.c_uint64),
        ("dqb_ihardlimit", ctypes.c_uint64),
        ("dqb_isoftlimit", ctypes.c_uint64),
        ("dqb_curinodes", ctypes.c_uint64),
        ("dqb_btime", ctypes.c_uint64),
        ("dqb_itime", ctypes.c_uint64),
        ("dqb_valid", ctypes.c_uint32),
    )


class State(ctypes.Structure):
    """``struct fs_quota_stat`` up to the flags, and room for the rest."""

    _fields_ = (("qs_version", ctypes.c_int8), ("qs_flags", ctypes.c_uint16), ("rest", ctypes.c_uint8 * 124))


class Usage(NamedTuple):
    """What the files of a project take, and their limits: bytes and inodes."""

    size: int
    inodes: int
    size_limit: int | None
    inodes_limit: int | None


def counts(descriptor: int) -> bool:
    """Whether the file system counts what projects take."""
    return bool(_state(descriptor) & _COUNTED)


def enforces(descriptor: int) -> bool:
    """Whether the file system holds projects to their limits."""
    return bool(_state(descriptor) & _ENFORCED)


def xfs_can() -> bool:
    """Whether this kernel's xfs has quotas, on whatever file system."""
    return os.path.exists("/proc/fs/xfs/xqmstat")  # fs/xfs/xfs_stats.c


def usage(descriptor: int, number: int) -> Usage:
    """What a project takes of the file system, and its limits."""
    found = Block()
    try:
        _quotactl(descriptor, _GET, number, found)
    except OSError as error:
        if error.errno != errno.ENOENT:  # xfs has never heard of it
            raise
    return Usage(
        found.dqb_curspace,
        found.dqb_curinodes,
        found.dqb_bhardlimit * _BLOCK or None,
        found.dqb_ihardlimit or None,
    )


def set_limits(descriptor: int, number: int, size: int | None, inodes: int | None) -> None:
    """Limit what a project may take: bytes, rounded down to KiB, and inodes; ``None`` for no limit."""
    wanted = Block(dqb_bhardlimit=(size or 0) // _BLOCK, dqb_ihardlimit=inodes or 0, dqb_valid=_LIMITS)
    _quotactl(descriptor, _SET, number, wanted)


def _state(descriptor: int) -> int:
    found = State()
    try:
        _quotactl(descriptor, _GET_STATE, 0, found)
    except OSError as error:
        if error.errno in _NONE_HERE:
            return 0
        raise
    return int(found.qs_flags)


def _quotactl(descriptor: int, command: int, number: int, argument: ctypes.Structure) -> None:
    syscall("quotactl_fd", descriptor, command << 8 | _PROJECTS, number, ctypes.byref(argument))
