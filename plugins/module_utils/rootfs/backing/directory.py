# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kind ``directory``: a full copy of the template's tree in ``root``; it shares blocks where the file system can."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

from .. import bounds, layers, treecopy, volumes
from ..bounds import Bounds
from ..layers import Layers
from .store import BackingStore


def _make(folder: str, tree: str, name: str, wanted: Bounds) -> None:
    treecopy.copy(tree, root(folder), name)
    bounds.bind_new(folder, wanted)


def _copy(source: str, folder: str, name: str) -> None:
    treecopy.copy(root(source), root(folder), name)


def root(folder: str) -> str:
    """The directory of the tree."""
    return os.path.join(folder, "root")


def _layers(folder: str, _tree: str) -> AbstractContextManager[Layers]:
    return layers.of_directories(root(folder), None)


_KEEPER = bounds.keeper(lambda folder: folder)
STORE = BackingStore(volumes.make, _make, _copy, _layers, root, needs_template=False, atomic=False, keeper=_KEEPER)
