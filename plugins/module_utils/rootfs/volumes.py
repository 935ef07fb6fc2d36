# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes: directories of ours that are subvolumes where the file system has such, so that their size can be limited,
they can be cloned, and all of one is removed in one go."""

from __future__ import annotations

import os

from ..kernel import btrfs, inodeflags, paths
from . import projects

_PLAIN = paths.RESOLVE_NO_SYMLINKS | paths.RESOLVE_NO_XDEV | paths.RESOLVE_BENEATH


def make(parent: int, name: str, mode: int = 0o700) -> None:
    """Make an empty volume with exactly this mode.

    :param parent: a descriptor of its parent, opened for reading.
    """
    if btrfs.holds(parent):
        btrfs.create(parent, name)
        paths.set_mode(parent, name, mode)
    else:
        make_plain(parent, name, mode)


def make_plain(parent: int, name: str, mode: int = 0o700) -> None:
    """Make an empty directory with exactly this mode, where nothing has to be counted or cloned."""
    os.mkdir(name, 0o700, dir_fd=parent)
    paths.set_mode(parent, name, mode)


def remove(parent: int, name: str, heir: str) -> None:
    """Remove a directory, with all below it and the limits on it; none is fine.

    :param heir: a directory beside it, if there is one, that keeps limits which it shares with it.
    """
    directory = _open_plain(parent, name)
    if directory is not None:
        with paths.opened(directory):
            if not _shares_limits(directory, parent, heir):
                projects.forget(directory)
    paths.remove_tree(parent, name)


def _shares_limits(directory: int, parent: int, heir: str) -> bool:
    other = _open_plain(parent, heir)
    if other is None:
        return False
    with paths.opened(other):
        return inodeflags.project(other) == inodeflags.project(directory)


def _open_plain(parent: int, name: str) -> int | None:
    """A descriptor of what is a directory and no mount point; ``None`` for anything else."""
    try:
        return paths.openat2(parent, name, os.O_RDONLY | os.O_DIRECTORY, _PLAIN)
    except OSError:
        return None
