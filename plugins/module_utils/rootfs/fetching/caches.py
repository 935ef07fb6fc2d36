# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What builders keep of their downloads: a directory for each, ``layout.downloads(NAME)``.

Nothing in one is needed for more than speed. None is emptied under the hands of a build.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager

from ... import files, layout

_USE = "caches"


def in_use() -> AbstractContextManager[None]:
    """Use caches in a ``with`` block, as any number of builds may at once."""
    return files.shared(_USE)


def locked(name: str) -> AbstractContextManager[None]:
    """Have a cache that only one can use at a time, for a ``with`` block; whoever comes second waits."""
    return files.locked(f"{name}-cache")


def folder(name: str) -> str:
    """The directory of a cache, made if it is missing."""
    path = layout.downloads(name)
    files.make_private_directory(path)
    return path


def names() -> list[str]:
    """The caches that there are, sorted."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(entry.name for entry in os.scandir(layout.downloads("")) if entry.is_dir(follow_symlinks=False))
    return []


def bytes_used(name: str, moment: float) -> int:
    """Bytes on disk of the files of a cache that were last used before this time (seconds since the epoch)."""
    return sum(size for _path, size in _old(name, moment))


def clear(name: str, moment: float) -> int:
    """Remove those files, and the directories that hold none then; the bytes on disk that the files took. Waits until
    no build uses caches."""
    freed = 0
    with files.locked(_USE):
        for path, size in _old(name, moment):
            os.unlink(path)
            freed += size
        for place, _folders, _plain in os.walk(layout.downloads(name), topdown=False):
            with contextlib.suppress(OSError):  # not empty
                os.rmdir(place)
    return freed


def _old(name: str, moment: float) -> Iterator[tuple[str, int]]:
    """Path and bytes. The directory is ours and private, and what is in it programs of the host have put there.

    A download may have been given the time of its original; that of its inode's last change is from here, and goes up
    when a builder makes a link to it.
    """
    for place, _folders, plain in os.walk(layout.downloads(name)):
        for path in (os.path.join(place, each) for each in plain):
            with contextlib.suppress(FileNotFoundError):  # somebody is at work there
                status = os.lstat(path)
                if status.st_ctime < moment:
                    yield path, status.st_blocks * 512
