# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flags of an inode (ioctl_iflags(2)).

The numbers are those of ``linux/fs.h``, which x86_64 and aarch64 share.
"""

from __future__ import annotations

import errno
import fcntl
import struct

_GETFLAGS, _SETFLAGS = 0x80086601, 0x40086602
_FLAGS = struct.Struct("=i")

# FS_COMPR_FL, FS_SYNC_FL, FS_NODUMP_FL, FS_NOATIME_FL, FS_NOCOMP_FL, FS_DIRSYNC_FL, FS_NOCOW_FL: what an owner sets for
# a file or for the new files of a directory.
_OWNERS = 0x4 | 0x8 | 0x40 | 0x80 | 0x400 | 0x10000 | 0x800000

_CANNOT = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL)


def copy(source: int, destination: int) -> None:
    """Give a file or directory the flags of another that its owner can set. Where the file system has none, that is
    all."""
    wanted, present = _flags(source), _flags(destination)
    if wanted is None or present is None:
        return
    new = (present & ~_OWNERS) | (wanted & _OWNERS)
    if new != present:
        fcntl.ioctl(destination, _SETFLAGS, _FLAGS.pack(new))


def _flags(descriptor: int) -> int | None:
    try:
        answer = fcntl.ioctl(descriptor, _GETFLAGS, bytes(_FLAGS.size))
    except OSError as error:
        if error.errno in _CANNOT:
            return None
        raise
    flags: int = _FLAGS.unpack(answer)[0]
    return flags
