# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stays a jail's own though others have it too: configuration and data.

A fixed list, as util-vserver's vunify had it, and what the package manager calls configuration files: those of dpkg and
the protected paths of apk. rpm keeps its list in a binary database, which is not read here: no parser of the host
meets a file that a jail wrote, and what rpm marks so lies in /etc with few exceptions.

The lists are text of a tree that nobody trusts. They are read within bounds and can only add to what is kept: a jail
that lies about its files shares less.
"""

from __future__ import annotations

import errno
import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ...errors import JailError
from ...kernel import paths

FOLDERS = (
    *("boot", "dev", "etc", "home", "lost+found", "media", "mnt", "proc", "root", "run", "selinux", "srv", "sys"),
    *("tmp", "usr/etc", "usr/local/etc", "usr/tmp", "var"),
)
"""Nothing at or below these is shared: configuration (etc), data (home, root, srv, var), what lasts no longer than the
jail runs (run, tmp), and what is mounted over."""

_DPKG_LISTS, _DPKG_STATUS = "var/lib/dpkg/info", "var/lib/dpkg/status"
_APK_LISTS = "etc/apk/protected_paths.d"
_MOST_BYTES = 32 << 20
_MOST_LISTS = 100_000
_MOST_PATHS = 500_000
_MERGED = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.EWOULDBLOCK, errno.EXDEV)
_WILD = re.compile(r"[*?\[\\]")


class Keep(NamedTuple):
    """Files, and folders with all that is in them, as paths in a tree."""

    files: frozenset[str]
    folders: frozenset[str]

    def covers(self, path: str) -> bool:
        """Whether what is at this path stays the jail's own."""
        if path in self.files or "" in self.folders:
            return True
        end = path.find("/")
        while end != -1:
            if path[:end] in self.folders:
                return True
            end = path.find("/", end + 1)
        return path in self.folders


def of(places: Iterable[str]) -> Keep:
    """What a jail keeps, by the lists in all these trees: its own and those of its templates.

    :raises JailError: when they are too large to be read whole.
    """
    files: set[str] = set()
    folders: set[str] = set(FOLDERS)
    budget = _Budget()
    for place in places:
        with paths.opened(paths.open_directory(place)) as root:
            for name in _names(root, _DPKG_LISTS):
                if name.endswith(".conffiles"):
                    _add(files, conffiles(budget.read(root, f"{_DPKG_LISTS}/{name}")))
            _add(files, conffiles_of_status(budget.read(root, _DPKG_STATUS)))
            for name in _names(root, _APK_LISTS):
                if name.endswith(".list"):
                    _add(folders, protected(budget.read(root, f"{_APK_LISTS}/{name}")))
    return Keep(frozenset(files), frozenset(folders))


def _add(known: set[str], more: Iterable[str]) -> None:
    for path in more:
        known.add(path)
        if len(known) > _MOST_PATHS:
            raise JailError(f"its package manager lists more than {_MOST_PATHS} configuration files")


def conffiles(text: str) -> Iterator[str]:
    """The paths in a list of dpkg's: one a line, perhaps with a flag before it (deb-conffiles(5))."""
    for line in text.splitlines():
        start = line.find("/")
        if start != -1:
            yield from _spellings(line[start:])


def conffiles_of_status(text: str) -> Iterator[str]:
    """The paths in the fields ``Conffiles`` of dpkg's status: " PATH MD5" lines, perhaps with a flag at the end."""
    inside = False
    for line in text.splitlines():
        if not line.startswith(" "):
            inside = line.lower().startswith("conffiles:")
        elif inside:
            words = line.strip().split(" ")
            for count in (1, 2):
                if len(words) > count:
                    yield from _spellings(" ".join(words[:-count]))


def protected(text: str) -> Iterator[str]:
    """The folders in a list of apk's (apk-protected_paths(5)): a sign and a pattern on each line. A pattern stands for
    the folder that it begins in, and one that takes a path out again is passed over."""
    for line in text.splitlines():
        if line[:1] in ("+", "@", "!"):
            pattern = line[1:].strip()
            wild = _WILD.search(pattern)
            yield from _spellings(posixpath.dirname(pattern[: wild.start()]) if wild else pattern)


def _spellings(path: str) -> Iterator[str]:
    """A path as in a tree; also below usr for what may be a link there."""
    plain = posixpath.normpath(f"/{path}").strip("/")
    yield plain
    if plain.split("/")[0] in _MERGED:
        yield f"usr/{plain}"


class _Budget:
    """Reads files until there were too many bytes."""

    def __init__(self) -> None:
        self._left = _MOST_BYTES

    def read(self, root: int, path: str) -> str:
        """The text of a regular file; nothing when there is none."""
        try:
            with paths.opened(paths.open_in(root, path, os.O_PATH)) as found:
                content = paths.open_content(found)
        except OSError as error:
            if error.errno in _NOT_THERE:
                return ""
            raise
        with open(content, "rb") as file:
            data = file.read(self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise JailError(f"its package manager's lists have more than {_MOST_BYTES >> 20} MiB, /{path} among them")
        return data.decode(errors="surrogateescape")


def _names(root: int, path: str) -> list[str]:
    try:
        descriptor = paths.open_in(root, path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return []
        raise
    names = []
    with paths.opened(descriptor), os.scandir(descriptor) as entries:
        for entry in entries:
            names.append(entry.name)
            if len(names) > _MOST_LISTS:
                raise JailError(f"there are more than {_MOST_LISTS} files in its /{path}")
    return names
