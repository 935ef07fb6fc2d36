# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kind ``btrfs``: a writable snapshot of the template's tree in ``root``, which shares every block that nobody has
changed."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

from ... import layout
from ...errors import JailError
from ...kernel import btrfs, mounts, paths
from .. import bounds, layers, volumes
from ..bounds import Bounds
from ..layers import Layers
from .store import BackingStore

_ROOT = "root"
_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def _make(folder: str, tree: str, _name: str, wanted: Bounds) -> None:
    with paths.opened(os.open(tree, _READ)) as source, paths.opened(os.open(folder, _READ)) as parent:
        if not btrfs.holds(source):
            what = f"{layout.LIB} is on {mounts.filesystem_of(source)}, where there are no subvolumes"
            raise JailError(what, "storage", f"put {layout.LIB} on btrfs, or use storage=overlay")
        if not btrfs.is_subvolume(source):
            what = f"{tree} is no subvolume, as is a template that was copied to {layout.LIB} from another file system"
            advice = "use storage=overlay or directory, or remove the template: it is built anew as a subvolume then"
            raise JailError(what, "storage", advice)
        btrfs.snapshot(source, parent, _ROOT)
    bounds.bind_new(root(folder), wanted)


def _copy(source: str, folder: str, _name: str) -> None:
    with paths.opened(os.open(root(source), _READ)) as tree, paths.opened(os.open(folder, _READ)) as parent:
        btrfs.snapshot(tree, parent, _ROOT)


def root(folder: str) -> str:
    """The directory of the tree, a subvolume."""
    return os.path.join(folder, _ROOT)


def _layers(folder: str, _tree: str) -> AbstractContextManager[Layers]:
    return layers.of_directories(root(folder), None)


STORE = BackingStore(
    volumes.make_plain,
    _make,
    _copy,
    _layers,
    root,
    needs_template=False,
    atomic=True,
    keeper=bounds.keeper(root),
)
