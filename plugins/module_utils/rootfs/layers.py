# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a root is made of, as mounts that hang nowhere yet: so a launcher needs no path of the host, and a backing
store may be a file system that is mounted for this one jail only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import NamedTuple

from ..kernel import mounts, paths


class Layers(NamedTuple):
    """Descriptors of detached mounts. An overlay of ``upper`` (whose root has the directories ``upper`` and ``work``)
    over ``lower``, or ``upper`` alone as the tree itself."""

    upper: int
    lower: int | None


class Subject(NamedTuple):
    """A tree to work on, that is not the root: its layers, and whether it can be written to."""

    layers: Layers
    writable: bool


def bind(folder: str) -> int:
    """A detached mount of a directory of the host."""
    with paths.opened(paths.open_directory(folder)) as directory:
        return mounts.clone(directory)


@contextlib.contextmanager
def of_directories(upper: str, lower: str | None) -> Iterator[Layers]:
    """The layers that lie in these directories of the host, for a ``with`` block."""
    with contextlib.ExitStack() as stack:
        upper_mount = stack.enter_context(paths.opened(bind(upper)))
        lower_mount = stack.enter_context(paths.opened(bind(lower))) if lower is not None else None
        yield Layers(upper_mount, lower_mount)


@contextlib.contextmanager
def writable_parts(upper: int) -> Iterator[tuple[int, int]]:
    """Descriptors of the directories ``upper`` and ``work`` of an overlay's upper mount, for a ``with`` block.

    :raises OSError: when one is missing, or anything else than a directory.
    """
    flags = os.O_PATH | os.O_DIRECTORY
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(paths.opened(paths.open_plain(upper, name, flags))) for name in ("upper", "work")]
        yield found[0], found[1]
