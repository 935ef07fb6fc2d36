# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Desired state that comes with a tree, by one rename with it: at a rollback, a clone, an import.

It lies as a note beside the storage until it is recorded. Whoever next changes or starts the jail records it first, so
a run that is killed on the way leaves the jail as it was before or as it is to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..net.addresses import Interface
from ..rootfs import notes, snapshots, storage
from . import identity, network, store


class Coming(NamedTuple):
    """What comes with a tree.

    :param desired: canonical values by facet; ``None`` for a facet of which nothing is to be recorded. Other facets
        stay as they are.
    :param released: interfaces of this jail that nothing records any more then.
    :param renewed: whether the tree is another jail's, so that it needs an identity of its own.
    """

    desired: Mapping[str, Mapping[str, Any] | None]
    released: Sequence[Interface] = ()
    renewed: bool = False


def bring(folder: str, coming: Coming) -> None:
    """Put the note into a directory of storage that is about to become a jail's."""
    notes.write(folder, notes.DESIRED, coming._asdict())


def settle(name: str) -> None:
    """Finish what a killed run left of a jail: record what its storage brought, and clear what is half made or half
    removed. The caller has the jail's lock."""
    storage.settle(name)
    snapshots.settle(name)
    found = notes.read(name, notes.DESIRED)
    if found is None:
        return
    coming = Coming(**found)
    for facet, values in coming.desired.items():
        if values is not None:
            store.write(name, facet, dict(values))
    for facet, values in coming.desired.items():
        if values is None:
            store.forget(name, facet)
    network.release_interfaces(name, list(coming.released))
    if coming.renewed:
        identity.renew(name)
    notes.drop(name, notes.DESIRED)
