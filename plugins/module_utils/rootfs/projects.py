# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Project numbers for jails: each directory of storage gets one of its own, where the file system counts by projects.

The kernel is the register: a number is taken when anything is counted or limited by it. Those that the host's
administrator has given names to (projid(5), projects(5)) are left alone.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Generator, Iterator

from .. import files
from ..errors import JailError
from ..kernel import inodeflags, paths, quota

FIRST, COUNT = 0x4A00_0000, 1 << 24
"""Our numbers. Container engines and Kubernetes take theirs from below."""

_NAMED = {"/etc/projid": 1, "/etc/projects": 0}
"""Files with project numbers, and which of the fields, which colons part, is one."""
_LOCK = "projects"
_DOWN = paths.RESOLVE_NO_SYMLINKS | paths.RESOLVE_NO_XDEV | paths.RESOLVE_BENEATH
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def is_ours(number: int) -> bool:
    """Whether a project's number is one that we give."""
    return FIRST <= number < FIRST + COUNT


def assign(directory: int, seed: str) -> None:
    """Give an empty directory a number that nobody has.

    :param seed: where to begin to look, so that jails do not all begin at one number.
    """
    with files.locked(_LOCK):
        inodeflags.set_project(directory, _free(directory, seed))


def assign_tree(directory: int, seed: str) -> None:
    """The same for a directory with files in it, which must be left alone meanwhile."""
    with files.locked(_LOCK):
        number = _free(directory, seed)
        # The top comes last: what was killed halfway has none yet, and is begun again.
        for descriptor in _below(directory):
            inodeflags.set_project(descriptor, number)
        inodeflags.set_project(directory, number)


def forget(directory: int) -> None:
    """Take the limits of a directory's project away; done before its files are removed, so that none is forgotten."""
    number = inodeflags.project(directory)
    if is_ours(number) and quota.counts(directory):
        quota.set_limits(directory, number, None, None)


def _free(directory: int, seed: str) -> int:
    named = set(_named())
    start = zlib.crc32(os.fsencode(seed))
    for step in range(COUNT):
        number = FIRST + (start + step) % COUNT
        if number not in named and not any(quota.usage(directory, number)):
            return number
    raise JailError("every project number of ours is taken")


def _named() -> Iterator[int]:
    for path, field in _NAMED.items():
        with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                fields = [word.strip() for word in line.split(":")]
                if len(fields) > field and fields[field].isdigit():
                    yield int(fields[field])


def _below(top: int) -> Iterator[int]:
    """Descriptors of all files and directories below a directory, one at a time; a directory comes before what is in
    it. Links are not followed; other kinds of files cannot be opened, and take no space.

    However deep the tree is, one directory is open at a time: the way back is ``..``, which has to be where we came
    from.
    """
    here = os.dup(top)
    way: list[tuple[tuple[int, int], list[str]]] = []
    try:
        waiting = yield from _files_in(here)
        while waiting or way:
            if waiting:
                name = waiting.pop()
                way.append((_identity(here), waiting))
                here = _step(here, name, _DOWN)
                yield here
                waiting = yield from _files_in(here)
            else:
                parent, waiting = way.pop()
                here = _step(here, "..", paths.RESOLVE_NO_SYMLINKS)
                if _identity(here) != parent:
                    raise JailError("its files are being moved by another process", advice="let that end first")
    finally:
        os.close(here)


def _files_in(directory: int) -> Generator[int, None, list[str]]:
    """Descriptors of the regular files in a directory; then the names of its directories."""
    folders = []
    with os.scandir(directory) as entries:
        found = list(entries)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            folders.append(entry.name)
        elif entry.is_file(follow_symlinks=False):
            with paths.opened(os.open(entry.name, _FILE, dir_fd=directory)) as file:
                yield file
    return folders


def _step(here: int, name: str, resolve: int) -> int:
    """A descriptor of the directory next to go to; that of this one is closed."""
    there = paths.openat2(here, name, os.O_RDONLY | os.O_DIRECTORY, resolve)
    os.close(here)
    return there


def _identity(directory: int) -> tuple[int, int]:
    facts = os.fstat(directory)
    return facts.st_dev, facts.st_ino
