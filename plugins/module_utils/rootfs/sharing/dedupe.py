# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let equal files of several trees share their extents, on file systems that can (btrfs, xfs).

What the jails see does not change: the kernel itself compares both contents under its locks and shares them only where
they are equal, and a write to one of them, then or later, is that file's alone. So it does not matter whether a jail
runs. Hashes only find what is worth a comparison.

A jail can change its files meanwhile as it likes: names are opened in ways that do not wait and open nothing but
regular files (:func:`.trees.open_file`), work is bounded by what the disk can hold, and whatever does not fit is passed
over.

Who shares with whom is the caller's to say: a :class:`Pool` is one trust group. A jail in it can tell, by how long a
first write takes, that somebody has the same content.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple

from ...kernel import extents, paths
from .. import trees
from ..trees import Found
from .keep import Keep

_LARGEST = 4 << 30
"""Larger files are not looked at: what is as large as this and the same in two jails is data."""
_CHUNK = 1 << 20
_BLOCK = 512  # of st_blocks, stat(2)
_SLACK = 1 << 16
"""By so much a file may be smaller on disk than in length and count as one without holes."""
_SCATTERED = 2
"""A file with so many times the extents of another is not taken in its place."""

_MOST_MEMBERS = 1_000_000
_MOST_NAMES = 256 << 20
"""So many files are kept in mind, some hundred bytes each, whose paths have so many bytes together; further ones only
share with those."""

# What a file that somebody else changes, or one of a kind that cannot be shared, makes the kernel say.
_PASSED_OVER = (errno.EINVAL, errno.EXDEV, errno.EPERM, errno.EACCES, errno.ETXTBSY, errno.EIO, errno.EAGAIN)


class Shared(NamedTuple):
    """Files that share their content now and did not before, with the bytes of that content."""

    files: int
    bytes: int


class CannotShareError(Exception):
    """The file system of a tree has no files that share content."""


class _Member(NamedTuple):
    """A file of the pool: the descriptor of its tree's root, and its path there."""

    root: int
    path: str


class _Places(NamedTuple):
    """Where a content lies: the hash of its extents, and how many there are."""

    key: bytes
    pieces: int


class _Size:
    """The files of one size: those not looked at yet, and those that are known by where they lie and by content."""

    __slots__ = ("by_content", "by_places", "fresh", "unread")

    def __init__(self) -> None:
        self.fresh: list[_Member] = []
        self.unread: list[tuple[_Places, _Member]] = []
        self.by_places: dict[bytes, _Member] = {}
        self.by_content: dict[bytes, tuple[int, _Member]] = {}


class Pool:
    """Files that may share with each other, for a ``with`` block."""

    def __init__(self) -> None:
        self._roots: dict[str, int] = {}
        self._sizes: dict[int, _Size] = {}
        self._budget, self._lends = 0, False
        self._room, self._room_for_names = _MOST_MEMBERS, _MOST_NAMES

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for root in self._roots.values():
            os.close(root)

    def add(self, place: str, keep: Keep) -> None:
        """Let others share with the files of a tree, which stays as it is.

        :raises JailError: when there is too much in it.
        """
        for found in self._files(place, keep):
            member = _Member(self._roots[place], found.path)
            if self._has_room(member):
                self._sizes.setdefault(found.status.st_size, _Size()).fresh.append(member)

    def knows(self, place: str) -> bool:
        """Whether a tree is in the pool."""
        return place in self._roots

    def share(self, place: str, keep: Keep, lends: bool, write: bool) -> Shared:
        """Have the files of a tree share with equal ones of those that are in the pool.

        :param lends: whether they are in the pool from then on.
        :param write: ``False`` counts only what there would be to share.
        :raises CannotShareError: when this file system cannot.
        :raises JailError: when there is too much in it.
        """
        files = shared = 0
        self._budget, self._lends = _capacity(place), lends
        asked = False
        for found in self._files(place, keep):
            asked = asked or self._asked(found, place)
            size = found.status.st_size
            if self._share_file(_Member(self._roots[place], found.path), size, write):
                files += 1
                shared += size
        return Shared(files, shared)

    def _files(self, place: str, keep: Keep) -> Iterator[Found]:
        """The files of a tree that are worth a look."""
        if place in self._roots:
            raise ValueError(f"{place} is in the pool already")
        root = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._roots[place] = root
        return (found for found in trees.walk(root) if _is_candidate(found.status) and not keep.covers(found.path))

    def _asked(self, found: Found, place: str) -> bool:
        """Ask the file system, by a file that can be opened, whether it can share."""
        content = trees.open_file(self._roots[place], found.path)
        if content is None:
            return False
        with paths.opened(content):
            if not extents.can_share(content):
                raise CannotShareError
        return True

    def _share_file(self, member: _Member, size: int, write: bool) -> bool:
        known = self._sizes.get(size)
        if known is None:
            if self._lends and self._has_room(member):
                known = self._sizes[size] = _Size()
                known.fresh.append(member)
            return False
        content = _open(member, size)
        if content is None:
            return False
        with paths.opened(content):
            return self._share_content(member, content, size, known, write)

    def _share_content(self, member: _Member, content: int, size: int, known: _Size, write: bool) -> bool:
        self._look_at_fresh(known, size)
        lies = _places(content)
        if lies is None or lies.key in known.by_places:
            return False
        self._read_unread(known, size)
        digest = self._digest(content, size)
        if digest is None:
            return False
        found = known.by_content.get(digest)
        if found and found[0] <= lies.pieces * _SCATTERED and self._same(found[1], content, size, write):
            return True
        # The first of its content, or a better one than that was: later ones share with this.
        if self._lends and (found or self._has_room(member)):
            known.by_content[digest] = lies.pieces, member
            known.by_places[lies.key] = member
        return False

    def _has_room(self, member: _Member) -> bool:
        self._room -= 1
        self._room_for_names -= len(member.path)
        return min(self._room, self._room_for_names) >= 0

    def _look_at_fresh(self, known: _Size, size: int) -> None:
        """Find out where those not looked at yet lie."""
        for member in known.fresh:
            content = _open(member, size)
            if content is not None:
                with paths.opened(content):
                    lies = _places(content)
                if lies is not None and known.by_places.setdefault(lies.key, member) is member:
                    known.unread.append((lies, member))
        known.fresh.clear()

    def _read_unread(self, known: _Size, size: int) -> None:
        """Find out what is in those of which only that is known where they lie."""
        for lies, member in known.unread:
            content = _open(member, size)
            if content is not None:
                with paths.opened(content):
                    digest = self._digest(content, size)
                if digest is not None:
                    known.by_content.setdefault(digest, (lies.pieces, member))
        known.unread.clear()

    def _digest(self, content: int, size: int) -> bytes | None:
        """The hash of a file of this size; ``None`` when it has another by now, or when more was read for one tree than
        its file system holds: a tree that shares much with itself could keep us busy for ever."""
        self._budget -= size
        if self._budget < 0:
            return None
        digest, left = hashlib.blake2b(digest_size=32), size
        while left:
            chunk = os.read(content, min(_CHUNK, left))
            if not chunk:
                return None
            digest.update(chunk)
            left -= len(chunk)
        return digest.digest()

    def _same(self, member: _Member, content: int, size: int, write: bool) -> bool:
        """Have a file share with one of the pool; whether it does, or would."""
        source = _open(member, size)
        if source is None:
            return False
        with paths.opened(source):
            if not write:
                return True
            try:
                return extents.share(source, content, size)
            except OSError as error:
                if error.errno == errno.EOPNOTSUPP:
                    raise CannotShareError from error
                if error.errno in _PASSED_OVER:
                    return False
                raise


def _is_candidate(status: os.stat_result) -> bool:
    """Whether it is a file with content of its own and without holes worth speaking of."""
    if not stat.S_ISREG(status.st_mode) or not 0 < status.st_size <= _LARGEST:
        return False
    return status.st_blocks * _BLOCK + _SLACK >= status.st_size


def _open(member: _Member, size: int) -> int | None:
    content = trees.open_file(member.root, member.path)
    if content is not None and os.fstat(content).st_size != size:
        os.close(content)
        return None
    return content


def _places(content: int) -> _Places | None:
    """Where a content lies; ``None`` when that is nowhere of its own: in the inode, or in a hole."""
    known = extents.of(content)
    if not known:
        return None
    places = extents.places(known)
    return _Places(hashlib.blake2b(repr(places).encode(), digest_size=16).digest(), len(places))


def _capacity(place: str) -> int:
    facts = os.statvfs(place)
    return facts.f_blocks * facts.f_frsize
