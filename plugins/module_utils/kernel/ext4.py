# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ext4: the facts in its superblock, and growing it while it is mounted (the kernel's filesystems/ext4)."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import NamedTuple

from . import ioctl
from .ioctl import WRITE

_OFFSET, _LENGTH = 1024, 1024
_MAGIC = 0xEF53
_ERRORS = 2  # of s_state
_64BIT = 0x80  # of s_feature_incompat

RESIZE_FS = ioctl.request("EXT4_IOC_RESIZE_FS", WRITE, ord("f"), 16, ctypes.c_uint64)  # fs/ext4/ext4.h


class Superblock(NamedTuple):
    """What we want to know of it.

    :param size: of the file system, in bytes.
    :param free: bytes that nothing has, and inodes likewise, as of the last time that the kernel wrote it, such as an
        unmount.
    :param errors: whether the kernel has met with damage.
    """

    size: int
    free: int
    block_size: int
    inodes: int
    inodes_free: int
    errors: bool


def superblock(descriptor: int) -> Superblock:
    """Read it from a file or a block device (filesystems/ext4/super.rst).

    :raises OSError: ``EUCLEAN`` when there is none.
    """
    content = os.pread(descriptor, _LENGTH, _OFFSET)
    if len(content) < _LENGTH or struct.unpack_from("<H", content, 0x38)[0] != _MAGIC:
        raise OSError(errno.EUCLEAN, "there is no ext4 file system in it")
    inodes, blocks, _reserved, free, inodes_free = struct.unpack_from("<IIIII", content)
    (shift,) = struct.unpack_from("<I", content, 0x18)
    (state,) = struct.unpack_from("<H", content, 0x3A)
    (features,) = struct.unpack_from("<I", content, 0x60)
    if features & _64BIT:
        blocks |= struct.unpack_from("<I", content, 0x150)[0] << 32
        free |= struct.unpack_from("<I", content, 0x158)[0] << 32
    block_size = 1024 << min(shift, 6)
    return Superblock(blocks * block_size, free * block_size, block_size, inodes, inodes_free, bool(state & _ERRORS))


def grow(directory: int, size: int, block_size: int) -> None:
    """Grow the mounted file system of a directory, whose device is that large already.

    :raises OSError: ``EPERM`` without CAP_SYS_RESOURCE.
    """
    ioctl.call(directory, RESIZE_FS, ctypes.c_uint64(size // block_size))
