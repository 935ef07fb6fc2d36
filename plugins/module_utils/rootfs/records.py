# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The note that lies beside a jail's storage, ``storage.json``: which kind it is and which template it came from.

Who uses a template is answered here and nowhere else. A snapshot has a directory of the same sort, with the same note.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import NamedTuple

from .. import files, layout
from . import staging
from .backing.kinds import STORES

_FILE = "storage.json"
SNAPSHOT_STORAGE = "storage"
"""The directory of a snapshot that is one of storage."""
_MOVED = "trusted.jails.moved"


class Record(NamedTuple):
    """What kind of storage (:mod:`.backing.kinds`), and the key of its template."""

    kind: str
    template: str


def write(folder: str, record: Record) -> None:
    """Put the note into a directory of storage; that directory is synced with it."""
    files.write_json(os.path.join(folder, _FILE), record._asdict())


def read(name: str) -> Record | None:
    """The note of a jail's storage; ``None`` when it has none."""
    return read_in(layout.storage(name))


def read_in(folder: str) -> Record | None:
    """The note in a directory of storage; ``None`` when there is none."""
    written = _written(folder)
    return None if written is None else written._replace(template=_destination(folder, written))


def mark_moved(upper: int, old: str, new: str) -> None:
    """Mark an upper directory that is to take the place of another, over another template: from the moment on that it
    does, the note counts as naming ``new`` where it names ``old``. No jail can set or see this mark (xattr(7))."""
    os.setxattr(upper, _MOVED, f"{old} {new}".encode())


def settle(name: str) -> None:
    """Write into the note what a mark says, and take the mark away."""
    folder = layout.storage(name)
    written, record = _written(folder), read_in(folder)
    if record is not None and record != written:
        write(folder, record)
    with contextlib.suppress(OSError):  # there is none
        os.removexattr(_marked(folder, record), _MOVED)


def _written(folder: str) -> Record | None:
    found = files.read_json(os.path.join(folder, _FILE))
    return None if found is None else Record(found["kind"], found["template"])


def _destination(folder: str, written: Record) -> str:
    try:
        old, _blank, new = os.getxattr(_marked(folder, written), _MOVED).decode().partition(" ")
    except OSError:
        return written.template
    return new if old == written.template else written.template


def _marked(folder: str, record: Record | None) -> str:
    """The directory that may have a mark."""
    writable = STORES[record.kind].writable(folder) if record is not None else None
    return writable or ""


def names() -> list[str]:
    """The jails that have storage, sorted."""
    return staging.names(layout.STORAGE, _FILE)


def users(key: str) -> list[str]:
    """The jails and snapshots (``JAIL@LABEL``) that came from this template, whatever kind of storage they have."""
    return [name for name, record in _uses() if record.template == key]


def dependents(key: str) -> list[str]:
    """Those of the users that are nothing without it: an overlay is, a copy is not."""
    return [name for name, record in _uses() if record.template == key and STORES[record.kind].needs_template]


def templates() -> set[str]:
    """The keys of all templates that anything came from, whether they are still there or not."""
    return {record.template for _name, record in _uses()}


def _uses() -> Iterator[tuple[str, Record]]:
    """Everything that came from a template, by the name to show for it."""
    for name in names():
        record = read(name)
        if record is not None:
            yield name, record
    for name, folder in _snapshots():
        record = read_in(folder)
        if record is not None:
            yield name, record


def _snapshots() -> Iterator[tuple[str, str]]:
    """All snapshots, and the directory of storage of each."""
    for jail in _listed(layout.SNAPSHOTS):
        for label in _listed(layout.snapshots(jail)):
            if not label.startswith("."):
                yield f"{jail}@{label}", os.path.join(layout.snapshots(jail), label, SNAPSHOT_STORAGE)


def _listed(directory: str) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return sorted(os.listdir(directory))
    return []
