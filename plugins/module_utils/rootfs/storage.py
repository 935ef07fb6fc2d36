# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a jail writes: a thin clone of a template, or a full copy of one.

``layout.storage(NAME)`` holds ``storage.json``, perhaps other notes (:mod:`.notes`), and what its kind of backing store
keeps there (:mod:`.backing`). Owners on disk are 0..65535 in all of them: ids are mapped by mounts, never by chown(2).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple

from .. import files, layout
from ..errors import JailError
from ..kernel import mounts, paths
from . import bounds, moves, owned, records, space, staging, templates, volumes
from .backing.kinds import STORES
from .backing.store import BackingStore
from .bounds import NO_BOUNDS, Bounds
from .layers import Layers

KINDS = tuple(STORES)
_LOCK = "storage-"
_EMPTY = "nothing"
_SHARING = ("btrfs", "xfs")


class Storage(NamedTuple):
    """A jail's storage, or that of a snapshot: its kind, the key of its template, and its directory."""

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

    @contextlib.contextmanager
    def layers(self) -> Iterator[Layers]:
        """The mounts that its root is made of, for a ``with`` block.

        :raises JailError: when its template is gone.
        """
        if self.lower is not None and not os.path.isdir(self.lower):
            raise JailError(
                f"its template {self.template} is gone", advice=f"put {self.lower} back, or make the jail anew"
            )
        with self.store.layers(self.folder, templates.tree(self.template)) as found:
            yield found

    @contextlib.contextmanager
    def own_files(self) -> Iterator[int]:
        """A descriptor of the directory whose files are its own, above the template or not, for a ``with`` block."""
        with self.layers() as found:
            below = "." if found.lower is None else "upper"
            with paths.opened(paths.open_plain(found.upper, below, os.O_RDONLY | os.O_DIRECTORY)) as directory:
                yield directory


def create(name: str, kind: str, template: str, wanted: Bounds | None = None) -> None:
    """Make the storage of a jail that has none.

    :param kind: one of :data:`KINDS`.
    :param template: the key of a template that is there.
    :param wanted: its limits; ``None`` for the usual ones.
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
            store.make(folder, templates.tree(template), name, wanted or NO_BOUNDS)
            if wanted is None and (usual := store.keeper.usual(folder)) != store.keeper.holding(folder):
                store.keeper.bind(folder, usual)


@contextlib.contextmanager
def copied(name: str, source: Storage) -> Iterator[Storage]:
    """Make the storage of a jail that has none as a copy of other storage, which nobody changes or removes meanwhile.

    :returns: for a ``with`` block, the copy, to put notes beside it; at its end the jail has it.
    :raises JailError: when the jail has some already, or the disk is full. Nothing half made stays.
    """
    with locked(name):
        if os.path.isdir(layout.storage(name)):
            raise JailError(f"there is storage in {layout.storage(name)} already")
        with contextlib.ExitStack() as stack:
            made = staging.made_whole(layout.STORAGE, name, _copying(source), source.store.make_folder)
            folder = stack.enter_context(made)
            bounds.prepare(folder)
            yield fill(source, folder, name)


@contextlib.contextmanager
def replaced(name: str, source: Storage) -> Iterator[Storage]:
    """Like :func:`copied`, for a jail that has storage: at the end of the block it has the copy, and what it had is
    removed. There is no moment at which it has neither."""
    with locked(name), contextlib.ExitStack() as stack:
        made = staging.replaced_whole(layout.STORAGE, name, _copying(source), source.store.make_folder)
        folder = stack.enter_context(made)
        bounds.prepare(folder)
        yield fill(source, folder, name)


def _copying(source: Storage) -> str:
    return f"storage of kind {source.kind} cannot be copied"


@contextlib.contextmanager
def filled(name: str, kind: str, template: str) -> Iterator[Storage]:
    """Make the storage of a jail that has none, of a kind that needs no template.

    :returns: for a ``with`` block, the storage with an empty tree, to be filled; at its end the jail has it.
    :raises JailError: when the jail has some already, or the disk is full. Nothing half made stays.
    """
    with locked(name):
        if os.path.isdir(layout.storage(name)):
            raise JailError(f"there is storage in {layout.storage(name)} already")
        store, purpose = STORES[kind], f"storage of kind {kind} cannot be filled"
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(staging.made_whole(layout.STORAGE, name, purpose, store.make_folder))
            bounds.prepare(folder)
            _make_empty(store, folder, name)
            records.write(folder, records.Record(kind, template))
            yield Storage(kind, template, folder)
            staging.sync_filesystem(folder)


def _make_empty(store: BackingStore, folder: str, name: str) -> None:
    """Make storage of an empty tree."""
    with paths.opened(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as parent:
        volumes.make(parent, _EMPTY, 0o755)
        store.make(folder, os.path.join(folder, _EMPTY), name, NO_BOUNDS)
        paths.remove_tree(parent, _EMPTY)


def fill(source: Storage, folder: str, name: str) -> Storage:
    """Copy storage to a new empty directory, without its limits."""
    source.store.copy(source.folder, folder, name)
    records.write(folder, records.Record(source.kind, source.template))
    return source._replace(folder=folder)


@contextlib.contextmanager
def held(name: str) -> Iterator[Storage]:
    """A jail's storage, which nobody makes anew or removes during the ``with`` block.

    :raises JailError: when it has none.
    """
    with locked(name):
        yield expect(name)


def describe(name: str) -> Storage | None:
    """A jail's storage; ``None`` when it has none."""
    return describe_in(layout.storage(name))


def describe_in(folder: str) -> Storage | None:
    """What storage a directory holds; ``None`` when it holds none."""
    record = records.read_in(folder)
    return None if record is None else Storage(record.kind, record.template, folder)


def expect(name: str) -> Storage:
    """A jail's storage.

    :raises JailError: when it has none.
    """
    stored = describe(name)
    if stored is None:
        raise JailError("it has no root file system", advice=f"make one with jail_rootfs: name={name}")
    return stored


@contextlib.contextmanager
def layers(name: str) -> Iterator[Layers]:
    """The mounts that a jail's root is made of, for a ``with`` block.

    :raises JailError: when it has no storage, or its template is gone.
    """
    with expect(name).layers() as found:
        yield found


def names() -> list[str]:
    """The jails that have storage, sorted."""
    return records.names()


def locked(name: str) -> AbstractContextManager[None]:
    """Hold the lock of a jail's storage for a ``with`` block: it is neither made, removed nor replaced meanwhile."""
    return staging.locked(_LOCK, name)


def settle(name: str) -> None:
    """Clear what a killed call has left of one jail's storage, so that no file of it has a name more than the jail
    knows of. The caller has the jail's lock."""
    if staging.is_half_done(layout.STORAGE, name) or moves.is_under_way(name):
        with locked(name):
            staging.clear(layout.STORAGE, name)
            if moves.is_under_way(name):
                moves.finish(name)


def remove(name: str) -> None:
    """Remove a jail's storage with everything in it; none is fine. No link is followed and no mount is entered."""
    with locked(name):
        staging.remove(layout.STORAGE, name)


def leftovers() -> list[str]:
    """The paths of what :func:`sweep` would clear."""
    begun = [name for name in names() if moves.is_under_way(name) and files.is_free(_LOCK + name)]
    return [
        *staging.leftovers(layout.STORAGE, _LOCK),
        *(os.path.join(layout.storage(name), moves.SPARE) for name in begun),
    ]


def sweep() -> list[str]:
    """Clear what killed calls of :func:`create` and :func:`remove` left; the jails whose it was."""
    swept = staging.sweep(layout.STORAGE, _LOCK)
    for name in names():
        if moves.is_under_way(name):
            with files.locked_if_free(_LOCK + name) as free:
                if free:
                    moves.finish(name)
                    swept.append(name)
    return swept


@contextlib.contextmanager
def own_files(name: str) -> Iterator[int]:
    """A descriptor of the directory whose files are the jail's own, for a ``with`` block, whatever kind its storage is
    and whether it runs or not. Owners are as on disk, from 0 on; nothing below it is to be trusted."""
    with expect(name).own_files() as directory:
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
    found = expect(name)
    found.store.keeper.check(found.folder, wanted)
    return running and found.store.keeper.waits(found.folder, wanted)


def bind(name: str, wanted: Bounds) -> None:
    """Make limits hold for a jail's storage.

    :raises JailError: as :func:`judge` does.
    """
    found = expect(name)
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
