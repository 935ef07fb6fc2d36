# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a new upper directory, step by step (:mod:`.rebase_steps`).

What is the jail's own goes from the old upper directory to the new one as a further name of the same file, whatever it
is: nothing of it is read, copied or changed, and files that are one stay one. Only directories are made anew.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import Callable

from ...errors import JailError
from ...kernel import inodeflags, paths, xattrs
from ..trees import Found, Tree
from . import copying, marks
from .rebase_steps import COPIED, DROPPED, ENTER, HIDDEN, KEPT, LEAVE, NEEDED, OPAQUE, Step


class _Open:
    """A directory of the view that has begun, and whether the new upper one has it by now."""

    def __init__(self, step: Step) -> None:
        self.found, self.own, self.made = step.found, step.own, not step.found.path


class Upper:
    """The new one.

    :param old: the old upper directory.
    :param lower: the tree of the old template.
    :param new: the empty directory to fill.
    """

    def __init__(self, old: Tree, lower: Tree, new: Tree) -> None:
        self._old, self._lower, self._new = old, lower, new
        self._open: list[_Open] = []
        self._copies: dict[tuple[int, int], str] = {}
        self._takers: Mapping[str, Callable[[Step], None]] = {
            ENTER: self._enter,
            LEAVE: self._leave,
            NEEDED: self._make,
            OPAQUE: self._opaque,
            KEPT: self._keep,
            DROPPED: lambda _step: None,
            COPIED: self._copy,
            HIDDEN: self._hide,
        }

    def take(self, step: Step) -> None:
        """Take one step.

        :raises JailError: when a file has as many names as the file system lets it have.
        """
        self._takers[step.kind](step)

    def _enter(self, step: Step) -> None:
        self._open.append(_Open(step))

    def _leave(self, step: Step) -> None:
        """Dress the directory when nothing more is put into it: from then on its times stay."""
        if self._open.pop().made:
            source = self._old if step.own else self._lower
            folder, made = source.folder(step.found.path), self._new.folder(step.found.path)
            inodeflags.copy(folder, made)
            copying.dress(made, os.fstat(folder), self._attributes(folder, step.found, step.own))

    def _attributes(self, descriptor: int, found: Found, own: bool) -> dict[str, bytes]:
        attributes = xattrs.read(descriptor)
        if not own:
            return marks.plain(attributes, found.path)
        return {**marks.seen(attributes, found.path), **marks.history(attributes)}

    def _make_folders(self) -> int:
        """Make the directories that have begun, as far as they are missing; a descriptor of the innermost."""
        missing = [each for each in self._open if not each.made]
        for each in missing:
            os.mkdir(each.found.name, 0o700, dir_fd=self._new.folder(each.found.folder))
            each.made = True
        return self._new.folder(self._open[-1].found.path)

    def _make(self, _step: Step) -> None:
        self._make_folders()

    def _opaque(self, _step: Step) -> None:
        xattrs.write(self._make_folders(), marks.OPAQUE)

    def _keep(self, step: Step) -> None:
        self._link(self._old.folder(step.found.folder), step.found.name, step.found)

    def _copy(self, step: Step) -> None:
        inode = step.found.status.st_dev, step.found.status.st_ino
        if inode in self._copies:
            folder, name = os.path.split(self._copies[inode])
            with paths.opened(os.dup(self._new.folder(folder))) as source:
                self._link(source, name, step.found)
            return
        with paths.opened(self._lower.entry(step.found.folder, step.found.name)) as entry:
            attributes = self._attributes(entry, step.found, False)
        copying.copy(self._lower, step.found, self._make_folders(), attributes)
        if step.found.status.st_nlink > 1:
            self._copies[inode] = step.found.path

    def _link(self, source: int, name: str, found: Found) -> None:
        target = self._make_folders()
        try:
            os.link(name, found.name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
        except OSError as error:
            if error.errno == errno.EMLINK:
                raise JailError(f"/{found.path} has too many names to get one more") from error
            raise

    def _hide(self, step: Step) -> None:
        os.mknod(step.found.name, 0o020000, os.makedev(0, 0), dir_fd=self._make_folders())
