# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kind ``overlay``: what the jail writes lies in ``upper``, above the template's tree (the kernel's
filesystems/overlayfs)."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

from .. import bounds, layers, treecopy, volumes
from ..bounds import Bounds
from ..layers import Layers
from .store import BackingStore


def make_upper(folder: str, tree: str) -> None:
    """Make the directories ``upper`` and ``work`` of an overlay over ``tree``."""
    _make_work(folder)
    upper = _writable(folder)
    os.mkdir(upper, 0o700)
    # The jail's "/" is the upper directory: it has to look as the template's does.
    like = os.stat(tree)
    os.chown(upper, like.st_uid, like.st_gid)
    os.chmod(upper, like.st_mode & 0o7777)


def _make(folder: str, tree: str, _name: str, wanted: Bounds) -> None:
    make_upper(folder, tree)
    bounds.bind_new(folder, wanted)


def _make_work(folder: str) -> None:
    """What the kernel keeps there is nobody's."""
    os.mkdir(os.path.join(folder, "work"), 0o700)


def _copy(source: str, folder: str, name: str) -> None:
    _make_work(folder)
    treecopy.copy(_writable(source), _writable(folder), name)


def _layers(folder: str, tree: str) -> AbstractContextManager[Layers]:
    return layers.of_directories(folder, tree)


def _writable(folder: str) -> str:
    return os.path.join(folder, "upper")


_KEEPER = bounds.keeper(lambda folder: folder)
STORE = BackingStore(volumes.make, _make, _copy, _layers, _writable, needs_template=True, atomic=False, keeper=_KEEPER)
