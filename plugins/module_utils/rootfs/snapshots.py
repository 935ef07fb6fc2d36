# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots: what a jail wrote, as it was.

``layout.snapshots(NAME)/LABEL/`` holds ``snapshot.json`` and ``storage``, which is to its template and kind what the
jail's own directory of storage is. It is made under another name and gets its own with one rename(2); nothing changes
it afterwards. Whoever calls has the jail's lock; a snapshot's own lock keeps it from being removed under a reader.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from typing import Any, NamedTuple

from .. import files, layout
from ..errors import JailError
from . import records, staging, storage
from .storage import Storage

_FILE = "snapshot.json"


class Snapshot(NamedTuple):
    """One snapshot.

    :param identity: a word that no other snapshot ever had.
    :param created: UTC, ISO 8601.
    :param note: what the caller gave.
    """

    label: str
    identity: str
    created: str
    note: Mapping[str, Any]
    storage: Storage


def take(name: str, label: str, note: Mapping[str, Any]) -> None:
    """Copy a jail's storage to a snapshot that is not there yet.

    :param note: JSON-able, kept with it.
    :raises JailError: when the jail has no storage, or the disk is full. Nothing half made stays.
    """
    try:
        with storage.held(name) as source, locked(name, label):
            _take(source, name, label, note)
    finally:
        _forget_if_last(name)


def _take(source: Storage, name: str, label: str, note: Mapping[str, Any]) -> None:
    with staging.made_whole(layout.snapshots(name), label, f"snapshot {label} cannot be taken") as folder:
        copy = os.path.join(folder, records.SNAPSHOT_STORAGE)
        os.mkdir(copy, 0o700)
        storage.fill(source, copy, name)
        created = datetime.now(timezone.utc).isoformat(timespec="seconds")
        description = {"identity": secrets.token_hex(8), "created": created, "note": note}
        files.write_json(os.path.join(folder, _FILE), description)


def describe(name: str, label: str) -> Snapshot | None:
    """A snapshot; ``None`` when there is none of this label."""
    folder = os.path.join(layout.snapshots(name), label)
    found = files.read_json(os.path.join(folder, _FILE))
    stored = storage.describe_in(os.path.join(folder, records.SNAPSHOT_STORAGE))
    if found is None or stored is None:
        return None
    return Snapshot(label, found["identity"], found["created"], found["note"], stored)


def of(name: str) -> list[Snapshot]:
    """A jail's snapshots, the oldest first."""
    found = [describe(name, label) for label in staging.names(layout.snapshots(name), _FILE)]
    return sorted((each for each in found if each is not None), key=lambda each: (each.created, each.label))


@contextlib.contextmanager
def held(name: str, label: str) -> Iterator[Snapshot]:
    """A snapshot that nobody removes during the ``with`` block.

    :raises JailError: when there is none of this label; names those that there are.
    """
    with locked(name, label):
        found = describe(name, label)
        if found is None:
            raise missing(label, [each.label for each in of(name)])
        yield found


def missing(label: str, labels: list[str]) -> JailError:
    """The error for a label that a jail has no snapshot of."""
    return JailError(f"it has no snapshot {label}; it has: {', '.join(labels) or 'none'}", option="snapshot")


def names() -> list[str]:
    """The jails that have snapshots, whole or half made, sorted."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(os.listdir(layout.SNAPSHOTS))
    return []


def remove(name: str, label: str) -> None:
    """Remove a snapshot; none is fine."""
    with locked(name, label):
        staging.remove(layout.snapshots(name), label)
    _forget_if_last(name)


def settle(name: str) -> None:
    """Clear what killed calls left half made or half removed of a jail's snapshots."""
    staging.sweep(layout.snapshots(name), _lock(name))
    _forget_if_last(name)


def remove_all(name: str) -> None:
    """Remove a jail's snapshots, and what killed calls left of others."""
    for label in staging.names(layout.snapshots(name), _FILE):
        remove(name, label)
    settle(name)


def locked(name: str, label: str) -> AbstractContextManager[None]:
    """Hold a snapshot's lock for a ``with`` block."""
    return staging.locked(_lock(name), label)


def _lock(name: str) -> str:
    return f"snapshot-{name}."


def _forget_if_last(name: str) -> None:
    with contextlib.suppress(OSError):  # not there, or there are others
        os.rmdir(layout.snapshots(name))
