# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flags and project of an inode (ioctl_iflags(2), ioctl_fsgetxattr(2)): ``linux/fs.h``.

Descriptors are of files or directories opened for reading.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat

from . import ioctl
from .ioctl import READ, WRITE


class Attributes(ctypes.Structure):
    """``struct fsxattr``."""

    _fields_ = (
        ("fsx_xflags", ctypes.c_uint32),
        ("fsx_extsize", ctypes.c_uint32),
        ("fsx_nextents", ctypes.c_uint32),
        ("fsx_projid", ctypes.c_uint32),
        ("fsx_cowextsize", ctypes.c_uint32),
        ("fsx_pad", ctypes.c_uint8 * 8),
    )


GET_FLAGS = ioctl.request("FS_IOC_GETFLAGS", READ, ord("f"), 1, ctypes.c_long)
SET_FLAGS = ioctl.request("FS_IOC_SETFLAGS", WRITE, ord("f"), 2, ctypes.c_long)
SET_FLAGS_32 = ioctl.request("FS_IOC32_SETFLAGS", WRITE, ord("f"), 2, ctypes.c_int)
GET_ATTRIBUTES = ioctl.request("FS_IOC_FSGETXATTR", READ, ord("X"), 31, Attributes)
SET_ATTRIBUTES = ioctl.request("FS_IOC_FSSETXATTR", WRITE, ord("X"), 32, Attributes)

_INHERIT_PROJECT = 0x200  # FS_XFLAG_PROJINHERIT
_NO_COPIES = 0x800000  # FS_NOCOW_FL

# FS_COMPR_FL, FS_SYNC_FL, FS_NODUMP_FL, FS_NOATIME_FL, FS_NOCOMP_FL, FS_DIRSYNC_FL, FS_NOCOW_FL: what an owner sets for
# a file or for the new files of a directory.
_OWNERS = 0x4 | 0x8 | 0x40 | 0x80 | 0x400 | 0x10000 | _NO_COPIES

_KEEPING = 0x10 | 0x20  # FS_IMMUTABLE_FL, FS_APPEND_FL

_CANNOT = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL)


def copy(source: int, destination: int) -> None:
    """Give a file or directory the flags of another that its owner can set. Where the file system has none, that is
    all."""
    wanted, present = _flags(source), _flags(destination)
    if wanted is None or present is None:
        return
    new = (present & ~_OWNERS) | (wanted & _OWNERS)
    if new != present:
        ioctl.call(destination, SET_FLAGS, ctypes.c_int(new))


def write_in_place(file: int) -> None:
    """Have an empty file of btrfs written in place, without copies and checksums: for what a block device writes into,
    whose pages may change on their way."""
    ioctl.call(file, SET_FLAGS, ctypes.c_int((_flags(file) or 0) | _NO_COPIES))


def release(descriptor: int) -> None:
    """Take the flags off by which a file or directory is kept from being removed and changed (chattr(1): ``i``, ``a``).
    Where the file system has none, that is all."""
    present = _flags(descriptor)
    if present is not None and present & _KEEPING:
        ioctl.call(descriptor, SET_FLAGS, ctypes.c_int(present & ~_KEEPING))


def project(descriptor: int) -> int:
    """The project of a file or directory; 0 where it has none."""
    found = _attributes(descriptor)
    return 0 if found is None else int(found.fsx_projid)


def set_project(descriptor: int, number: int) -> None:
    """Give a file or directory a project, which what is made in the directory from now on inherits.

    :raises OSError: where the file system knows no projects.
    """
    attributes = Attributes()
    ioctl.call(descriptor, GET_ATTRIBUTES, attributes)
    attributes.fsx_projid = number
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        attributes.fsx_xflags |= _INHERIT_PROJECT
    ioctl.call(descriptor, SET_ATTRIBUTES, attributes)


def _flags(descriptor: int) -> int | None:
    """The flags; the kernel takes and gives an int, whatever the request's name says (ioctl_iflags(2), BUGS)."""
    found = ctypes.c_int()
    return int(found.value) if _asked(descriptor, GET_FLAGS, found) else None


def _attributes(descriptor: int) -> Attributes | None:
    found = Attributes()
    return found if _asked(descriptor, GET_ATTRIBUTES, found) else None


def _asked(descriptor: int, request: ioctl.Request, answer: ctypes.c_int | Attributes) -> bool:
    """Have ``answer`` filled; whether the file system knows such a thing."""
    try:
        ioctl.call(descriptor, request, answer)
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    return True
