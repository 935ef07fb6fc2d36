# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ext4 file systems in files: made, mounted for a while, mended, grown and shrunk.

They are mounted by loop devices, as detached mounts: no path of the host leads there, and with the last of those who
hold one (a jail, a program of ours) the kernel unmounts it and takes the device back.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator, Sequence

from .. import sizes
from ..errors import JailError
from ..kernel import btrfs, capabilities, ext4, inodeflags, loop, mounts, paths
from ..kernel.mounts import NODEV, NOEXEC, NOSUID
from . import hosttools, space

SMALLEST = 16 << 20
"""Bytes; in less there is no room for a journal."""

_PACKAGE = "e2fsprogs"
# Written out, so that they do not depend on the host's mke2fs.conf. Without resize_inode, whose blocks would have to be
# written; the kernel grows such a file system by meta_bg.
_FEATURES = (
    "none,has_journal,ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,"
    "extra_isize,metadata_csum"
)
# A new file reads as zeros: nothing of it has to be written to be empty.
_EXTENDED = "lazy_journal_init=1,packed_meta_blocks=1,root_owner=0:0"
_SHAPE = ("-b", "4096", "-I", "256", "-i", "16384", "-m", "0", "-e", "remount-ro", "-E", _EXTENDED)
# discard: what is deleted in it is given back to the host's file system.
_OPTIONS = {"errors": "remount-ro", "discard": None}
_ATTRIBUTES = NOSUID | NODEV | NOEXEC
_DAMAGED = (errno.EUCLEAN, errno.EINVAL, errno.EIO, errno.EBADMSG)
_MENDED = 2  # e2fsck(8): with a status up to this all that was wrong is right now
_SECONDS = 10.0
"""How long the kernel may take to unmount what a jail that has just ended had."""
_NEW = ".new"
_PROBE_BYTES = 8 << 20
_QUOTED = 300


def make(path: str, size: int, inodes: int | None, content: str) -> None:
    """Make a sparse file with a file system in it.

    :param inodes: how many there shall be at least; ``None`` for one in 16 KiB.
    :param content: a directory of ours, whose files are copied to its root.
    :raises JailError: when it would be too small, or cannot be made.
    """
    if size < SMALLEST:
        raise JailError(
            f"{sizes.show(size)} is too little for an image", "size", f"give {sizes.show(SMALLEST)} or more"
        )
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with paths.opened(os.open(path, flags, 0o600)) as file:
        if btrfs.holds(file):
            inodeflags.write_in_place(file)
        os.ftruncate(file, size)
        _format(path, ["-d", content, *(["-N", str(inodes)] if inodes else [])])
        os.fsync(file)


def copy(path: str, new: str) -> None:
    """Copy the file system in a file that is not in use, sharing blocks where the host's file system can.

    :raises JailError: when it is in use, or damaged.
    """
    try:
        with loop.unattached(path, _SECONDS):
            _copy(path, new)
            with paths.opened(os.open(new, os.O_RDWR | os.O_CLOEXEC)) as file:
                os.fsync(file)
    except OSError as error:
        if error.errno in space.FULL:
            raise
        raise JailError(f"{path} cannot be copied: {error}") from error


def check_size(size: int) -> None:
    """Refuse to make a file system that is too small to be one.

    :raises JailError: then.
    """
    if size < SMALLEST:
        advice = f"give {sizes.show(SMALLEST)} or more"
        raise JailError(f"{sizes.show(size)} is too little for a file system", "size", advice)


def superblock(path: str) -> ext4.Superblock:
    """The facts about the file system in a file, whether it is mounted or not."""
    with paths.opened(os.open(loop.device_of(path) or path, os.O_RDONLY | os.O_CLOEXEC)) as file:
        return ext4.superblock(file)


@contextlib.contextmanager
def mounted(path: str) -> Iterator[int]:
    """A detached mount of the file system in a file, for a ``with`` block; one more, where it is mounted already.

    What was not unmounted is recovered by its journal. What the kernel found damaged, or refuses, is mended by
    e2fsck(8) first.

    :raises JailError: when it is damaged beyond that, or used by somebody else.
    """
    _clear_killed_resize(path)
    with paths.opened(_mount_or_mend(path)) as mount:
        yield mount


def is_mounted(path: str) -> bool:
    """Whether the file system in a file is in use: the jail runs."""
    return loop.device_of(path) is not None


def used(path: str) -> tuple[int, int]:
    """Bytes and inodes that are taken in the file system."""
    if is_mounted(path):
        with mounted(path) as mount:
            facts = os.fstatvfs(mount)
        return (facts.f_blocks - facts.f_bfree) * facts.f_frsize, facts.f_files - facts.f_ffree
    found = superblock(path)
    return found.size - found.free, found.inodes - found.inodes_free


def can_grow_mounted() -> bool:
    """Whether the kernel lets us grow a file system that is mounted."""
    return "SYS_RESOURCE" in capabilities.effective()


def resize(path: str, size: int) -> None:
    """Make the file system in a file larger or smaller.

    It is grown in place by the kernel, where it lets us, also while it is mounted. Else a copy gets the new size and
    then the old one's name: killed at any moment, one of them is there and whole.

    :raises JailError: when its files do not fit, or it is mounted and would have to be copied.
    """
    if size < SMALLEST:
        raise JailError(
            f"{sizes.show(size)} is too little for an image", "size", f"give {sizes.show(SMALLEST)} or more"
        )
    if size > superblock(path).size and can_grow_mounted():
        _grow(path, size)
    else:
        _replace_by_copy(path, size)


def project_quotas_work() -> bool:
    """Whether this kernel can limit projects on ext4: tried on a small file system in memory."""
    with paths.opened(os.memfd_create("probe")) as file:
        os.ftruncate(file, _PROBE_BYTES)
        try:
            _format(f"/proc/{os.getpid()}/fd/{file}", ["-O", f"{_FEATURES},quota,project"])
            with loop.attached(paths.name_of(file), _SECONDS) as device:
                os.close(mounts.create("ext4", {"source": device, "prjquota": None}, _ATTRIBUTES))
        except (JailError, OSError):
            return False
        return True


def _format(path: str, options: Sequence[str]) -> None:
    _succeed("mkfs.ext4", "-q", "-F", "-O", _FEATURES, *_SHAPE, *options, path)


def _succeed(program: str, *arguments: str, good: int = 0) -> str:
    """Run a program of e2fsprogs that has to end with a status up to ``good``; what it printed."""
    status, text = hosttools.output_of([hosttools.find(program, _PACKAGE), *arguments])
    if status > good:
        said = " | ".join(line.strip() for line in text.splitlines() if line.strip())
        raise JailError(f"{program} ended with status {status}: {said[-_QUOTED:]}")
    return text


def _clear_killed_resize(path: str) -> None:
    if os.path.exists(path + _NEW):
        # Whoever is at it has the file locked.
        with contextlib.suppress(BlockingIOError, FileNotFoundError), loop.unattached(path, 0):
            os.unlink(path + _NEW)


def _mount_or_mend(path: str) -> int:
    try:
        if is_mounted(path) or not superblock(path).errors:
            return _mount(path)
    except OSError as error:
        if error.errno not in _DAMAGED:
            raise JailError(f"{path} cannot be mounted: {error}") from error
    _mend(path)
    try:
        return _mount(path)
    except OSError as error:
        raise JailError(f"{path} cannot be mounted: {error}") from error


def _mount(path: str) -> int:
    deadline = time.monotonic() + _SECONDS
    with loop.attached(path, _SECONDS) as device:
        while True:
            try:
                return mounts.create("ext4", {"source": device, **_OPTIONS}, _ATTRIBUTES)
            except OSError as error:
                # A mount of a jail that has just ended is about to go.
                if error.errno != errno.EBUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)


def _mend(path: str) -> None:
    try:
        with loop.unattached(path, _SECONDS):
            _succeed("e2fsck", "-f", "-p", path, good=_MENDED)
    except (JailError, OSError) as error:
        advice = f"look at it with: e2fsck -f {path}; or put a backup in its place"
        raise JailError(f"{path} is damaged: {error}", advice=advice) from error


def _grow(path: str, size: int) -> None:
    with mounted(path) as mount:
        directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=mount)
        with paths.opened(directory), loop.attached(path, _SECONDS) as device:
            os.truncate(path, size)
            loop.adapt_capacity(device)
            ext4.grow(directory, size, superblock(path).block_size)


def _replace_by_copy(path: str, size: int) -> None:
    new = path + _NEW
    try:
        with loop.unattached(path, _SECONDS):
            _copy(path, new)
            _succeed("e2fsck", "-f", "-p", new, good=_MENDED)
            if size > os.path.getsize(new):
                os.truncate(new, size)
            _succeed("resize2fs", new, f"{size >> 10}K")
            with paths.opened(os.open(new, os.O_RDWR | os.O_CLOEXEC)) as file:
                os.ftruncate(file, size)
                os.fsync(file)
            os.rename(new, path)
            with paths.opened(os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as folder:
                os.fsync(folder)
    except OSError as error:
        raise JailError(f"{path} cannot be given another size: {error}", "size") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)


def _copy(path: str, new: str) -> None:
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with paths.opened(os.open(new, flags, 0o600)) as file:
        if btrfs.holds(file):
            inodeflags.write_in_place(file)
    copy = [hosttools.find("cp", "coreutils"), "--reflink=auto", "--sparse=always", "--", path, new]
    status, text = hosttools.output_of(copy)
    if status:
        raise JailError(f"cp ended with status {status}: {text.strip()}")
