# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Move the overlay of a jail that does not run from its template onto another, with no difference for the jail.

After an upgrade inside, a jail holds copies of what a newer template of the same recipe has as well. Over that template
they can go: what the upper directory has and the new template has too is dropped. What the jail sees stays exactly as
it is: every path, its kind, mode, owner, time of last change, attributes, content, and which names are one file. Times
of last access and of last change of status are not kept, nor are inode numbers.

The new upper directory is made beside the old one, takes its place by one rename, and by the same rename the jail gets
the other template (:mod:`.moves`). Meanwhile the files of the old one have a further name each, which
:func:`.storage.settle` takes away before the next start of a jail whose move was killed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ... import layout
from ...errors import JailError
from .. import moves, records, staging, storage, templates
from ..trees import Tree
from . import keep, lowers
from .rebase_steps import COPIED, DROPPED, ENTER, LEAVE, Comparison, Step
from .rebase_upper import Upper

_KIND = "overlay"
_BLOCK = 512  # of st_blocks, stat(2)


class Tally(NamedTuple):
    """What a move comes to: files that the jail need not hold any more and files of the old template that become its
    own, with their bytes on disk; and the bytes of directories that it gets, less those that it loses."""

    dropped: int
    dropped_bytes: int
    copied: int
    copied_bytes: int
    folder_bytes: int

    @property
    def gives_back(self) -> int:
        """Bytes that it gives back to the file system; below 0 when it takes some."""
        return self.dropped_bytes - self.copied_bytes - self.folder_bytes


def newest_like(key: str) -> str:
    """The key of the newest template of the recipe that a template was built from; the same key when that is the
    newest, or is gone."""
    found = templates.describe(key)
    return (templates.newest(found["recipe"]) if found else None) or key


def lowers_of(name: str, template: str) -> lowers.Lowers:
    """The trees of a jail's template and of another.

    :raises JailError: when one of them is not there.
    """
    record = _record(name)
    for key in (record.template, template):
        if not templates.exists(key):
            raise JailError(f"template {key} is not there", option="template")
    return lowers.Lowers(templates.tree(record.template), templates.tree(template))


class Survey(NamedTuple):
    """What a move would come to, and the paths of the files that would be dropped."""

    tally: Tally
    dropped: frozenset[str]


def survey(name: str, pair: lowers.Lowers) -> Survey:
    """What moving a jail would come to. Reads only.

    :param pair: from :func:`lowers_of`.
    :raises JailError: when it cannot be moved, naming what stands in the way.
    """
    dropped = set()

    def noted(steps: Iterable[Step]) -> Iterator[Step]:
        for step in steps:
            if step.kind == DROPPED:
                dropped.add(step.found.path)
            yield step

    if moves.is_under_way(name):
        raise JailError("what a run that was killed has left must be cleared first", advice="run it without check mode")
    place = os.path.join(layout.storage(name), moves.UPPER)
    with Tree(place) as upper:
        tally = _tally(noted(Comparison(upper, pair, _kept(place, pair)).steps()))
        return Survey(tally, frozenset(dropped))


def move(name: str, template: str, pair: lowers.Lowers) -> Tally:
    """Move the overlay of a jail that does not run onto ``template``, and say what came of it.

    Killed at any point, the jail is as before or as after. The caller has the jail's lock.

    :param pair: from :func:`lowers_of`, for this template.
    :raises JailError: when it cannot be moved, the disk is full, or the template is gone. Nothing has changed then.
    """
    with storage.locked(name), templates.locked(template):
        if not templates.exists(template):
            raise JailError(f"template {template} is not there", option="template")
        moves.finish(name)
        record = _record(name)
        with staging.blamed(f"it cannot be moved onto template {template}"):
            try:
                tally = _make(layout.storage(name), (record.template, template), pair)
                moves.switch(name)
            finally:
                with contextlib.suppress(OSError):  # what cannot be cleared now is reported by the next attempt
                    moves.finish(name)
        return tally


def _make(folder: str, change: tuple[str, str], pair: lowers.Lowers) -> Tally:
    """Make the new upper directory beside the old one."""
    place, fresh = os.path.join(folder, moves.UPPER), os.path.join(folder, moves.SPARE)
    os.mkdir(fresh, 0o700)
    with Tree(place) as upper, Tree(fresh) as new:
        builder = Upper(upper, pair.old, new)
        tally = _tally(_taken(builder, Comparison(upper, pair, _kept(place, pair)).steps()))
        records.mark_moved(new.root, *change)
        return tally


def _taken(builder: Upper, steps: Iterable[Step]) -> Iterator[Step]:
    for step in steps:
        builder.take(step)
        yield step


class _Folder:
    """A directory that has begun, and whether the new upper one has to have it by now."""

    def __init__(self, step: Step) -> None:
        self.step, self.made = step, not step.found.path


def _tally(steps: Iterable[Step]) -> Tally:
    dropped = dropped_bytes = copied = copied_bytes = folder_bytes = 0
    seen = set()
    begun: list[_Folder] = []
    for step in steps:
        status = step.found.status
        size = status.st_blocks * _BLOCK
        if step.kind == ENTER:
            begun.append(_Folder(step))
        elif step.kind == LEAVE:
            folder_bytes += size * (begun.pop().made - step.own)
        elif step.kind == DROPPED:
            dropped += 1
            dropped_bytes += size
        else:
            for folder in begun:
                folder.made = True
        if step.kind == COPIED:
            copied += 1
            inode = status.st_dev, status.st_ino
            copied_bytes += 0 if inode in seen else size
            if status.st_nlink > 1:
                seen.add(inode)
    return Tally(dropped, dropped_bytes, copied, copied_bytes, folder_bytes)


def _kept(upper: str, pair: lowers.Lowers) -> keep.Keep:
    return keep.of((upper, pair.old.place, pair.new.place))


def _record(name: str) -> records.Record:
    record = records.read(name)
    if record is None or record.kind != _KIND:
        raise JailError("it has no overlay")
    return record
