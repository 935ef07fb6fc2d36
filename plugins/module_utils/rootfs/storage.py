# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a jail writes: a thin clone of a template, or a full copy of one.

``layout.storage(NAME)`` holds ``storage.json`` and what its kind of backing store keeps there (:mod:`.backing`). Owners
on disk are 0..65535 in all of them: ids are mapped by mounts, never by chown(2).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple

from .. import layout
from ..errors import JailError
from ..kernel import mounts, paths
from . import bounds, owned, records, space, staging, templates
from .backing.kinds import STORES
from .backing.store import BackingStore
from .bounds import NO_BOUNDS, Bounds
from .layers import Layers

KINDS = tuple(STORES)
_LOCK = "storage-"
_SHARING = ("btrfs", "xfs")


class Storage(NamedTuple):
    """A jail's storage: its kind, the key of its template, and its directory."""

    kind: str
    template: str
    folder: str

    @property
    def lower(self) -> str | None:
        """The template's tree, where the storage is nothing without it."""
        return templates.tree(self.template) if self.store.needs_template else None

    @property
    def writable(self) -> str | None:
        """The directory whose files are the jail's own, where it can be seen from the host."""
        return self.store.writable(self.folder)

    @property
    def store(self) -> BackingStore:
        """Its backing store."""
        return STORES[self.kind]


def create(name: str, kind: str, template: str, wanted: Bounds = NO_BOUNDS) -> None:
    """Make the storage of a jail that has none.

    :param kind: one of :data:`KINDS`.
    :param template: the key of a template that is there.
    :param wanted: its limits.
    :raises JailError: when it has some already, the template is missing (:class:`templates.GoneError`), or the disk is
        full. Nothing half made stays.
    """
    # The template's lock is held until the note that counts as its use is on disk.
    with locked(name), templates.locked(template):
        if os.path.isdir(layout.storage(name)):
            raise JailError(f"there is storage in {layout.storage(name)} already")
        if not templates.exists(template):
            raise templates.GoneError(f"template {template} is not there")
        store, purpose = STORES[kind], f"storage of kind {kind} cannot be made"
        with staging.made_whole(layout.STORAGE, name, purpose, store.make_folder) as folder:
            bounds.prepare(folder)
            # Before the rest: a snapshot that is made after it puts it on disk.
            records.write(folder, records.Record(kind, template))
            store.make(folder, templates.tree(template), name, wanted)


def describe(name: str) -> Storage | None:
    """A jail's storage; ``None`` when it has none."""
    record = records.read(name)
    return None if record is None else Storage(record.kind, record.template, layout.storage(name))


@contextlib.contextmanager
def layers(name: str) -> Iterator[Layers]:
    """The mounts that a jail's root is made of, for a ``with`` block.

    :raises JailError: when it has no storage, or its template is gone.
    """
    stored = _expected(name)
    if stored.lower is not None and not os.path.isdir(stored.lower):
        raise JailError(
            f"its template {stored.template} is gone", advice=f"put {stored.lower} back, or make the jail anew"
        )
    with stored.store.layers(stored.folder, templates.tree(stored.template)) as found:
        yield found


def _expected(name: str) -> Storage:
    found = describe(name)
    if found is None:
        raise JailError("it has no root file system", advice=f"make one with jail_rootfs: name={name}")
    return found


def names() -> list[str]:
    """The jails that have storage, sorted."""
    return records.names()


def locked(name: str) -> AbstractContextManager[None]:
    """Hold the lock of a jail's storage for a ``with`` block: it is neither made, removed nor replaced meanwhile."""
    return staging.locked(_LOCK, name)


def settle(name: str) -> None:
    """Clear what a killed call has left of one jail's storage, so that no file of it has a name more than the jail
    knows of. The caller has the jail's lock."""
    if staging.is_half_done(layout.STORAGE, name):
        with locked(name):
            staging.clear(layout.STORAGE, name)


def remove(name: str) -> None:
    """Remove a jail's storage with everything in it; none is fine. No link is followed and no mount is entered."""
    with locked(name):
        staging.remove(layout.STORAGE, name)


def leftovers() -> list[str]:
    """The paths of what :func:`sweep` would clear."""
    return staging.leftovers(layout.STORAGE, _LOCK)


def sweep() -> list[str]:
    """Clear what killed calls of :func:`create` and :func:`remove` left; the jails whose it was."""
    return staging.sweep(layout.STORAGE, _LOCK)


@contextlib.contextmanager
def own_files(name: str) -> Iterator[int]:
    """A descriptor of the directory whose files are the jail's own, for a ``with`` block, whatever kind its storage is
    and whether it runs or not. Owners are as on disk, from 0 on; nothing below it is to be trusted."""
    with layers(name) as found:
        below = "." if found.lower is None else "upper"
        with paths.opened(paths.open_plain(found.upper, below, os.O_RDONLY | os.O_DIRECTORY)) as directory:
            yield directory


def bounds_of(name: str) -> Bounds:
    """The limits that hold for a jail's storage; none when it has no storage."""
    found = describe(name)
    return found.store.keeper.holding(found.folder) if found else NO_BOUNDS


def used(name: str) -> Bounds:
    """What is counted of the jail's own files, without visiting them; ``None`` for what is not."""
    found = describe(name)
    return found.store.keeper.used(found.folder) if found else NO_BOUNDS


def judge(name: str, wanted: Bounds, running: bool) -> bool:
    """Whether limits can be made to hold only when the jail runs no more.

    :raises JailError: when they never can; with figures, or with what would work on this host.
    """
    found = _expected(name)
    found.store.keeper.check(found.folder, wanted)
    return running and found.store.keeper.waits(found.folder, wanted)


def bind(name: str, wanted: Bounds) -> None:
    """Make limits hold for a jail's storage.

    :raises JailError: as :func:`judge` does.
    """
    found = _expected(name)
    found.store.keeper.bind(found.folder, wanted)


def bytes_used(name: str) -> int:
    """Bytes on disk that are the jail's own, without the template beneath; 0 when it has no storage.

    Where they are not counted, all its files are visited; where files can share content, each with its extents.
    """
    found = describe(name)
    if found is None:
        return 0
    counted = found.store.keeper.used(found.folder).size
    if counted is not None:
        return counted
    place = found.writable or found.folder
    return owned.bytes_of(place) if mounts.filesystem_of(place) in _SHARING else space.bytes_below(place)
