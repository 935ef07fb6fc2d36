# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access to files below a directory that somebody else controls.

Nothing below a jail's root is trusted: not a path, not a symbolic link, not the kind of a file. Every function here
takes a descriptor of the root and a path below it, and the kernel resolves the path inside that root (openat2(2),
``RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS``), so a link to ``/etc/passwd`` or ``../../..`` stays inside. What is
opened is used through its descriptor; no path is looked up twice.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import itertools
import os
import stat
from collections.abc import Collection, Iterator

from . import btrfs, inodeflags, mounts
from .syscalls import AT_FDCWD, syscall

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

READ_LIMIT = 1 << 20
_ATTEMPTS = 1000
_BATCH, _BATCHES = 1000, 1_000_000
"""So many names of a directory are read at a time, and so often: who adds to it meanwhile does not keep us for ever."""

_RENAME_EXCHANGE = 2  # linux/fs.h


class _OpenHow(ctypes.Structure):
    """``struct open_how`` of ``linux/openat2.h``."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def openat2(directory: int, path: str, flags: int, resolve: int, mode: int = 0) -> int:
    """openat2(2); always close-on-exec.

    The kernel says EAGAIN when something was renamed somewhere while it looked at a ``..``; the call is to be repeated
    then, for as long as it takes in practice but not for ever.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    for _attempt in range(_ATTEMPTS):
        with contextlib.suppress(BlockingIOError):
            return syscall("openat2", directory, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how), target=path)
    raise OSError(errno.EAGAIN, "openat2: things are renamed all the time", path)


def open_directory(path: str) -> int:
    """A descriptor of a host directory of ours; symbolic links on the way are refused."""
    return openat2(AT_FDCWD, path, os.O_PATH | os.O_DIRECTORY, RESOLVE_NO_SYMLINKS)


def open_host(path: str) -> int:
    """A descriptor of a host file or directory, whatever it is; symbolic links on the way are refused."""
    return openat2(AT_FDCWD, path, os.O_PATH, RESOLVE_NO_SYMLINKS)


def open_in(root: int, path: str, flags: int, mode: int = 0) -> int:
    """Open ``path`` as a process chrooted to ``root`` would see it, links included."""
    return openat2(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, mode)


def open_plain(root: int, path: str, flags: int, mode: int = 0) -> int:
    """Like :func:`open_in`, but any symbolic link on the way is refused with ``ELOOP``: for mount points."""
    return openat2(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS, mode)


def open_beneath(root: int, path: str, flags: int) -> int:
    """Open what lies at ``path`` below ``root`` with no link on the way and on the same mount, for those who walk a
    tree; an empty ``path`` is ``root`` itself.

    :raises OSError: ``ELOOP`` for a symbolic link, ``EXDEV`` for a mount.
    """
    return openat2(root, path or ".", flags, RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV | RESOLVE_BENEATH)


def name_of(descriptor: int) -> str:
    """A path that leads our own process, and no other, to what a descriptor is of, whatever happens to its names; for
    calls that take no descriptors (proc_pid_fd(5))."""
    return f"/proc/self/fd/{descriptor}"


def open_content(found: int) -> int:
    """A descriptor to read the regular file that an ``O_PATH`` descriptor stands for.

    To open a name may do something: of a device, or of a file that is leased (fcntl(2), ``F_SETLEASE``). So the name
    is looked up by ``O_PATH`` alone, and what was found is opened only when it is a regular file, without waiting.

    :raises OSError: ``EINVAL`` for anything but a regular file, ``EWOULDBLOCK`` for one with a lease.
    """
    if not stat.S_ISREG(os.fstat(found).st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOATIME | os.O_CLOEXEC
    return os.open(name_of(found), flags)


@contextlib.contextmanager
def opened(descriptor: int) -> Iterator[int]:
    """Close ``descriptor`` at the end of a ``with`` block."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_file(root: int, path: str, limit: int = READ_LIMIT) -> bytes:
    """The first ``limit`` bytes of a regular file below ``root``.

    :raises OSError: ``EINVAL`` for anything but a regular file (a FIFO must not hang the reader), else what the
        kernel said.
    """
    with opened(open_in(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)) as descriptor:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        chunks = []
        while limit > 0:
            chunk = os.read(descriptor, min(limit, 1 << 16))
            if not chunk:
                break
            chunks.append(chunk)
            limit -= len(chunk)
        return b"".join(chunks)


def write_file(root: int, path: str, content: bytes, mode: int = 0o644) -> None:
    """Put a regular file at ``path`` below ``root`` atomically: a link or device of that name is replaced, never
    followed."""
    folder, name = os.path.split(path)
    with opened(open_in(root, folder or "/", os.O_PATH | os.O_DIRECTORY)) as parent:
        temporary = _temporary(parent, name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with opened(os.open(temporary, flags, mode, dir_fd=parent)) as descriptor:
            os.fchmod(descriptor, mode)
            write_all(descriptor, content)
            os.fsync(descriptor)
        _publish(parent, temporary, name)


def write_all(descriptor: int, content: bytes) -> None:
    """write(2) until all of it is written."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _temporary(parent: int, name: str) -> str:
    """A name beside ``name`` that nothing has."""
    temporary = f".{name}.{os.getpid()}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=parent)
    return temporary


def _publish(parent: int, temporary: str, name: str) -> None:
    try:
        os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
    except OSError:
        os.unlink(temporary, dir_fd=parent)
        raise


def read_link(root: int, path: str) -> str:
    """Where the symbolic link ``path`` below ``root`` says that it leads.

    :raises OSError: ``EINVAL`` for anything but a link.
    """
    folder, name = os.path.split(path)
    with opened(open_in(root, folder or "/", os.O_PATH | os.O_DIRECTORY)) as parent:
        return os.readlink(name, dir_fd=parent)


def write_link(root: int, path: str, target: str) -> None:
    """Put a symbolic link at ``path`` below ``root`` atomically: what bears that name is replaced, never followed."""
    folder, name = os.path.split(path)
    with opened(open_in(root, folder or "/", os.O_PATH | os.O_DIRECTORY)) as parent:
        temporary = _temporary(parent, name)
        os.symlink(target, temporary, dir_fd=parent)
        _publish(parent, temporary, name)


def make_directory(root: int, path: str, mode: int = 0o755) -> int:
    """A descriptor of the directory ``path`` below ``root``, made if it is missing.

    :raises OSError: ``ELOOP`` when the path holds a symbolic link, ``ENOTDIR`` when a file stands there.
    """
    folder, name = os.path.split(path.rstrip("/"))
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
    with opened(open_plain(root, folder or "/", flags)) as parent:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, mode, dir_fd=parent)
        return openat2(parent, name, flags, RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH)


def exchange(parent: int, one: str, other: str) -> None:
    """Let two names of a directory change places in one step (renameat2(2), ``RENAME_EXCHANGE``)."""
    syscall("renameat2", parent, os.fsencode(one), parent, os.fsencode(other), _RENAME_EXCHANGE, target=other)


def set_mode(parent: int, name: str, mode: int) -> None:
    """Give the directory ``name`` in ``parent`` a mode.

    :raises OSError: ``ELOOP`` or ``ENOTDIR`` when something else is there by now.
    """
    flags, resolve = os.O_RDONLY | os.O_DIRECTORY, RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH
    with opened(openat2(parent, name, flags, resolve)) as directory:
        os.fchmod(directory, mode)


def remove_tree(parent: int, name: str) -> None:
    """Remove ``name`` and all below it, subvolumes of btrfs included, whatever flags keep it (chattr(1)). No link is
    followed and no mount is entered: ``EXDEV`` or ``EBUSY`` ends it.

    However deep the tree is, three directories are open at a time: what lies deeper is moved up and comes later.
    However many names there are, few are in our memory.
    """
    try:
        top = _open_to_empty(parent, name)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        _unlink(parent, name)
        return
    with opened(top):
        if _destroyed(parent, name, top):
            return
        subvolumes = _empty(top, top)
        while subvolumes:
            child = subvolumes.pop()
            with opened(_open_to_empty(top, child)) as subvolume:
                subvolumes += _empty(subvolume, top)
            os.rmdir(child, dir_fd=top)
    os.rmdir(name, dir_fd=parent)


def _empty(directory: int, top: int) -> list[str]:
    """Remove all below a directory. A subvolume in which there are others is moved to ``top``: the names of those.

    Of a subvolume nothing can be moved out but the subvolumes in it.
    """
    device = os.fstat(directory).st_dev
    subvolumes: list[str] = []
    while waiting := _unlink_files(directory, subvolumes if directory == top else []):
        for child in waiting:
            with opened(_open_to_empty(directory, child)) as inner:
                if os.fstat(inner).st_dev != device:
                    if not _destroyed(directory, child, inner):
                        subvolumes.append(_move_up(directory, child, top))
                    continue
                while grandchildren := _unlink_files(inner, []):
                    for grandchild in grandchildren:
                        _move_up(inner, grandchild, directory)
            os.rmdir(child, dir_fd=directory)
    return subvolumes


def _destroyed(parent: int, name: str, directory: int) -> bool:
    """Remove ``name``, which ``directory`` is the descriptor of, in one go, if it is a subvolume without others in it;
    whether it was. One that has others in it can be written to afterwards, even if somebody had made it read-only."""
    # The kernel would detach what is mounted in it, and nobody would hear of that.
    if not btrfs.is_subvolume(directory) or mounts.any_below(directory):
        return False
    try:
        btrfs.destroy(parent, name)
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        btrfs.make_writable(directory)
        return False
    return True


def _open_to_empty(parent: int, name: str) -> int:
    directory = open_beneath(parent, name, os.O_RDONLY | os.O_DIRECTORY)
    try:
        inodeflags.release(directory)
    except BaseException:
        os.close(directory)
        raise
    return directory


def _unlink(directory: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except PermissionError:
        found = open_beneath(directory, name, os.O_PATH | os.O_NOFOLLOW)
        with opened(found), opened(open_content(found)) as file:
            inodeflags.release(file)
        os.unlink(name, dir_fd=directory)


def _unlink_files(directory: int, besides: Collection[str]) -> list[str]:
    """Unlink what is no directory until a directory is met; the names of some that are there, none when all is gone.

    :param besides: names that are left alone.
    """
    for _each in range(_BATCHES):
        os.lseek(directory, 0, os.SEEK_SET)  # btrfs shows nothing that came after the last time
        with os.scandir(directory) as entries:
            found = list(itertools.islice((entry for entry in entries if entry.name not in besides), _BATCH))
        folders = [entry.name for entry in found if entry.is_dir(follow_symlinks=False)]
        for entry in found:
            if not entry.is_dir(follow_symlinks=False):
                _unlink(directory, entry.name)
        if folders or len(found) < _BATCH:
            return folders
    raise OSError(errno.ENOTEMPTY, "somebody adds to it all the time")


def _move_up(directory: int, name: str, top: int) -> str:
    """Move a directory into ``top``, under a name that nobody can have put there, and give that name."""
    fresh = f".{os.urandom(12).hex()}"
    try:
        os.rename(name, fresh, src_dir_fd=directory, dst_dir_fd=top)
    except PermissionError:
        os.close(_open_to_empty(directory, name))
        os.rename(name, fresh, src_dir_fd=directory, dst_dir_fd=top)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        with opened(_open_to_empty(directory, name)) as child:
            if not btrfs.is_subvolume(child):
                raise
            btrfs.make_writable(child)
        os.rename(name, fresh, src_dir_fd=directory, dst_dir_fd=top)
    return fresh
