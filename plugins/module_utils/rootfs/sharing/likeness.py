# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether two things in two trees are the same in all that can be seen of them: kind, mode, owner, time of the last
change of content, attributes, device number, target of a link, and content. Never by size and time alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Callable

from ...kernel import paths, xattrs
from ..trees import Found, Tree

Reader = Callable[[Mapping[str, bytes], str], dict[str, bytes]]
"""What counts of the attributes of something at a path: ``marks.seen`` or ``marks.plain``."""

_CHUNK = 1 << 20


def same(one: Tree, mine: Found, read_mine: Reader, other: Tree, theirs: Found, read_theirs: Reader) -> bool:
    """Compare what is at one name in two trees that nobody changes. Of a directory, not what is in it; of a file, not
    its other names."""
    if not _same_status(mine.status, theirs.status):
        return False
    left, right = one.entry(mine.folder, mine.name), other.entry(theirs.folder, theirs.name)
    with paths.opened(left), paths.opened(right):
        if read_mine(xattrs.read(left), mine.path) != read_theirs(xattrs.read(right), theirs.path):
            return False
        if stat.S_ISLNK(mine.status.st_mode):
            return os.readlink("", dir_fd=left) == os.readlink("", dir_fd=right)
        if stat.S_ISREG(mine.status.st_mode):
            return _same_content(left, right)
        return True


def _same_status(mine: os.stat_result, theirs: os.stat_result) -> bool:
    if (mine.st_mode, mine.st_uid, mine.st_gid) != (theirs.st_mode, theirs.st_uid, theirs.st_gid):
        return False
    if mine.st_mtime_ns != theirs.st_mtime_ns:
        return False
    if stat.S_ISREG(mine.st_mode):
        return mine.st_size == theirs.st_size
    if stat.S_ISCHR(mine.st_mode) or stat.S_ISBLK(mine.st_mode):
        return mine.st_rdev == theirs.st_rdev
    return True


def _same_content(left: int, right: int) -> bool:
    if os.path.sameopenfile(left, right):
        return True
    with paths.opened(paths.open_content(left)) as one, paths.opened(paths.open_content(right)) as other:
        while True:
            chunk = os.read(one, _CHUNK)
            if chunk != _exactly(other, len(chunk)):
                return False
            if not chunk:
                return True


def _exactly(descriptor: int, length: int) -> bytes:
    """As many bytes, or fewer at the end of the file; at that end one more is asked for."""
    chunks = []
    wanted = length or 1
    while wanted:
        chunk = os.read(descriptor, wanted)
        if not chunk:
            break
        chunks.append(chunk)
        wanted -= len(chunk)
    return b"".join(chunks)
