# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Move the overlay of a jail that does not run from its template onto another, with no difference for the jail.

After an upgrade inside, a jail holds copies of what a newer template of the same recipe has as well. Over that template
they can go: what the upper directory has and the new template has too is dropped. What the jail sees stays exactly as
it is: every path, its kind, mode, owner, time of last change, attributes, content, and which names are one file. Times
of last access and of last change of status are not kept, nor are inode numbers.

The new upper directory is made beside the old one and takes its place together with the note that names the template,
by one rename (:func:`.staging.changed_whole`). Until then the old one is as it was but for a further name of its
files, which :func:`.storage.settle` takes away before the next start.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .. import layout
from ..errors import JailError
from ..kernel import inodeflags, paths
from . import bounds, keep, lowers, records, staging, storage, templates
from .rebase_steps import COPIED, DROPPED, Comparison, Step
from .rebase_upper import Upper
from .trees import Tree

_KIND = "overlay"
_BLOCK = 512  # of st_blocks, stat(2)
_NOTE, _UPPER, _WORK = "storage.json", "upper", "work"
_FORMER = "former"


class Tally(NamedTuple):
    """What a move comes to: files that the jail need not hold any more and files of the old template that become its
    own, with their bytes on disk."""

    dropped: int
    dropped_bytes: int
    copied: int
    copied_bytes: int

    @property
    def gives_back(self) -> int:
        """Bytes that it gives back to the file system; below 0 when it takes some."""
        return self.dropped_bytes - self.copied_bytes


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

    if staging.is_half_done(layout.STORAGE, name):
        raise JailError("what a run that was killed has left must be cleared first", advice="run it without check mode")
    place = os.path.join(layout.storage(name), _UPPER)
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
        staging.clear(layout.STORAGE, name)
        record = _record(name)
        folder = layout.storage(name)
        with staging.changed_whole(layout.STORAGE, name, f"it cannot be moved onto template {template}") as made:
            tally = _fill(folder, made, pair)
            records.write(made, record._replace(template=template))
            bounds.bind_new(made, bounds.holding(folder))
        return tally


def _fill(folder: str, made: str, pair: lowers.Lowers) -> Tally:
    """Make the new storage in the directory ``made``."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    with paths.opened(os.open(folder, flags)) as old, paths.opened(os.open(made, flags)) as new:
        place = _make_room(made, new) if os.listdir(new) else _begin(folder, old, new)
        for name in (_WORK, _UPPER):
            os.mkdir(name, 0o700, dir_fd=new)
        with Tree(place) as upper, Tree(os.path.join(made, _UPPER)) as fresh:
            builder = Upper(upper, pair.old, fresh)
            tally = _tally(_taken(builder, Comparison(upper, pair, _kept(place, pair)).steps()))
        paths.remove_tree(new, _FORMER)
        return tally


def _begin(folder: str, old: int, new: int) -> str:
    """Let the new storage be to its file system what the old one is; where the old upper directory is."""
    inodeflags.inherit_project(old, new)
    for name in os.listdir(old):
        if name not in (_NOTE, _UPPER, _WORK):
            _carry_over(old, name, new)
    return os.path.join(folder, _UPPER)


def _make_room(made: str, new: int) -> str:
    """The same for a new storage that is a snapshot of the old one; where its own copy of the upper directory is."""
    os.rename(_UPPER, _FORMER, src_dir_fd=new, dst_dir_fd=new)
    paths.remove_tree(new, _WORK)
    return os.path.join(made, _FORMER)


def _carry_over(old: int, name: str, new: int) -> None:
    """Keep what else of ours lies beside the upper directory."""
    try:
        os.link(name, name, src_dir_fd=old, dst_dir_fd=new, follow_symlinks=False)
    except PermissionError as error:
        raise JailError(f"its storage has a directory {name}, of which nothing is known here") from error


def _taken(builder: Upper, steps: Iterable[Step]) -> Iterator[Step]:
    for step in steps:
        builder.take(step)
        yield step


def _tally(steps: Iterable[Step]) -> Tally:
    dropped = dropped_bytes = copied = copied_bytes = 0
    seen = set()
    for step in steps:
        status = step.found.status
        if step.kind == DROPPED:
            dropped += 1
            dropped_bytes += status.st_blocks * _BLOCK
        elif step.kind == COPIED:
            copied += 1
            inode = status.st_dev, status.st_ino
            if inode not in seen:
                copied_bytes += status.st_blocks * _BLOCK
            if status.st_nlink > 1:
                seen.add(inode)
    return Tally(dropped, dropped_bytes, copied, copied_bytes)


def _kept(upper: str, pair: lowers.Lowers) -> keep.Keep:
    return keep.of((upper, pair.old.place, pair.new.place))


def _record(name: str) -> records.Record:
    record = records.read(name)
    if record is None or record.kind != _KIND:
        raise JailError("it has no overlay")
    return record
