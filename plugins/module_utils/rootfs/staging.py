# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories that are there whole or not at all.

In a directory of ours (``layout.TEMPLATES``, ``layout.STORAGE``) a name that begins with a dot is half made
(``.new-NAME``) or half removed (``.old-NAME``). rename(2) takes the step between that and the real name. Killed
anywhere, what is left behind is cleared by the next attempt or by :func:`sweep`. All of it happens under the lock of
the name.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Callable

from .. import files
from ..errors import JailError
from ..kernel import paths
from ..kernel.syscalls import check, libc
from . import space, volumes

_NEW, _OLD = ".new-", ".old-"

Maker = Callable[[int, str], None]
"""``make(parent, name)`` makes an empty directory in the one that ``parent`` is a descriptor of."""


def locked(lock: str, name: str) -> AbstractContextManager[None]:
    """Hold the lock of a name for a ``with`` block: nobody else makes, removes or sweeps it.

    :param lock: what the locks of this kind of directory begin with.
    :raises ValueError: for a name that would reach out of its directory.
    """
    if not name or name.startswith(".") or "/" in name:
        raise ValueError(f"{name!r} cannot be the name of a directory of ours")
    return files.locked(lock + name)


@contextlib.contextmanager
def made_whole(parent: str, name: str, purpose: str, make: Maker = volumes.make_plain) -> Iterator[str]:
    """A new empty directory (0700) to fill in a ``with`` block, whose end gives it its real name.

    A block that fails leaves nothing. The caller has the lock.

    :param purpose: how an error begins: "template x cannot be built".
    :param make: makes the directory, :func:`volumes.make` where it has to be a volume.
    :raises JailError: for every :class:`OSError` of the block, naming the file system where one was full.
    """
    with _half_made(parent, name, purpose, make) as (folder, temporary):
        yield os.path.join(parent, temporary)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)


@contextlib.contextmanager
def replaced_whole(parent: str, name: str, purpose: str, make: Maker) -> Iterator[str]:
    """Like :func:`made_whole`, for a directory that is there: the end of the block puts the new one in its place and
    removes the old one. Whoever looks finds the one or the other; the new one is on disk by then."""
    with _half_made(parent, name, purpose, make) as (folder, temporary):
        yield os.path.join(parent, temporary)
        sync_filesystem(os.path.join(parent, temporary))
        paths.exchange(folder, temporary, name)
        os.fsync(folder)
        volumes.remove(folder, temporary, name)


def clear(parent: str, name: str) -> None:
    """Clear what is half made or half removed of one name. The caller has the lock."""
    if is_half_done(parent, name):
        with blamed(f"what was left of {os.path.join(parent, name)} cannot be cleared"), _opened(parent) as folder:
            for prefix in (_NEW, _OLD):
                volumes.remove(folder, prefix + name, name)


def is_half_done(parent: str, name: str) -> bool:
    """Whether something half made or half removed is there of a name."""
    return any(os.path.lexists(os.path.join(parent, prefix + name)) for prefix in (_NEW, _OLD))


@contextlib.contextmanager
def _half_made(parent: str, name: str, purpose: str, make: Maker) -> Iterator[tuple[int, str]]:
    """A new empty directory under the name for half made ones: a descriptor of its parent, and that name."""
    with blamed(purpose), _opened(parent) as folder:
        temporary = _NEW + name
        volumes.remove(folder, temporary, name)
        make(folder, temporary)
        try:
            with blamed(purpose):  # here, while the disk is still full
                yield folder, temporary
        except BaseException:
            with contextlib.suppress(OSError):  # what cannot be cleared now is reported by the next attempt
                volumes.remove(folder, temporary, name)
            raise


@contextlib.contextmanager
def workspace(tree: str) -> Iterator[str]:
    """A directory (0700) for a builder's own files, for a ``with`` block: beside the tree, on its file system.

    It lies in what :func:`made_whole` gave, so a builder that is killed leaves no more than its tree.
    """
    place, name = os.path.dirname(tree), "work"
    with _opened(place) as folder:
        os.mkdir(name, 0o700, dir_fd=folder)
        try:
            yield os.path.join(place, name)
        finally:
            paths.remove_tree(folder, name)


def remove(parent: str, name: str) -> None:
    """Remove a directory and all below it; none is fine. Nobody finds half of it. The caller has the lock.

    :raises JailError: naming what is in the way, such as a mount, which is never entered.
    """
    if not os.path.isdir(parent):
        return
    with blamed(f"{os.path.join(parent, name)} cannot be removed"), _opened(parent) as folder:
        volumes.remove(folder, _OLD + name, name)
        with contextlib.suppress(FileNotFoundError):
            os.rename(name, _OLD + name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
            volumes.remove(folder, _OLD + name, name)


def leftovers(parent: str, lock: str) -> list[str]:
    """The paths of what :func:`sweep` would clear. Touches nothing."""
    if not os.path.isdir(parent):
        return []
    entries = [entry for entry in sorted(os.listdir(parent)) if entry.startswith((_NEW, _OLD))]
    return [os.path.join(parent, entry) for entry in entries if files.is_free(lock + entry[len(_NEW) :])]


def sweep(parent: str, lock: str) -> list[str]:
    """Clear what was half made or half removed by processes that are gone; the names that were.

    :param lock: as for :func:`locked`. What is locked somebody works on: it stays.
    """
    swept: list[str] = []
    if not os.path.isdir(parent):
        return swept
    with blamed(f"{parent} cannot be swept"), _opened(parent) as folder:
        for entry in sorted(os.listdir(folder)):
            if entry.startswith((_NEW, _OLD)):
                name = entry[len(_NEW) :]
                with files.locked_if_free(lock + name) as free:
                    if free:
                        volumes.remove(folder, entry, name)
                        swept.append(name)
    return swept


def names(parent: str, note: str) -> list[str]:
    """The whole ones, sorted: what has the file ``note`` in it. (A file system of its own has a ``lost+found``.)"""
    with contextlib.suppress(FileNotFoundError):
        whole = [name for name in os.listdir(parent) if not name.startswith(".")]
        return sorted(name for name in whole if os.path.isfile(os.path.join(parent, name, note)))
    return []


def sync_filesystem(path: str) -> None:
    """syncfs(2): wait until the file system of ``path`` is on disk. A write that failed late is an error here."""
    with paths.opened(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as folder:
        check(libc.syncfs(folder), "syncfs", path)


@contextlib.contextmanager
def _opened(parent: str) -> Iterator[int]:
    files.make_private_directory(parent)
    with paths.opened(os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as folder:
        yield folder


@contextlib.contextmanager
def blamed(purpose: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in space.FULL:
            raise space.full_disk(purpose, error) from error
        raise JailError(f"{purpose}: {error}") from error
