# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trees of two templates beside each other: the one beneath a jail's overlay, and the one that is to be.

Nothing changes a template, so what was once found out of a pair holds for every jail that moves from the one to the
other.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from types import TracebackType

from ...errors import JailError
from .. import trees
from ..trees import Found, Tree
from . import likeness, marks


class Lowers:
    """Both trees, for a ``with`` block."""

    def __init__(self, old: str, new: str) -> None:
        self.old = Tree(old)
        try:
            self.new = Tree(new)
        except OSError:
            self.old.__exit__(None, None, None)
            raise
        self._known: dict[str, bool] = {}
        self._linked: dict[str, Mapping[str, frozenset[str]]] = {}

    def __enter__(self) -> Lowers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.old.__exit__(kind, error, trace)
        self.new.__exit__(kind, error, trace)

    def same(self, old: Found, new: Found) -> bool:
        """Whether both have the same at a path (:func:`likeness.same`)."""
        if old.path not in self._known:
            self._known[old.path] = likeness.same(self.old, old, marks.plain, self.new, new, marks.plain)
        return self._known[old.path]

    def names(self, tree: Tree, found: Found) -> frozenset[str]:
        """All names of a file in one of the trees."""
        if stat.S_ISDIR(found.status.st_mode) or found.status.st_nlink == 1:
            return frozenset((found.path,))
        if tree.place not in self._linked:
            self._linked[tree.place] = _linked(tree)
        return self._linked[tree.place].get(found.path, frozenset())


def entries(tree: Tree, folder: str) -> dict[str, Found]:
    """What is in a directory of a template's tree, by name.

    :raises JailError: when there is a whiteout, which an overlay would take for a name that is not there.
    """
    found = {name: Found(folder, name, status) for name, status in tree.listing(folder)}
    for each in found.values():
        if marks.is_whiteout(each.status):
            raise JailError(f"/{each.path} of the template is a device 0/0, a mark of overlayfs")
    return found


def _linked(tree: Tree) -> Mapping[str, frozenset[str]]:
    """All names of each file that has more than one, by each of them."""
    by_inode: dict[tuple[int, int], list[str]] = {}
    for found in trees.walk(tree.root):
        if found.status.st_nlink > 1 and not stat.S_ISDIR(found.status.st_mode):
            by_inode.setdefault((found.status.st_dev, found.status.st_ino), []).append(found.path)
    return {path: frozenset(names) for names in by_inode.values() for path in names}
