# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes on disk that are one tree's own, as the file system counts them: what removing it would give back."""

from __future__ import annotations

import os
import stat

from ..kernel import extents, paths
from . import trees
from .trees import Found

_BLOCK = 512  # of st_blocks, stat(2)


def bytes_of(place: str) -> int:
    """Of a tree that may be changing. Each file counts once, and what it shares with another does not count.

    :raises JailError: when there is too much in it to be looked at.
    """
    root = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with paths.opened(root):
        seen: set[tuple[int, int]] = set()
        total = os.fstat(root).st_blocks * _BLOCK
        shares = _Sharing(root)
        for found in trees.walk(root):
            status = found.status
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
            total += status.st_blocks * _BLOCK - shares.bytes_of(found)
        return total


class _Sharing:
    """What the files of a tree share with others. Where the first of them says that its file system knows no such
    thing, no other is opened."""

    def __init__(self, root: int) -> None:
        self._root, self._possible = root, True

    def bytes_of(self, found: Found) -> int:
        if not self._possible or not stat.S_ISREG(found.status.st_mode) or not found.status.st_blocks:
            return 0
        content = trees.open_file(self._root, found.path)
        if content is None:
            return 0
        with paths.opened(content):
            self._possible = extents.can_share(content)
            known = (extents.of(content) if self._possible else None) or []
        shared = sum(extent.length for extent in known if extent.shared)
        return min(shared, found.status.st_blocks * _BLOCK)
