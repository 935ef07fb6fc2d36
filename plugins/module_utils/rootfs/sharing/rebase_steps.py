# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it takes to move a jail's upper directory onto another template so that the jail sees no difference.

Reads only. The view, what the jail sees, is the upper directory over the old template. Directory by directory it is
compared with the new template, and each difference is a :class:`Step` for a new upper directory.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ...errors import JailError
from ...kernel import paths, xattrs
from .. import trees
from ..trees import Found, Tree
from . import likeness, lowers, marks
from .keep import Keep
from .lowers import Lowers

ENTER, LEAVE = "enter", "leave"
"""A directory of the view begins, or it and all below it is done. It is made when something has to be in it."""
NEEDED = "needed"
"""The directory that has begun is not as the new template's: it has to be there."""
OPAQUE = "opaque"
"""Nothing of the new template's directory shows through the one that has begun."""
KEPT = "kept"
"""The jail's own, from the old upper directory to the new one."""
DROPPED = "dropped"
"""It was the jail's own, and the new template has it."""
COPIED = "copied"
"""The old template's, which the new one has not: it becomes the jail's own."""
HIDDEN = "hidden"
"""The new template's, which the jail does not see."""


class Step(NamedTuple):
    """One of the above, in the order in which the new upper directory is made.

    :param found: what it is about, as in the tree that it comes from; for ENTER, LEAVE, NEEDED and OPAQUE the
        directory.
    :param own: whether that tree is the old upper directory. Otherwise it is the old template, and for HIDDEN the new.
    """

    kind: str
    found: Found
    own: bool


class _Folder(NamedTuple):
    """A directory of the view that is still to be looked at: which trees have it there, as what is seen or as what
    would be."""

    found: Found
    own: bool
    old: bool
    new: Found | None


class Comparison:
    """The steps of one jail.

    :param upper: the upper directory of a jail that does not run.
    :param keep: what stays the jail's own though the new template has it.
    """

    def __init__(self, upper: Tree, templates: Lowers, keep: Keep) -> None:
        self._upper, self._lowers, self._keep = upper, templates, keep
        self._count = 0

    def steps(self) -> Iterator[Step]:
        """All steps, each directory between its ENTER and its LEAVE and after the files of the one it is in.

        :raises JailError: when it cannot be done, naming what stands in the way.
        """
        top = Found("", "", os.fstat(self._upper.root))
        waiting: list[_Folder | Step] = [_Folder(top, True, True, top)]
        while waiting:
            each = waiting.pop()
            if isinstance(each, Step):
                yield each
            else:
                waiting.append(Step(LEAVE, each.found, each.own))
                yield from self._folder(each, waiting)

    def _folder(self, folder: _Folder, waiting: list[_Folder | Step]) -> Iterator[Step]:
        path = folder.found.path
        old = lowers.entries(self._lowers.old, path) if folder.old else {}
        new = lowers.entries(self._lowers.new, path) if folder.new else {}
        own = self._overlapping(path, {*old, *new}) if folder.own else {}
        seen = {name for name in new if (not marks.is_whiteout(own[name].status) if name in own else name in old)}
        opaque = bool(new) and not seen and bool(path)  # the kernel does not ask for the mark on the root

        yield Step(ENTER, folder.found, folder.own)
        if opaque:
            yield Step(OPAQUE, folder.found, folder.own)
        if opaque or not path or self._is_needed(folder):
            yield Step(NEEDED, folder.found, folder.own)
        if opaque:
            new = {}
        for name in new.keys() - seen:
            yield Step(HIDDEN, new[name], False)
        if folder.own:
            yield from self._own(path, old, new, waiting)
        for name in old.keys() - own.keys():
            yield from self._inherited(old[name], new.get(name), waiting)

    def _overlapping(self, path: str, names: set[str]) -> dict[str, Found]:
        """What a directory of the upper one has under these names. (It may have any number of others.)"""
        return {name: Found(path, name, status) for name, status in self._upper.listing(path) if name in names}

    def _is_needed(self, folder: _Folder) -> bool:
        if folder.new is None or (folder.own and self._keep.covers(folder.found.path)):
            return True
        if folder.own:
            return not self._same_as_own(folder.found, folder.new)
        return not self._lowers.same(folder.found, folder.new)

    def _own(
        self, path: str, old: Mapping[str, Found], new: Mapping[str, Found], waiting: list[_Folder | Step]
    ) -> Iterator[Step]:
        """What the upper directory has in a directory."""
        for name, status in self._upper.listing(path):
            self._count += 1
            if self._count > trees.MOST_ENTRIES:
                raise JailError(f"the jail's own tree has more than {trees.MOST_ENTRIES} entries")
            found = Found(path, name, status)
            if marks.is_whiteout(status):
                continue
            if stat.S_ISDIR(status.st_mode):
                beneath = _directory(old.get(name)) is not None and not marks.is_opaque(self._attributes(found))
                waiting.append(_Folder(found, True, beneath, _directory(new.get(name))))
            elif self._is_new_templates(found, new.get(name)):
                yield Step(DROPPED, found, True)
            else:
                yield Step(KEPT, found, True)

    def _is_new_templates(self, found: Found, new: Found | None) -> bool:
        """Whether a file of the upper directory can go because the new template has it.

        One of several names stays: two names of a file in a template become two files as soon as the jail writes.
        """
        if stat.S_ISREG(found.status.st_mode):
            marks.seen(self._attributes(found), found.path)
        if new is None or found.status.st_nlink > 1 or new.status.st_nlink > 1 or self._keep.covers(found.path):
            return False
        return self._same_as_own(found, new)

    def _inherited(self, old: Found, new: Found | None, waiting: list[_Folder | Step]) -> Iterator[Step]:
        """What shows through from the old template."""
        if stat.S_ISDIR(old.status.st_mode):
            waiting.append(_Folder(old, False, True, _directory(new)))
        elif new is None or not (self._same_names(old, new) and self._lowers.same(old, new)):
            yield Step(COPIED, old, False)

    def _same_names(self, old: Found, new: Found) -> bool:
        """Whether a file that shows through has the same names over both templates, as far as they are seen."""
        before = self._lowers.names(self._lowers.old, old)
        after = self._lowers.names(self._lowers.new, new)
        return before == after or {name for name in before if self._shows_through(name)} == after

    def _shows_through(self, path: str) -> bool:
        """Whether the upper directory leaves the old template's file at a path to be seen."""
        folder = ""
        *folders, last = path.split("/")
        for name in folders:
            status = self._own_status(folder, name)
            if status is None:
                return True
            if not stat.S_ISDIR(status.st_mode) or marks.is_opaque(self._attributes(Found(folder, name, status))):
                return False
            folder = trees.join(folder, name)
        return self._own_status(folder, last) is None

    def _own_status(self, folder: str, name: str) -> os.stat_result | None:
        try:
            return os.stat(name, dir_fd=self._upper.folder(folder), follow_symlinks=False)
        except FileNotFoundError:
            return None

    def _same_as_own(self, found: Found, new: Found) -> bool:
        return likeness.same(self._upper, found, marks.seen, self._lowers.new, new, marks.plain)

    def _attributes(self, found: Found) -> dict[str, bytes]:
        with paths.opened(self._upper.entry(found.folder, found.name)) as descriptor:
            return xattrs.read(descriptor)


def _directory(found: Found | None) -> Found | None:
    return found if found is not None and stat.S_ISDIR(found.status.st_mode) else None
