# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy single things between trees of ours with all that belongs to them, by descriptors."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping

from ...kernel import extents, inodeflags, paths, xattrs
from ..trees import Found, Tree

_PERMISSIONS = 0o7777


def copy(source: Tree, found: Found, target: int, attributes: Mapping[str, bytes]) -> None:
    """Copy anything but a directory to the same name in the directory ``target``, where that is free.

    Content is shared where the file system can (ioctl_ficlone(2)), and holes stay holes.

    :param attributes: its extended attributes, as they are to be.
    """
    name, status = found.name, found.status
    if stat.S_ISLNK(status.st_mode):
        with paths.opened(source.entry(found.folder, name)) as link:
            os.symlink(os.readlink("", dir_fd=link), name, dir_fd=target)
    elif stat.S_ISREG(status.st_mode):
        with (
            paths.opened(source.entry(found.folder, name)) as entry,
            paths.opened(paths.open_content(entry)) as content,
        ):
            _copy_file(content, name, target)
    else:
        os.mknod(name, stat.S_IFMT(status.st_mode) | 0o600, status.st_rdev, dir_fd=target)
    with paths.opened(os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=target)) as made:
        dress(made, status, attributes)


def dress(made: int, status: os.stat_result, attributes: Mapping[str, bytes]) -> None:
    """Give what an ``O_PATH`` descriptor stands for owner, attributes, mode and times, in the order in which none takes
    another away: chown(2) clears set-user-ID bits and capabilities, and all of it may change times."""
    path = paths.name_of(made)
    os.chown(path, status.st_uid, status.st_gid)
    xattrs.write(made, attributes)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(path, status.st_mode & _PERMISSIONS)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _copy_file(content: int, name: str, target: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with paths.opened(os.open(name, flags, 0o600, dir_fd=target)) as made:
        inodeflags.copy(content, made)
        if not extents.clone(content, made):
            _copy_data(content, made)


def _copy_data(content: int, made: int) -> None:
    """Copy what is not a hole (lseek(2), ``SEEK_DATA``)."""
    size = os.fstat(content).st_size
    os.ftruncate(made, size)
    end = 0
    while end < size:
        try:
            start = os.lseek(content, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            raise
        end = os.lseek(content, start, os.SEEK_HOLE)
        os.lseek(made, start, os.SEEK_SET)
        while start < end:
            start += os.sendfile(made, content, start, end - start)
