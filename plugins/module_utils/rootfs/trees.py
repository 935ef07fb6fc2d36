# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directory trees, entered by descriptors only, however hostile what lies in them.

A path in a tree is relative to its root, without a leading slash; the root itself is "". No link is followed and no
mount is entered on the way (``kernel/paths``).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple

from ..errors import JailError
from ..kernel import paths

MOST_ENTRIES = 2_000_000
"""So many are looked at in one tree: each takes some hundred bytes of our memory."""

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.ESTALE, errno.EACCES, errno.ENAMETOOLONG)


class Found(NamedTuple):
    """Something in a tree: the path of its directory, its name there, and what lstat(2) says of it."""

    folder: str
    name: str
    status: os.stat_result

    @property
    def path(self) -> str:
        """Its path in the tree."""
        return join(self.folder, self.name)


class Tree:
    """A tree on the host, for a ``with`` block."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._root = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._path, self._folder = "", self._root

    def __enter__(self) -> Tree:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forget()
        os.close(self._root)

    @property
    def root(self) -> int:
        """A descriptor of the root."""
        return self._root

    def folder(self, path: str) -> int:
        """A descriptor of a directory, good until the next call.

        :raises JailError: for a path that is longer than the kernel takes.
        """
        if path != self._path:
            self._forget()
            if path:
                self._folder = _open_folder(self._root, path)
                self._path = path
        return self._folder

    def entry(self, folder: str, name: str) -> int:
        """A new ``O_PATH`` descriptor of what is at a name, a link itself."""
        return os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.folder(folder))

    def listing(self, folder: str) -> Iterator[tuple[str, os.stat_result]]:
        """What is in a directory."""
        with paths.opened(os.dup(self.folder(folder))) as descriptor, os.scandir(descriptor) as entries:
            for entry in entries:
                yield entry.name, os.stat(entry.name, dir_fd=descriptor, follow_symlinks=False)

    def _forget(self) -> None:
        if self._folder != self._root:
            os.close(self._folder)
        self._path, self._folder = "", self._root


def join(folder: str, name: str) -> str:
    """The path of a name in a directory."""
    return f"{folder}/{name}" if folder else name


def walk(root: int) -> Iterator[Found]:
    """All that is in a tree, which may be changing: what goes away meanwhile is left out.

    :raises JailError: when there is too much of it (:data:`MOST_ENTRIES`).
    """
    # Not their paths: thousands of directories in one whose path is long would have us remember that with each.
    waiting, count = [("", "")], 0
    while waiting:
        folder = join(*waiting.pop())
        try:
            descriptor = paths.open_beneath(root, folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            if error.errno in _GONE:
                continue
            raise
        with paths.opened(descriptor), os.scandir(descriptor) as entries:
            for entry in entries:
                count += 1
                if count > MOST_ENTRIES:
                    raise JailError(f"its tree has more than {MOST_ENTRIES} entries")
                try:
                    status = os.stat(entry.name, dir_fd=descriptor, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.S_ISDIR(status.st_mode):
                    waiting.append((folder, entry.name))
                yield Found(folder, entry.name, status)


def open_file(root: int, path: str) -> int | None:
    """A descriptor to read the regular file at a path of a tree that may be changing; ``None`` when there is none to
    be had: it is gone, something else stands there, a lease is on it."""
    try:
        with paths.opened(paths.open_beneath(root, path, os.O_PATH | os.O_NOFOLLOW)) as found:
            return paths.open_content(found)
    except OSError as error:
        if error.errno in (*_GONE, errno.EINVAL, errno.EWOULDBLOCK, errno.EPERM, errno.EIO):
            return None
        raise


def _open_folder(root: int, path: str) -> int:
    try:
        return paths.open_beneath(root, path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise JailError(f"a path in it is longer than the kernel takes: /{path[:60]}...") from error
        raise
