# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kind of backing store is to the rest: how a jail's storage is made of a template's tree or of other storage,
and what the launcher mounts of it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Callable, NamedTuple

from ..bounds import Bounds, Keeper
from ..layers import Layers
from ..staging import Maker


class BackingStore(NamedTuple):
    """One kind. ``folder`` is always a directory of storage, a jail's or a snapshot's, ``tree`` that of its template's
    tree.

    :param make_folder: makes the folder: a volume, where what the jail writes lies in it.
    :param make: ``make(folder, tree, name, wanted)`` fills the new folder; ``name`` is the jail's, for the build
        log; the limits ``wanted`` hold afterwards.
    :param copy: ``copy(source, folder, name)`` fills the new empty folder with what another of this kind holds, without
        its limits.
    :param layers: ``layers(folder, tree)`` are the mounts for a start, for a ``with`` block.
    :param writable: ``writable(folder)`` is the directory whose files are the jail's own; ``None`` where that lies in a
        file system that is mounted for the jail only.
    :param needs_template: whether the storage is nothing without the template's tree.
    :param atomic: whether a copy holds one moment of a jail that runs on; else it has to stand still.
    :param keeper: how its size is limited.
    """

    make_folder: Maker
    make: Callable[[str, str, str, Bounds], None]
    copy: Callable[[str, str, str], None]
    layers: Callable[[str, str], AbstractContextManager[Layers]]
    writable: Callable[[str], str | None]
    needs_template: bool
    atomic: bool
    keeper: Keeper
