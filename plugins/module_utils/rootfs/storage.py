# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a jail writes: a thin clone of a template, or a full copy of one.

``layout.storage(NAME)`` holds ``storage.json`` and, for kind ``overlay``, the ``upper`` and ``work`` directories of
overlayfs above the template's tree; for kind ``directory``, ``root``. Owners on disk are 0..65535 in both: ids are
mapped by mounts, never by chown(2).
"""

from __future__ import annotations

import os
from typing import NamedTuple

from .. import layout
from ..errors import JailError
from . import buildlog, hosttools, records, space, staging, templates

KINDS = ("overlay", "directory")
_LOCK = "storage-"


class Storage(NamedTuple):
    """What the launcher mounts; ``writable`` is the overlay's upper directory, or the root of kind ``directory``."""

    kind: str
    template: str
    writable: str
    work: str | None
    lower: str | None


def create(name: str, kind: str, template: str) -> None:
    """Make the storage of a jail that has none.

    :param kind: one of :data:`KINDS`.
    :param template: the key of a template that is there.
    :raises JailError: when it has some already, the template is missing, or the disk is full. Nothing half made stays.
    """
    make = {"overlay": _make_overlay, "directory": _make_directory}[kind]
    # The template's lock is held until the note that counts as its use is on disk.
    with staging.locked(_LOCK, name), templates.locked(template):
        if os.path.isdir(layout.storage(name)):
            raise JailError(f"there is storage in {layout.storage(name)} already")
        if not templates.exists(template):
            raise JailError(f"template {template} is not there")
        with staging.made_whole(layout.STORAGE, name, f"storage of kind {kind} cannot be made") as folder:
            make(folder, templates.tree(template), name)
            records.write(folder, records.Record(kind, template))


def describe(name: str) -> Storage | None:
    """A jail's storage; ``None`` when it has none."""
    record = records.read(name)
    if record is None:
        return None
    folder = layout.storage(name)
    if record.kind == "directory":
        return Storage(record.kind, record.template, os.path.join(folder, "root"), None, None)
    upper, work = os.path.join(folder, "upper"), os.path.join(folder, "work")
    return Storage(record.kind, record.template, upper, work, templates.tree(record.template))


def names() -> list[str]:
    """The jails that have storage, sorted."""
    return records.names()


def remove(name: str) -> None:
    """Remove a jail's storage with everything in it; none is fine. No link is followed and no mount is entered."""
    with staging.locked(_LOCK, name):
        staging.remove(layout.STORAGE, name)


def sweep() -> list[str]:
    """Clear what killed calls of :func:`create` and :func:`remove` left; the jails whose it was."""
    return staging.sweep(layout.STORAGE, _LOCK)


def bytes_used(name: str) -> int:
    """Bytes on disk that are the jail's own, without the template beneath; 0 when it has no storage."""
    found = describe(name)
    return space.bytes_below(found.writable) if found else 0


def _make_overlay(folder: str, tree: str, _name: str) -> None:
    os.mkdir(os.path.join(folder, "work"), 0o700)
    upper = os.path.join(folder, "upper")
    os.mkdir(upper, 0o700)
    # The jail's "/" is the upper directory: it has to look as the template's does.
    like = os.stat(tree)
    os.chown(upper, like.st_uid, like.st_gid)
    os.chmod(upper, like.st_mode & 0o7777)


def _make_directory(folder: str, tree: str, name: str) -> None:
    copy = hosttools.find("cp", "coreutils")
    with buildlog.recording(name) as log:
        command = [copy, "-a", "--reflink=auto", "--one-file-system", "--", tree, os.path.join(folder, "root")]
        status = hosttools.run(command, log.descriptor)
        if status:
            raise log.failure(f"cp ended with status {status}", "cp has to be that of GNU coreutils")
    staging.sync_filesystem(folder)
