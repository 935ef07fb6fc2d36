# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the content of files lies on disk, and files that share it (ioctl_ficlone(2), ioctl_fideduperange(2), and
``filesystems/fiemap`` of the kernel's documentation).

The numbers are those of ``linux/fs.h`` and ``linux/fiemap.h`` in the encoding of ``asm-generic/ioctl.h``, which
x86_64 and aarch64 share.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

MOST = 100_000

_FICLONE = 0x40049409
_FIDEDUPERANGE = 0xC0189436
_FS_IOC_FIEMAP = 0xC020660B

# struct file_dedupe_range (source offset, length, count of destinations) and one file_dedupe_range_info (descriptor,
# offset, bytes done, status).
_RANGE = struct.Struct("=QQHHI")
_DESTINATION = struct.Struct("=qQQiI")
_DIFFERS = 1
_STEP = 16 << 20
"""btrfs does no more in one call, and looks at no more under its locks."""

# struct fiemap (start, length, flags, extents mapped, extents of room) and struct fiemap_extent (logical, physical,
# length, reserved, flags, reserved).
_MAP = struct.Struct("=QQIIII")
_EXTENT = struct.Struct("=QQQ16xI12x")
_MAP_ROOM = 128
_FLAG_SYNC = 0x1
_LAST, _UNKNOWN, _DELALLOC, _INLINE, _SHARED = 0x1, 0x2, 0x4, 0x200, 0x2000

_CANNOT = (errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS)


class Extent(NamedTuple):
    """A stretch of a file: where it begins in the file and on disk, its length, all in bytes, and whether another file
    has it too."""

    logical: int
    physical: int
    length: int
    shared: bool


def clone(source: int, destination: int) -> bool:
    """Have an empty file share the whole content of another; ``False`` where these files cannot."""
    try:
        fcntl.ioctl(destination, _FICLONE, source)
    except OSError as error:
        if error.errno in (*_CANNOT, errno.EXDEV, errno.EINVAL):
            return False
        raise
    return True


def can_share(descriptor: int) -> bool:
    """Whether the file system of a regular file knows files that share content. (It may have been made without.)"""
    try:
        fcntl.ioctl(descriptor, _FIDEDUPERANGE, bytearray(_RANGE.pack(0, 0, 0, 0, 0)))
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    return True


def share(source: int, destination: int, length: int) -> bool:
    """Have the first ``length`` bytes of ``destination`` share the extents of ``source``, where they are equal.

    The kernel compares them under its locks, so neither content ever changes, whoever writes meanwhile.

    :param destination: root may have opened it for reading only.
    :returns: whether all of it was equal. What was equal before the first difference is shared in any case.
    :raises OSError: ``EOPNOTSUPP`` or ``EXDEV`` where these two cannot share, and whatever else the kernel says.
    """
    done = 0
    while done < length:
        asked = min(_STEP, length - done)
        request = bytearray(_RANGE.pack(done, asked, 1, 0, 0) + _DESTINATION.pack(destination, done, 0, 0, 0))
        fcntl.ioctl(source, _FIDEDUPERANGE, request)
        _descriptor, _offset, shared, status, _reserved = _DESTINATION.unpack_from(request, _RANGE.size)
        if status < 0:
            raise OSError(-status, f"FIDEDUPERANGE: {os.strerror(-status)}")
        if status == _DIFFERS or not shared:
            return False
        done += shared
    return True


def of(descriptor: int) -> list[Extent] | None:
    """The extents of a regular file, as the file system counts them.

    :returns: ``None`` when that cannot be said: a file system without the call, content that lies in the inode, a file
        in more than :data:`MOST` pieces.
    """
    try:
        found = list(itertools.islice(_extents(descriptor, 0), MOST + 1))
        if any(flags & (_UNKNOWN | _DELALLOC) for _extent, flags in found):
            found = list(itertools.islice(_extents(descriptor, _FLAG_SYNC), MOST + 1))
    except OSError as error:
        if error.errno in _CANNOT:
            return None
        raise
    if len(found) > MOST or any(flags & (_UNKNOWN | _DELALLOC | _INLINE) for _extent, flags in found):
        return None
    return [extent for extent, _flags in found]


def _extents(descriptor: int, flags: int) -> Iterator[tuple[Extent, int]]:
    start = 0
    while True:
        request = bytearray(_MAP.size + _MAP_ROOM * _EXTENT.size)
        _MAP.pack_into(request, 0, start, (1 << 64) - 1 - start, flags, 0, _MAP_ROOM, 0)
        fcntl.ioctl(descriptor, _FS_IOC_FIEMAP, request)
        mapped = _MAP.unpack_from(request)[3]
        for number in range(mapped):
            logical, physical, length, told = _EXTENT.unpack_from(request, _MAP.size + number * _EXTENT.size)
            yield Extent(logical, physical, length, bool(told & _SHARED)), told
            if told & _LAST:
                return
            start = logical + length
        if not mapped:
            return


def places(extents: Iterable[Extent]) -> tuple[tuple[int, int, int], ...]:
    """Which bytes of the disk a content is: begin in the file, begin on disk and length of each stretch. Two files
    with the same answer share all of it."""
    joined: list[tuple[int, int, int]] = []
    for extent in extents:
        logical, physical, length = joined[-1] if joined else (0, 0, 0)
        if length and logical + length == extent.logical and physical + length == extent.physical:
            joined[-1] = (logical, physical, length + extent.length)
        else:
            joined.append((extent.logical, extent.physical, extent.length))
    return tuple(joined)
