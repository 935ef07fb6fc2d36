# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kind ``image``: a file with an ext4 file system of its own, in which lies what the jail writes, above the template's
tree.

As with ``overlay`` the template is shared, on disk and in memory. What the file system in the image holds is ``upper``
and ``work``; it cannot grow beyond the image, whatever the host's file system can limit.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

from ... import files, sizes
from ...errors import JailError
from ...kernel import paths
from .. import images, layers, volumes
from ..bounds import Bounds, Keeper, refuse_less_than_used
from ..layers import Layers
from . import overlay
from .store import BackingStore

DEFAULT_SIZE = 10 << 30
"""Bytes, where nobody said how large, but no more than half of what is free. The file is sparse: it takes what is
written."""

_IMAGE, _FACTS, _CONTENT = "image", "image.json", "content"


def _make(folder: str, tree: str, _name: str, wanted: Bounds) -> None:
    if wanted.inodes is not None:
        files.write_json(os.path.join(folder, _FACTS), {"inodes": wanted.inodes})
    content = os.path.join(folder, _CONTENT)
    os.mkdir(content, 0o700)
    overlay.make_upper(content, tree)
    images.make(image(folder), wanted.size or _usual_size(folder), wanted.inodes, content)
    shutil.rmtree(content)


def _usual_size(folder: str) -> int:
    room = os.statvfs(folder)
    return max(images.SMALLEST, min(DEFAULT_SIZE, sizes.whole_pages(room.f_bavail * room.f_frsize // 2)))


def _copy(source: str, folder: str, _name: str) -> None:
    images.copy(image(source), image(folder))
    facts = files.read_json(os.path.join(source, _FACTS))
    if facts is not None:
        files.write_json(os.path.join(folder, _FACTS), facts)


def image(folder: str) -> str:
    """The file."""
    return os.path.join(folder, _IMAGE)


@contextlib.contextmanager
def _layers(folder: str, tree: str) -> Iterator[Layers]:
    with images.mounted(image(folder)) as upper, paths.opened(layers.bind(tree)) as lower:
        yield Layers(upper, lower)


def _writable(_folder: str) -> None:
    return None


def _holding(folder: str) -> Bounds:
    # How many inodes were asked for: the file system has that many, rounded up to whole groups of blocks.
    facts = files.read_json(os.path.join(folder, _FACTS)) or {}
    return Bounds(images.superblock(image(folder)).size, facts.get("inodes"))


def _used(folder: str) -> Bounds:
    """What the file takes of the host's disk, and the inodes that are taken in it."""
    return Bounds(os.stat(image(folder)).st_blocks * 512, images.used(image(folder))[1])


def _check(folder: str, wanted: Bounds) -> None:
    if wanted.size is None:
        raise JailError("an image has always a size", "size", "use another storage for a jail without one")
    if wanted.inodes != _holding(folder).inodes:
        advice = "give it another size, with which their number grows and shrinks; or make the jail anew"
        raise JailError("the inodes of an image are made with it", "inodes", advice)
    images.check_size(wanted.size)
    refuse_less_than_used(Bounds(images.used(image(folder))[0]), wanted)


def _waits(folder: str, wanted: Bounds) -> bool:
    shrinks = wanted.size is not None and wanted.size < images.superblock(image(folder)).size
    return shrinks or not images.can_grow_mounted()


def _bind(folder: str, wanted: Bounds) -> None:
    _check(folder, wanted)
    if wanted.size is not None and wanted.size != images.superblock(image(folder)).size:
        images.resize(image(folder), wanted.size)


_KEEPER = Keeper(_holding, _holding, _used, _check, _waits, _bind)
STORE = BackingStore(
    volumes.make_plain, _make, _copy, _layers, _writable, needs_template=True, atomic=False, keeper=_KEEPER
)
